"""What is written of a prediction, and what is kept of the log."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from salver.errors import ConfigError
from salver.log.compact import compact
from salver.log.erase import erase
from salver.log.policy import Policy, change_for, is_sampled
from salver.log.record import object_maker
from salver.log.retention import DAY_S, Part, outdated, retain
from salver.log.secret import secret_of
from salver.log.settings import Bucket, ModelSettings, Settings, Truncate, read_settings
from salver.log.table import PREDICTIONS, Table
from salver.log.view import Log
from salver.settings import size_bytes
from tests.log.rows import IDS, encoder, record, some, write

SECRET = b"s" * 32


def policy(**settings: Any) -> Policy:
    return Policy(ModelSettings(**settings), ["x", "colour"], ["prediction", "probabilities"], SECRET)


@pytest.mark.parametrize(
    ("rule", "value", "written"),
    [
        (Truncate(2), "blue", "bl"),
        (Truncate(1), 3.19, 3.1),
        (Truncate(1), True, True),
        (Bucket(10), 37, 30),
        (Bucket(10), -1.5, -10),
        (Bucket(10), math.inf, None),
        (Bucket([0, 18, 65]), 18, "18 to 65"),
        (Bucket([0, 18, 65]), -4, "<0"),
        (Bucket([0, 18, 65]), 99.5, ">=65"),
        (Bucket(10), None, None),
        ("hash", math.nan, None),
    ],
)
def test_rules(rule: Any, value: Any, written: Any) -> None:
    change = change_for(rule, SECRET)
    assert change is not None
    assert change(value) == written


def test_a_hash_is_keyed_and_the_same_for_the_same() -> None:
    one, other = change_for("hash", SECRET), change_for("hash", b"t" * 32)
    assert one and other
    assert one("secret") == one("secret") != other("secret")
    assert "secret" not in one("secret") and len(one(5.0)) == 16


def test_columns_outputs_and_keys_are_changed() -> None:
    make = object_maker(["x", "colour"])
    one = record("a", inputs=make(1.5, "red"), key="customer")
    (written,) = policy(columns={"x": "drop", "colour": {"truncate": 1}}, outputs={"probabilities": "drop"}, key="hash")([one])
    line = encoder.encode(written)
    assert b'"inputs":{"colour":"r"}' in line and b'"outputs":{"prediction":1}' in line
    assert b"customer" not in line and b'"key":"' in line


def test_without_rules_there_is_nothing_to_do() -> None:
    assert policy().changes_nothing
    assert not policy(key="drop").changes_nothing


def test_a_sample_is_the_same_everywhere_and_keeps_what_is_flagged() -> None:
    ids = IDS.batch(20_000)
    records = [record(made) for made in ids] + [record(made, flags={"x": "missing"}) for made in IDS.batch(50)]
    written = policy(sample=0.1)(records)
    drawn = [one for one in written if not one.flags]
    assert {one.id for one in drawn} == {made for made in ids if is_sampled(made, 0.1)}
    assert abs(len(drawn) - 2000) < 200
    assert {one.weight for one in drawn} == {10.0}
    assert len(written) == len(drawn) + 50


@pytest.mark.parametrize(
    "text",
    [
        "sync = 'sometimes'",
        "keep_bytes = 'much'",
        "[models.m]\nsample = 2",
        "[models.m.columns]\nx = 'hide'",
        "[models.m.columns]\nx = {cut = 3}",
        "colour = 'red'",
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.toml").write_text(text)
    with pytest.raises(ConfigError):
        read_settings(tmp_path)


def test_a_rule_for_a_column_that_is_not_there_is_refused() -> None:
    """A misspelt name must not mean that a column is written."""
    with pytest.raises(ConfigError, match="'color'"):
        policy(columns={"color": "drop"})


def test_settings_by_model(tmp_path: Path) -> None:
    (tmp_path / "log.toml").write_text("keep_bytes = '2 GB'\n[models.'*']\nsample = 0.5\n[models.m]\nkey = 'drop'\n")
    settings = read_settings(tmp_path)
    assert (settings.of("m").key, settings.of("m").sample, settings.of("n").sample) == ("drop", 1.0, 0.5)
    assert settings.limit_bytes(tmp_path) == 2 * 10**9 == size_bytes("2 GB")
    assert 0 < Settings().limit_bytes(tmp_path) <= 20 * 10**9


def test_the_oldest_goes_first() -> None:
    table = Table(Path("log"), PREDICTIONS)
    parts = [Part(table, Path(str(day)), day * DAY_S, 10) for day in (3, 1, 2, 4)]
    assert [part.path.name for part in outdated(parts, 4 * DAY_S, 2.5, 100)] == ["1"]
    assert [part.path.name for part in outdated(parts, 4 * DAY_S, 99, 25)] == ["1", "2"]
    assert outdated(parts, 4 * DAY_S, 99, 40) == []


def test_what_is_too_old_or_too_much_is_removed(tmp_path: Path) -> None:
    write(tmp_path, some(5, ts=10**15))  # in 2001
    compact(tmp_path, grace_s=0)
    write(tmp_path, some(5))
    assert retain(tmp_path, settings=Settings(keep_days=30), grace_s=0) > 0
    assert len(Log(tmp_path).sql("select * from predictions").rows()) == 5
    assert not list(tmp_path.rglob("*.parquet"))
    retain(tmp_path, settings=Settings(keep_bytes=1), grace_s=0)
    assert not list(tmp_path.rglob("*.jsonl"))
    assert retain(tmp_path, settings=Settings(keep_bytes=1), grace_s=0) == 0


def test_what_is_erased_is_nowhere(tmp_path: Path) -> None:
    from salver.log.segment import SegmentWriter

    write(tmp_path, [*some(20, key="planted-key"), *some(20, key="other")])
    compact(tmp_path)  # the segment is still there
    writer = SegmentWriter(tmp_path)
    for one in [*some(3, key="planted-key"), *some(3, model="other", key="planted-key")]:
        writer.append(encoder.encode(one) + b"\n")
    assert erase(tmp_path, "m", "planted-key").predictions == 23
    assert erase(tmp_path, "m", "planted-key").predictions == 0
    (left,) = some(1)
    writer.append(encoder.encode(left) + b"\n")
    writer.close()
    found = Log(tmp_path).sql("select model, key, count(*) from predictions group by all order by all").rows()
    assert found == [("m", "other", 20), ("m", None, 1), ("other", "planted-key", 3)]
    assert erase(tmp_path, "other", "planted-key").predictions == 3
    compact(tmp_path, grace_s=0)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"planted-key" in path.read_bytes()]


def test_a_hashed_key_is_erased_by_the_key_itself(tmp_path: Path) -> None:
    hashing = Policy(ModelSettings(key="hash"), ["x", "colour"], ["prediction", "probabilities"], secret_of(tmp_path))
    write(tmp_path, hashing(some(4, key="customer", inputs={"x": 1, "colour": None})))
    assert erase(tmp_path, "m", "customer").predictions == 4


def test_the_secret_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    assert secret_of(tmp_path / "log") == secret_of(tmp_path / "log")
    assert (tmp_path / "log" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_the_settings_in_the_documentation_are_read(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "log.md").read_text()
    (tmp_path / "log.toml").write_text("\n".join(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)))
    settings = read_settings(tmp_path)
    assert settings.keep_bytes == 20 * 10**9
    assert settings.of("iris").rules("columns")["income"] == Bucket(10000)
