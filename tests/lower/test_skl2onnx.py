"""Somebody else's converters: their graphs take our rows and give our outputs, or the reason why not is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from salver.errors import LoweringError
from salver.frameworks.files import adapt
from salver.lower.proof import compare
from salver.lower.rows import proof_rows
from salver.lower.skl2onnx import convert
from salver.runtimes.base import load
from salver.types.rows import RowChecker
from tests.conformance.tables import binary, customers, numbers, several, switches, two_words, words


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (make_pipeline(StandardScaler(), LogisticRegression()), words),
        (make_pipeline(StandardScaler(), LogisticRegression()), two_words),
        (StandardScaler(), several),
        (OneClassSVM(nu=0.2), several),
    ],
)
def test_it_gives_the_outputs_of_the_signature(model: Any, table: Any, tmp_path: Path) -> None:
    trained = adapt(model.fit(*table()))
    runtime = load(convert(trained, tmp_path), trained.signature, tmp_path)
    rows = proof_rows(trained.model, trained.signature, 200)
    answer = runtime.predict({"X": RowChecker(trained.signature).code(rows)})
    runtime.close()
    assert [answer[output.name].dtype for output in trained.signature.outputs] == [
        np.dtype(output.dtype) for output in trained.signature.outputs
    ]
    flips, difference = compare(trained.signature, trained.predict(rows), answer)
    assert flips == 0
    assert difference < 1e-4  # some of its operators know single precision only; the proof decides


def refusal(trained: Any, folder: Path) -> str:
    with pytest.raises(LoweringError) as caught:
        convert(trained, folder)
    return caught.value.message


def test_it_is_not_asked_where_ours_have_written_a_graph(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").touch()
    assert refusal(adapt(LogisticRegression().fit(*binary())), tmp_path) == ""


def test_text_is_refused(tmp_path: Path) -> None:
    frame, y = customers()
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame[["plan"]], y)
    assert refusal(adapt(model), tmp_path) == "it does not take numbers alone"


def test_several_labels_are_refused(tmp_path: Path) -> None:
    assert refusal(adapt(DecisionTreeClassifier().fit(*switches())), tmp_path) == "it has several labels a row"


def test_the_reason_of_its_own_refusal_is_told(tmp_path: Path) -> None:
    X, y = numbers()
    model = make_pipeline(FunctionTransformer(np.sin), LogisticRegression()).fit(X, y > 0)
    assert "FunctionTransformer" in refusal(adapt(model), tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_libraries_are_not_its_business(tmp_path: Path) -> None:
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=2).fit(*binary())
    assert refusal(adapt(model), tmp_path) == "it does not take numbers alone"


def test_a_forest_of_single_precision_is_converted(tmp_path: Path) -> None:
    trained = adapt(RandomForestClassifier(3, random_state=0).fit(*several()))
    assert convert(trained, tmp_path).kind == "onnx"
