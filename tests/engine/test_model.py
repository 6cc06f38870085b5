"""One version of a model, awake."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from salver.artifact.artifact import Artifact, open_artifact
from salver.artifact.manifest import Golden
from salver.engine.model import Model
from salver.errors import ArtifactError
from salver.types.signature import Column
from tests.echo import echo_folder
from tests.engine.noted import Noted

_TEXT = (Column("a"), Column("b", "string"))


def loaded(folder: Path, **echo: object) -> Model:
    return Model(open_artifact(echo_folder(folder / "echo", **echo)))  # type: ignore[arg-type]


def with_golden(folder: Path, golden: Golden) -> Artifact:
    stored = open_artifact(echo_folder(folder / "echo"))
    return Artifact(stored.folder, stored.manifest, golden)


@pytest.mark.parametrize("columns", [(Column("a"), Column("b")), _TEXT], ids=["matrix", "columns"])
def test_requests_are_answered_in_order_whatever_form_they_have(tmp_path: Path, columns: tuple[Column, ...]) -> None:
    filler = [2.0, "x"][columns[1].dtype == "string"]
    model = loaded(tmp_path, columns=columns, rows=[[1.0, filler]])
    arrays = {"a": np.array([3.0, 4.0]), "b": np.array([filler, filler], dtype=object if filler == "x" else float)}
    none = {name: values[:0] for name, values in arrays.items()}
    requests = [
        Noted([[1.0, filler], [2.0, filler]]),
        Noted([]),
        Noted(columns=arrays),
        Noted(columns=none),
        Noted([[5.0, filler]]),
    ]
    for asked, want in (
        (requests, [1, 2, 3, 4, 5]),
        (requests[:2], [1, 2]),
        (requests[2:3], [3, 4]),
        (requests[1:2], []),
        (requests[3:4], []),
    ):
        assert model.predict(asked)["prediction"].tolist() == want
    model.close()


@pytest.mark.parametrize(
    ("golden", "says"),
    [
        (Golden([[1.0]], {"prediction": [1.1]}, 1e-6), "golden rows"),
        (Golden([[1.0], [2.0]], {"prediction": [2.0, 1.0]}, 1e-6), "golden rows"),
        (Golden([[1.0], [2.0]], {"prediction": [1.0]}, 1e-6), "golden rows"),
        (Golden([[1.0]], {"prediction": [None]}, 1e-6), "golden rows"),
        (Golden([], {"prediction": []}, 1e-6), "no golden rows"),
        (Golden([["text"]], {"prediction": [1.0]}, 1e-6), "signature"),
        (Golden([[1.0]], {}, 1e-6), "golden rows"),
    ],
)
def test_a_model_that_is_not_what_it_was_is_refused(tmp_path: Path, golden: Golden, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        Model(with_golden(tmp_path, golden))


def test_a_difference_within_the_tolerance_is_none(tmp_path: Path) -> None:
    Model(with_golden(tmp_path, Golden([[1.0]], {"prediction": [1.0 + 1e-7]}, 1e-6))).close()


def test_an_infinite_answer_is_the_null_that_was_stored(tmp_path: Path) -> None:
    folder = echo_folder(
        tmp_path / "echo", columns=(Column("a", infinite=True, nullable=True),), rows=[["Infinity"], [None], [2.0]]
    )
    stored = open_artifact(folder)
    outputs = msgspec.json.decode(msgspec.json.encode({"prediction": [np.inf, np.nan, 2.0]}))
    Model(Artifact(stored.folder, stored.manifest, Golden(stored.golden.rows, outputs, 0.0))).close()


def test_what_a_call_costs_is_measured_at_load(tmp_path: Path) -> None:
    slow = loaded(tmp_path / "slow", delay_s=0.01)
    assert slow.call_s >= 0.01
    assert not slow.is_short(1)
    fast = loaded(tmp_path / "fast")
    assert fast.is_short(1)
    assert not fast.is_short(10_000_000)
