"""Tables of encoders, held against the encoders themselves: known, missing and never seen values side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from salver.lower.converters import transform
from salver.lower.estimators.encoders import answers
from salver.lower.graph import Graph
from salver.types.signature import Label

_TEXT = np.array([["a", "x"], ["b", "y"], ["c", "x"], ["a", "z"], ["a", None]] * 6, dtype=object)
_NUMBERS = np.array([[1.0, 5.0], [2.0, 7.0], [4.0, 5.0], [1.0, 9.0], [1.0, 5.0]] * 6)
_TARGET = np.arange(30) % 3
_CODES: list[tuple[Label, ...]] = [("a", "b", "c"), ("x", "y", "z")]

_ONE_HOT = [
    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    OneHotEncoder(drop=["b", "x"], handle_unknown="ignore", sparse_output=False),
    OneHotEncoder(min_frequency=8, handle_unknown="infrequent_if_exist"),
    OneHotEncoder(max_categories=2, handle_unknown="infrequent_if_exist", drop="first"),
]
_OTHERS = [
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    TargetEncoder(target_type="multiclass", cv=3, shuffle=False),
]


def graph_of(model: Any, categories: list[Any]) -> tuple[Any, list[str]]:
    """What the graph makes of a matrix, and the kinds of its nodes."""
    import onnx

    g = Graph(categories)
    made = g.model({"out": transform(model, g.x, g)})
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    return lambda X: session.run(None, {"X": X})[0], [node.op_type for node in onnx.load_from_string(made).graph.node]


def dense(values: Any) -> Any:
    return values.toarray() if hasattr(values, "toarray") else np.asarray(values)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("model", [*_ONE_HOT, *_OTHERS], ids=repr)
def test_codes_of_text(model: Any) -> None:
    model.fit(_TEXT, _TARGET)
    run, _ = graph_of(model, _CODES)
    values = [["a", "b", "c", "?"], ["x", "y", "z", None, "?"]]
    codes = [[0.0, 1.0, 2.0, -1.0], [0.0, 1.0, 2.0, np.nan, -1.0]]
    rows = np.array([[u, v] for u in values[0] for v in values[1]], dtype=object)
    coded = np.array([[u, v] for u in codes[0] for v in codes[1]])
    assert np.array_equal(run(coded), dense(model.transform(rows)), equal_nan=True)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("model", [_ONE_HOT[0], *_ONE_HOT[2:], *_OTHERS], ids=repr)
def test_numbers_and_codes_side_by_side(model: Any) -> None:
    model.fit(_NUMBERS, _TARGET)
    run, _ = graph_of(model, [None, (5.0, 7.0, 9.0)])
    rows = np.array([[u, v] for u in (1.0, 2.0, 3.0, 4.0) for v in (5.0, 7.0, 9.0, 8.0)])
    coded = rows.copy()
    coded[:, 1] = [{5.0: 0, 7.0: 1, 9.0: 2, 8.0: -1}[v] for v in rows[:, 1]]
    assert np.array_equal(run(coded), dense(model.transform(rows)), equal_nan=True)


@pytest.mark.parametrize("model", [_ONE_HOT[0], _ONE_HOT[2], _OTHERS[0]], ids=repr)
def test_more_columns_need_no_more_nodes(model: Any) -> None:
    made = [len(graph_of(model.fit(np.tile(_TEXT[:, :1], (1, n))), _CODES[:1] * n)[1]) for n in (2, 12)]
    assert made[0] == made[1] <= 12


def test_a_table_has_a_row_for_each_value_then_missing_then_unseen() -> None:
    model = _OTHERS[0].fit(_TEXT)
    assert answers(model, 0, ["b", "a"])[:, 0].tolist() == [1, 0, -1, -1]
    assert answers(model, 1, ["x"])[:, 0].tolist() == [0, 3, -1]  # None is a category like others


def test_what_an_encoder_refuses_is_no_number() -> None:
    model = OneHotEncoder().fit(_TEXT)
    table = answers(model, 0, ["a", "b", "c"])
    assert np.array_equal(table[:3], np.eye(3))
    assert np.isnan(table[3:]).all()
