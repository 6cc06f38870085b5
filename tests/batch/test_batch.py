"""A table in, the same table with predictions out: every format, the same answers, and the log."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import salver
from salver.batch.job import Result
from salver.cli.main import main
from salver.errors import ConfigError, InputError
from salver.log.policy import hashed
from salver.log.retention import DAY_S, retain
from salver.log.secret import secret_of
from salver.log.settings import Settings
from tests.batch.conftest import irises
from tests.serving import SALVER


@pytest.fixture
def store(models: Path, tmp_path: Path) -> Path:
    """The models, with a log of this test's own."""
    place = tmp_path / "store"
    place.mkdir()
    (place / "models").symlink_to(models / "models")
    return place


def write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=300)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as out:
            out.write_table(table, max_chunksize=300)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet" or path.is_dir():
        return pq.read_table(path).to_pylist()
    if path.suffix == ".arrow":
        return pa.ipc.open_file(path).read_all().to_pylist()
    if path.suffix == ".csv":
        return pa.csv.read_csv(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


def facts(result: Result) -> tuple[int, dict[str, int], bool]:
    return result.rows, result.bad, result.ran


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "jsonl"])
def test_every_format_gets_the_answers_of_the_model(store: Path, tmp_path: Path, kind: str) -> None:
    table = irises(1000)
    given, made = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    write(table, given)
    result = salver.batch("iris", given, made, store=store)
    assert facts(result) == (1000, {}, True)
    rows = read(made)
    with salver.load("iris", store=store) as model:
        inputs = table.select(["x0", "x1", "x2", "x3"])
        assert [row["prediction"] for row in rows] == model.predict(inputs).to_pylist()
        assert [row["probability_2"] for row in rows] == pytest.approx(model.predict_proba(inputs)["2"].to_pylist(), abs=1e-15)
    assert [row["customer"] for row in rows] == table["customer"].to_pylist()
    assert [row["x1"] for row in rows] == pytest.approx(table["x1"].to_pylist(), abs=1e-15)
    assert len({row["id"] for row in rows}) == 1000
    assert {row["version"] for row in rows} == {1}


