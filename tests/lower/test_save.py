"""From a fitted model to a version: what is learnt, kept, proven and said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import salver
from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.config import TRUSTED_VARIABLE
from salver.engine.model import Model
from salver.errors import ConfigError, InputError, ModelFileError
from salver.frameworks.requirements import parse
from salver.lower.sample import Sample
from salver.lower.save import Saved
from salver.monitors.bins import NumberBins, ValueBins
from salver.monitors.profile import Profile
from tests.matrix.models import encoded, people

NUMBERS = ["visits", "spend"]


@pytest.fixture(autouse=True)
def own_list_of_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED_VARIABLE, str(tmp_path / "trusted.txt"))


@pytest.fixture(scope="module")
def churn() -> Any:
    return encoded(LogisticRegression(max_iter=5000)).fit(*people(300, 1))


def folder_of(saved: Saved) -> Path:
    return salver.Registry(saved.store).fetch(saved.name, saved.version)


def save(model: Any, store: Path, **given: Any) -> Saved:
    return salver.save(model, "churn", store=store, **given)


def test_a_version_has_all_that_serving_needs(churn: Any, tmp_path: Path) -> None:
    X, y = people(150, 2)
    saved = save(churn, tmp_path, sample=X, labels=y, description="who leaves", tags={"team": "growth"}, metadata={"run": 7})
    manifest = saved.manifest
    assert (saved.reference, manifest.description, manifest.tags, manifest.metadata) == (
        "churn@1", "who leaves", {"team": "growth"}, {"run": 7},
    )  # fmt: skip
    files = {"golden.json", "profile.json", "requirements.lock", "model/model.skops", manifest.runtime.file}
    assert files == set(manifest.files)
    assert manifest.metrics["accuracy"] == pytest.approx(np.mean(churn.predict(X) == y))
    pins = parse((folder_of(saved) / "requirements.lock").read_text()).pins
    assert {"scikit-learn", "scipy", "numpy", "pandas", "skops", "msgspec"} <= set(pins)
    assert not {"xgboost", "polars", "salver"} & set(pins)
    for said in ("churn@1", "proven on 10,150 rows", "0 labels differ", "faster", "accuracy", "7 columns", saved.digest[:12]):
        assert said in str(saved)


def test_the_golden_rows_are_the_samples_with_the_answers_of_training(churn: Any, tmp_path: Path) -> None:
    X, _ = people(50, 3)
    saved = save(churn, tmp_path, sample=X)
    artifact = open_artifact(folder_of(saved))
    first = dict(zip(saved.manifest.signature.names, artifact.golden.rows[0], strict=True))
    row = X[[(x.spend, x.visits) == (first["spend"], first["visits"]) for x in X.itertuples()]]
    labels = saved.manifest.signature.prediction.classes
    assert labels is not None
    assert labels[artifact.golden.outputs["prediction"][0]] == churn.predict(row)[0]  # type: ignore[index]


def test_what_a_sample_tells_of_the_columns(churn: Any, tmp_path: Path) -> None:
    X, _ = people(200, 4)
    columns = {column.name: column for column in save(churn, tmp_path, sample=X).manifest.signature.columns}
    assert (columns["spend"].low, columns["spend"].high) == (X["spend"].min(), X["spend"].max())
    assert columns["age"].on_missing is None  # the sample has some
    assert columns["member"].dtype == "bool"
    assert columns["plan"].categories == ("basic", "pro", "team")
    assert columns["plan"].unseen


def test_policies(churn: Any, tmp_path: Path) -> None:
    X, _ = people(200, 4)
    policies = {"spend": {"out_of_range": "error"}, "*": {"missing": "error"}, "age": {"missing": "null"}}
    saved = save(churn, tmp_path, sample=X, policies=policies, on_unknown="warn")
    columns = {column.name: column for column in saved.manifest.signature.columns}
    assert columns["spend"].on_out_of_range == "error"
    assert (columns["plan"].on_missing, columns["age"].on_missing) == ("error", "null")
    model = Model(open_artifact(folder_of(saved)))
    row = {**X.iloc[0].to_dict(), "age": None, "region": "north"}
    assert model.checker.check({**row, "more": 1}).flags == {"*": "unknown"}  # type: ignore[attr-defined]
    for name, value, code in (("spend", 1e9, "out_of_range"), ("plan", None, "missing_value")):
        with pytest.raises(InputError) as refused:
            model.checker.check({**row, name: value})
        assert refused.value.code == code
    model.close()


@pytest.mark.parametrize(
    "policies", [{"nothing": {"missing": "warn"}}, {"age": {"strange": "warn"}}, {"age": {"missing": "perhaps"}}]
)
def test_policies_that_make_no_sense(churn: Any, tmp_path: Path, policies: Any) -> None:
    with pytest.raises(InputError):
        save(churn, tmp_path, sample=people(50, 4)[0], policies=policies)


def test_the_profile_counts_every_row(churn: Any, tmp_path: Path) -> None:
    X, y = people(300, 5)
    saved = save(churn, tmp_path, sample=X, labels=y)
    profile = msgspec.json.decode((folder_of(saved) / "profile.json").read_bytes(), type=Profile)
    age, plan = profile.columns["age"], profile.columns["plan"]
    assert isinstance(age.bins, NumberBins)
    assert isinstance(plan.bins, ValueBins)
    assert age.missing == int(X["age"].isna().sum())
    assert age.rows == plan.rows == profile.rows == 300
    answers = profile.outputs["prediction"]
    assert isinstance(answers.bins, ValueBins)
    assert (
        dict(zip(answers.bins.values, answers.counts[1:-1], strict=True))
        == pd.Series(churn.predict(X)).value_counts().to_dict()
    )
    assert profile.labels is not None
    assert profile.calibration is not None and profile.calibration.classes == ("no", "yes")
    assert profile.performance["accuracy"].value == pytest.approx(saved.manifest.metrics["accuracy"])
    assert all(column.importance is not None for column in profile.columns.values())


def models() -> Iterator[Any]:
    X, y = people(200, 1, missing=False)
    X = X[NUMBERS]
    yield LogisticRegression(max_iter=5000).fit(X, y)
    yield RandomForestClassifier(5, random_state=0).fit(X, y)
    yield make_pipeline(FunctionTransformer(lambda frame: frame * 2), LinearRegression()).fit(X, y == "yes")


@pytest.mark.parametrize("which", range(3))
def test_the_same_content_has_the_same_digest(which: int, tmp_path: Path) -> None:
    sample = people(100, 9, missing=False)[0][NUMBERS]
    first, second = (save(model, tmp_path, sample=sample, why="again") for model in (list(models())[which] for _ in range(2)))
    assert (first.version, second.version) == (1, 2)
    assert first.digest == second.digest
    assert first.manifest.created <= second.manifest.created


def test_another_sample_is_another_content(churn: Any, tmp_path: Path) -> None:
    assert save(churn, tmp_path, sample=people(50, 5)[0]).digest != save(churn, tmp_path, sample=people(50, 6)[0]).digest


SCRIPT = """
import sys
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
import salver

