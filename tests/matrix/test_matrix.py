"""Framework × source × face: what a saved model answers is what the model answered where it was trained."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import salver
from salver.config import TRUSTED_VARIABLE
from salver.errors import InputError
from salver.lower import original
from salver.lower.save import Saved
from tests.matrix.faces import FACES
from tests.matrix.models import CASES, Case, asked
from tests.matrix.sources import SOURCES, csv, parquet


class Stored:
    """A case, saved, with all faces open."""

    def __init__(self, case: Case, saved: Saved, faces: dict[str, Any]) -> None:
        self.case = case
        self.saved = saved
        self.faces = faces
        self.wanted, self.shares = asked(case)


@pytest.fixture(scope="module", autouse=True)
def own_list_of_trust(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(original, "BUDGET_S", 3.0)  # the proofs are looked at elsewhere
        patch.setenv(TRUSTED_VARIABLE, str(tmp_path_factory.mktemp("user") / "trusted.txt"))
        yield


@pytest.fixture(scope="module", params=CASES)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Stored]:
    case = CASES[request.param]()
    folder = tmp_path_factory.mktemp("store")
    sample = case.rows.to_numpy() if case.array else case.rows
    saved = salver.save(case.model, "case", sample=sample, store=folder)
    with ExitStack() as open_faces:
        version = salver.Registry(str(folder)).fetch("case", saved.version)
        yield Stored(case, saved, {name: open_faces.enter_context(face(version)) for name, face in FACES.items()})


def agrees(stored: Stored, got: tuple[list[Any], Any]) -> None:
    assert_same(stored.saved, got, stored.wanted, stored.shares)


def assert_same(saved: Saved, got: tuple[list[Any], Any], wanted: list[Any], wanted_shares: Any) -> None:
    predictions, shares = got
    tolerance = 1e-5
    if saved.manifest.signature.prediction.classes is not None:
        assert predictions == wanted
    else:
        np.testing.assert_allclose(predictions, wanted, rtol=tolerance, atol=tolerance)
    if wanted_shares is not None and shares is not None:
        np.testing.assert_allclose(shares, wanted_shares, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("source", SOURCES)
def test_answers_are_those_of_the_training_script(stored: Stored, source: str, face: str) -> None:
    if stored.case.array and source == "pandas_turned":
        pytest.skip("a model without names takes columns by their place")
    agrees(stored, stored.faces[face](SOURCES[source](stored.case.rows)))


STRANGE = {"plan": "gold", "region": "far away", "tier": 99}


@pytest.mark.parametrize("column", STRANGE)
def test_a_category_that_training_did_not_see(stored: Stored, column: str) -> None:
    """It is answered as the model itself does, or refused where the model refuses it."""
    case, ask = stored.case, stored.faces["rows"]
    if case.array:
        pytest.skip("it has numbers only")
    rows = case.rows.astype({column: object}).head(20)
    rows.loc[rows.index[::2], column] = STRANGE[column]
    declared = next(c for c in stored.saved.manifest.signature.columns if c.name == column)
    if not declared.unseen and declared.dtype == "category":
        with pytest.raises(InputError) as refused:
            ask(rows)
        assert refused.value.code == "unseen_category"
        return
    kind = case.rows[column].dtype
    # In a DataFrame of the training's own categories there is no other: it becomes a missing one.
    known = rows.assign(**{column: rows[column].where(rows[column] != STRANGE[column])}) if kind == "category" else rows
    wanted, shares = asked(Case(case.model, known.astype({column: kind})))
    assert_same(stored.saved, ask(rows), wanted, shares)


@pytest.mark.parametrize("written", [csv, parquet])
def test_rows_in_files(stored: Stored, written: Any, tmp_path: Path) -> None:
    agrees(stored, stored.faces["columns"](written(stored.case.rows, tmp_path)))