def test_text_in_parts_is_the_same_as_in_one(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(irises(5000), tmp_path / "in.csv")
    write(irises(5000), tmp_path / "in.jsonl")
    whole = {
        kind: salver.batch("iris", tmp_path / f"in.{kind}", tmp_path / f"whole.{kind}", store=store)
        for kind in ("csv", "jsonl")
    }
    monkeypatch.setattr("salver.batch.plan.PART_BYTES", 50_000)
    monkeypatch.setattr("salver.batch.plan._BLOCK_BYTES", 7_000)
    for kind, before in whole.items():
        result = salver.batch("iris", tmp_path / f"in.{kind}", tmp_path / f"parts.{kind}", store=store, workers=2)
        assert result.parts > 5
        assert before.parts == 1
        assert (tmp_path / f"parts.{kind}").read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()


def test_bad_rows_go_aside_and_the_others_are_scored(store: Path, tmp_path: Path) -> None:
    given, aside = tmp_path / "in.csv", tmp_path / "bad.jsonl"
    given.write_text(
        'customer,x0,x1,x2,x3\n"a, b",5.1,3.5,1.4,0.2\nb,oops,3.5,1.4,0.2\nc,1,2\nd,,3.5,1.4,0.2\ne,6.2, 2.9,4.3,1.3\n'
    )
    with pytest.raises(InputError, match=r"in\.csv, row 1: column 'x0': expected a finite number"):
        salver.batch("iris", given, tmp_path / "out.csv", store=store)
    assert not (tmp_path / "out.csv").exists()
    result = salver.batch("iris", given, tmp_path / "out.csv", store=store, bad_rows=aside)
    assert facts(result) == (2, {"wrong_type": 1, "missing_value": 1, "invalid_row": 1}, True)
    assert [row["customer"] for row in read(tmp_path / "out.csv")] == ["a, b", "e"]
    bad = read(aside)
    assert [(one["row"], one["code"]) for one in bad] == [(1, "wrong_type"), (2, "invalid_row"), (3, "missing_value")]
    assert bad[0]["values"]["x0"] == "oops"
    assert "oops" not in bad[0]["reason"]


def test_json_lines_are_checked_as_requests_are(store: Path, tmp_path: Path) -> None:
    given, aside = tmp_path / "in.jsonl", tmp_path / "bad.jsonl"
    rows = [
        '{"x0": 5.1, "x1": 3.5, "x2": 1.4, "x3": 0.2}',
        '{"x0": "5.1", "x1": 3.5, "x2": 1.4, "x3": 0.2}',
        "{torn",
        '{"x0": 5.1}',
    ]
    given.write_text("\n".join(rows))
    result = salver.batch("iris", given, tmp_path / "out.jsonl", store=store, bad_rows=aside)
    assert result.rows == 1
    assert [(one["row"], one["code"]) for one in read(aside)] == [(1, "wrong_type"), (2, "invalid_row"), (3, "missing_value")]


def test_names_missing_values_and_flags(store: Path, tmp_path: Path) -> None:
    table = pa.table({"plan": ["pro", "gold", None], "age": [30.0, None, 99.0], "prediction": ["x", "y", "z"]})
    write(table, tmp_path / "in.parquet")
    result = salver.batch(
        "churn", tmp_path / "in.parquet", tmp_path / "out.parquet", store=store, bad_rows=tmp_path / "bad.jsonl"
    )
    rows = read(tmp_path / "out.parquet")
    assert facts(result) == (3, {}, True)
    assert [row["prediction"] for row in rows] == ["no", "no", "yes"]
    assert [row["input_prediction"] for row in rows] == ["x", "y", "z"]
    assert [json.loads(row["flags"] or "{}") for row in rows] == [
        {},
        {"age": "missing", "plan": "unseen"},
        {"age": "out_of_range", "plan": "missing"},
    ]


def test_folders_name_columns_and_only_chosen_ones_are_kept(store: Path, tmp_path: Path) -> None:
    for plan in ("basic", "pro"):
        folder = tmp_path / "in" / f"plan={plan}"
        folder.mkdir(parents=True)
        write(pa.table({"age": [20.0, 70.0], "customer": ["a", "b"]}), folder / "rows.parquet")
    (tmp_path / "in" / "_SUCCESS").touch()
    salver.batch("churn", tmp_path / "in", tmp_path / "out", store=store, keep=["plan"])
    rows = read(tmp_path / "out")
    assert [row["plan"] for row in rows] == ["basic", "basic", "pro", "pro"]
    assert set(rows[0]) == {"id", "plan", "prediction", "probability_no", "probability_yes", "flags", "version"}
    assert len({row["id"] for row in rows}) == 4
    result = salver.batch("churn", str(tmp_path / "in" / "*" / "*.parquet"), tmp_path / "again", store=store)
    assert result.rows == 4


def test_columns_are_named_where_the_model_has_no_names(store: Path, tmp_path: Path) -> None:
    table = irises(10).rename_columns(["customer", "a", "b", "c", "d"])
    write(table, tmp_path / "in.parquet")
    with pytest.raises(InputError, match="--columns"):
        salver.batch("iris", tmp_path / "in.parquet", tmp_path / "out", store=store)
    salver.batch("iris", tmp_path / "in.parquet", tmp_path / "out", store=store, columns=["a", "b", "c", "d"])
    logged = salver.log(store).sql("select inputs from predictions").rows()
    assert sorted(json.loads(logged[0][0])) == ["x0", "x1", "x2", "x3"]


def test_a_finished_job_is_not_done_again_and_a_change_is_noticed(store: Path, tmp_path: Path) -> None:
    given, made = tmp_path / "in.parquet", tmp_path / "out"
    write(irises(100), given)
    assert facts(salver.batch("iris", given, made, store=store)) == (100, {}, True)
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    assert facts(salver.batch("iris", given, made, store=store)) == (100, {}, False)
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == before
    write(irises(200), given)
    with pytest.raises(ConfigError, match="the input has changed since"):
        salver.batch("iris", given, made, store=store)
    with pytest.raises(ConfigError, match=r"it was iris@1, and now is churn@1"):
        salver.batch("churn", given, made, store=store)
    assert facts(salver.batch("iris", given, made, store=store, overwrite=True)) == (200, {}, True)
    assert len(read(made)) == 200
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="no job of Salver's made it"):
        salver.batch("iris", given, tmp_path / "mine", store=store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "mine", "out", "store"]