class Sign(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.n_features_in_, self.classes_ = X.shape[1], np.unique(y)
        return self
    def predict(self, X):
        return self.classes_[(np.asarray(X).sum(axis=1) > 0).astype(int)]

X = np.random.default_rng(0).normal(size=(50, 2))
saved = salver.save(Sign().fit(X, np.where(X.sum(axis=1) > 0, "up", "down")), "sign", sample=X, store=sys.argv[1])
print(saved.version)
"""


def test_a_class_of_the_training_script_is_packed_with_the_model(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script), str(tmp_path / "store")], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "1", done.stderr
    artifact = open_artifact(salver.Registry(str(tmp_path / "store")).fetch("sign", 1))
    assert artifact.manifest.runtime.file == "model/model.cloudpickle"
    Model(Policy().admit(artifact)).close()


def test_a_file_and_a_table_in_a_file(churn: Any, tmp_path: Path) -> None:
    import joblib

    joblib.dump(churn, tmp_path / "churn.pkl")
    X, y = people(80, 6)
    X.assign(left=y, id=range(80)).to_csv(tmp_path / "hold_out.csv", index=False)
    saved = save(tmp_path / "churn.pkl", tmp_path / "store", sample=tmp_path / "hold_out.csv", labels="left")
    assert "left" not in saved.manifest.signature.names
    assert saved.manifest.metrics["accuracy"] == pytest.approx(np.mean(churn.predict(X) == y))
    assert sorted(file.name for file in tmp_path.glob("churn*")) == ["churn.pkl"]  # nothing is written beside it


@pytest.mark.parametrize("kind", ["column", "series", "array", "list", "file"])
def test_labels_in_every_form(churn: Any, tmp_path: Path, kind: str) -> None:
    X, y = people(60, 6)
    labels: Any = {"column": "left", "series": pd.Series(y), "array": y, "list": y.tolist(), "file": tmp_path / "y.csv"}[kind]
    pd.DataFrame({"y": y}).to_csv(tmp_path / "y.csv", index=False)
    sample = X.assign(left=y) if kind == "column" else X
    saved = save(churn, tmp_path / "store", sample=sample, labels=labels)
    assert saved.manifest.metrics["accuracy"] == pytest.approx(np.mean(churn.predict(X) == y))


def test_labels_beside_columns_of_other_names(tmp_path: Path) -> None:
    """A model of an array, and a table with names and a label in the middle."""
    X, y = people(100, 1, missing=False)
    model = LogisticRegression(max_iter=5000).fit(X[NUMBERS].to_numpy(), y)
    table = pd.DataFrame({"visits": X["visits"], "left": y, "spend": X["spend"]})
    table.to_csv(tmp_path / "table.csv", index=False)
    for sample in (table, tmp_path / "table.csv"):
        saved = save(model, tmp_path / "store", sample=sample, labels="left")
        assert saved.manifest.metrics["accuracy"] == np.mean(model.predict(X[NUMBERS].to_numpy()) == y)


def test_without_a_sample(churn: Any, tmp_path: Path) -> None:
    saved = save(churn, tmp_path)
    assert "profile.json" not in saved.manifest.files
    assert saved.manifest.lowering.proof is not None
    assert not any(column.has_range for column in saved.manifest.signature.columns)


def test_what_can_not_be_saved(churn: Any, tmp_path: Path) -> None:
    X, y = people(20, 6)
    refused: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (InputError, "no rows", {"sample": X[:0]}),
        (InputError, "labels", {"sample": X, "labels": y[:5]}),
        (InputError, "none of the model's 2 classes", {"sample": X, "labels": ["maybe"] * 20}),
        (InputError, "missing column", {"sample": X.drop(columns="visits")}),
        (InputError, "no table", {"sample": 3}),
        (ConfigError, "JSON", {"metadata": {"when": object()}}),
    ]
    for kind, said, given in refused:
        with pytest.raises(kind, match=said):
            save(churn, tmp_path, **given)
    with pytest.raises(ModelFileError):
        save(object(), tmp_path)
    with pytest.raises(ModelFileError):
        save(LogisticRegression(), tmp_path, sample=X)
    assert salver.Registry(str(tmp_path)).models() == []


def test_a_model_that_needs_more_than_its_columns_is_refused(tmp_path: Path) -> None:
    """It looks at the index, which no request has."""
    X, _ = people(100, 1, missing=False)
    step = FunctionTransformer(lambda frame: np.stack([frame.index.to_numpy() % 2, frame["visits"]], axis=1))
    model = make_pipeline(step, LogisticRegression()).fit(X[NUMBERS], X.index % 2 == 1)
    with pytest.raises(ModelFileError, match="otherwise than when it is given the sample"):
        save(model, tmp_path, sample=X[NUMBERS].sample(frac=1.0, random_state=1))


def test_whole_numbers_stay_whole_where_the_model_looks(tmp_path: Path) -> None:
    X, y = people(100, 1, missing=False)
    step = FunctionTransformer(lambda frame: frame["visits"].astype(str).str.len().to_frame())
    saved = save(make_pipeline(step, LinearRegression()).fit(X[NUMBERS], y == "yes"), tmp_path, sample=X[NUMBERS])
    assert {column.name: column.dtype for column in saved.manifest.signature.columns}["visits"] == "int64"


def test_columns_that_the_model_drops_are_of_the_kind_that_the_sample_shows(tmp_path: Path) -> None:
    draw, rows = np.random.default_rng(0), 200
    X = pd.DataFrame({"used": draw.normal(size=rows), "score": draw.random(rows), "visits": draw.integers(0, 5, rows)})
    X["score"] = X["score"].where(X["score"] > 0.1)
    X = X.assign(plan=draw.choice(["basic", "pro"], rows), member=draw.random(rows) < 0.5)
    line = make_pipeline(ColumnTransformer([("used", "passthrough", ["used"])]), LinearRegression()).fit(X, X["used"])
    saved = save(line, tmp_path, sample=X)
    columns = {column.name: column for column in saved.manifest.signature.columns}
    kinds = {"used": "float64", "score": "float64", "visits": "float64", "plan": "category", "member": "bool"}
    assert {name: column.dtype for name, column in columns.items()} == kinds
    assert columns["score"].nullable and columns["score"].low == X["score"].min()
    assert columns["plan"].categories == ("basic", "pro") and columns["plan"].unseen
    profile = msgspec.json.decode((folder_of(saved) / "profile.json").read_bytes(), type=Profile)
    assert isinstance(profile.columns["score"].bins, NumberBins)
    assert profile.columns["score"].missing == X["score"].isna().sum()
    Model(open_artifact(folder_of(saved))).close()  # it has answered the rows of the sample as the original did


def test_it_tells_what_it_does(churn: Any, tmp_path: Path) -> None:
    told: list[str] = []
    save(churn, tmp_path, sample=people(30, 1)[0], progress=told.append)
    assert told[0] == "writing the model"
    assert "lowering and proving" in told
    assert told[-1] == ""


def test_a_sample_of_polars_and_arrow_is_one_of_pandas(churn: Any, tmp_path: Path) -> None:
    import polars as pl
    import pyarrow as pa

    X, _ = people(60, 6)
    kinds = [X, pa.Table.from_pandas(X, preserve_index=False), pl.from_pandas(X)]
    assert len({save(churn, tmp_path, sample=sample).digest for sample in kinds}) == 1


def test_a_policy_counts_for_golden_rows_too(churn: Any, tmp_path: Path) -> None:
    saved = save(churn, tmp_path, sample=people(60, 6)[0], policies={"*": {"missing": "error", "unseen": "error"}})
    Model(open_artifact(folder_of(saved))).close()


def test_sample_needs_a_table_of_the_same_kind_on_the_way_to_the_model() -> None:
    X, _ = people(10, 6)
    data, at = Sample(X).few(3)
    assert at == [0, 4, 9]
    assert list(data.index) == [0, 4, 9]