def test_the_output_is_log_with_labels_and_accuracy(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(irises(500), tmp_path / "in.parquet")
    salver.batch("iris", tmp_path / "in.parquet", tmp_path / "out", store=store, key="customer")
    log = salver.log(store)
    assert log.sql(
        "select route, version, count(*), count(distinct id), count(distinct key) from iris group by all"
    ).rows() == [("batch", 1, 500, 500, 500)]
    assert not list((store / "log").rglob("*.parquet")), "it is registered, and not written twice"
    rows = read(tmp_path / "out")
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": row["id"], "label": row["prediction"]}) + "\n" for row in rows[:300]))
    assert main(["label", "iris", str(labels), "--store", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["matched"] == 300
    assert main(["accuracy", "iris", "--store", str(store), "--json"]) == 0
    assert '"accuracy"' in capsys.readouterr().out
    assert main(["log", "erase", "c7", "--model", "iris", "--store", str(store), "--json"]) == 0
    assert log.sql("select count(*) from predictions").rows() == [(499,)]
    shutil.rmtree(tmp_path / "out")
    assert log.sql("select count(*) from predictions").rows() == [(499,)], "what was erased from is the log's own now"


def test_rules_of_the_log_hold_for_batches(store: Path, tmp_path: Path) -> None:
    (store / "log").mkdir()
    (store / "log" / "log.toml").write_text('[models.iris]\nkey = "hash"\n[models.iris.columns]\nx0 = "drop"\n')
    write(irises(50), tmp_path / "in.parquet")
    for output in ("out", "other.csv"):
        salver.batch("iris", tmp_path / "in.parquet", tmp_path / output, store=store, key="customer")
        found = salver.log(store).sql("select inputs, key, route from predictions").rows()
        assert len(found) == 50, "the same rows by the same version are in the log once"
        assert {tuple(sorted(json.loads(inputs))) for inputs, _, _ in found} == {("x1", "x2", "x3")}, "x0 is not written"
        secret = secret_of(store / "log")
        assert {key for _, key, _ in found} == {hashed(f"c{i}", secret) for i in range(50)}, "no key is written as it is"
        assert {route for _, _, route in found} == {"batch"}
    assert "x0" in read(tmp_path / "out")[0], "what is kept beside the predictions is the caller's"


def test_the_log_has_what_is_no_parquet_too(store: Path, tmp_path: Path) -> None:
    write(irises(50), tmp_path / "in.csv")
    salver.batch("iris", tmp_path / "in.csv", tmp_path / "out.csv", store=store)
    (tmp_path / "out.csv").unlink()
    assert salver.log(store).sql("select count(*), min(x0) > 0 from iris").rows() == [(50, True)]
    salver.batch("iris", tmp_path / "in.csv", tmp_path / "unlogged.csv", store=store, log=False)
    assert salver.log(store).sql("select count(*) from iris").rows() == [(50,)]


def test_what_the_log_keeps_of_batches_gets_too_old_too(store: Path, tmp_path: Path) -> None:
    write(irises(50), tmp_path / "in.csv")
    salver.batch("iris", tmp_path / "in.csv", tmp_path / "out.csv", store=store)
    write(irises(30, seed=1), tmp_path / "in.parquet")
    salver.batch("iris", tmp_path / "in.parquet", tmp_path / "out", store=store)
    log, in_days = store / "log", time.time() + 40 * DAY_S
    assert retain(log, settings=Settings(keep_days=39), now_s=in_days - 2 * DAY_S, grace_s=0) == 0
    assert salver.log(store).sql("select count(*) from predictions").rows() == [(80,)]
    copied = sum(path.stat().st_size for path in log.rglob("*.parquet"))
    assert retain(log, settings=Settings(keep_bytes=copied), grace_s=0) == 0, "what lies elsewhere is not counted"
    assert retain(log, settings=Settings(keep_days=30), now_s=in_days, grace_s=0) == copied > 0
    assert salver.log(store).sql("select count(*) from predictions").rows() == [(0,)]
    assert not list((log / "batches").iterdir())
    assert len(read(tmp_path / "out")) == 30, "the caller's output is the caller's"
    salver.batch("iris", tmp_path / "in.csv", tmp_path / "out.csv", store=store, overwrite=True)
    assert retain(log, settings=Settings(), grace_s=0) == 0
    assert salver.log(store).sql("select count(*) from predictions").rows() == [(50,)], "what is asked for again stays"


def test_standard_input_and_output(store: Path, tmp_path: Path) -> None:
    write(irises(20), tmp_path / "in.csv")
    done = subprocess.run(
        [SALVER, "batch", "iris", "-", "-", "--from", "csv", "--to", "jsonl", "--keep", "customer", "--store", str(store)],
        input=(tmp_path / "in.csv").read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["customer"] for row in rows] == [f"c{i}" for i in range(20)]
    assert done.stderr == ""
    assert not list((store / "batches").iterdir())


def test_no_rows_are_no_reason_to_fail(store: Path, tmp_path: Path) -> None:
    for kind in ("parquet", "csv"):
        write(irises(0), tmp_path / f"in.{kind}")
        assert salver.batch("iris", tmp_path / f"in.{kind}", tmp_path / f"out.{kind}", store=store).rows == 0
        assert (tmp_path / f"out.{kind}").is_file()
    assert pq.read_schema(tmp_path / "out.parquet").names[-2:] == ["flags", "version"]
