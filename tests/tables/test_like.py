"""Answers come back in the kind in which they were asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from salver import tables

FRAME = pd.DataFrame({"a": [1.0, 2.0]}, index=["r", "s"])
LABELS = {"prediction": np.array(["no", "yes"], dtype=object)}
SHARES = {"no": np.array([0.75, 0.25]), "yes": np.array([0.25, 0.75])}


def test_pandas() -> None:
    made = tables.like(FRAME, LABELS)
    assert made.to_dict() == {"r": "no", "s": "yes"}
    assert made.name == "prediction"
    assert tables.like(FRAME, SHARES).to_dict("index") == {"r": {"no": 0.75, "yes": 0.25}, "s": {"no": 0.25, "yes": 0.75}}
    assert list(tables.like(FRAME, {"embedding": np.zeros((2, 3))}).columns) == ["embedding_0", "embedding_1", "embedding_2"]


def test_polars() -> None:
    frame = pl.from_pandas(FRAME)
    assert tables.like(frame, LABELS).to_list() == ["no", "yes"]
    assert tables.like(frame, SHARES).to_dicts() == [{"no": 0.75, "yes": 0.25}, {"no": 0.25, "yes": 0.75}]


def test_arrow() -> None:
    table = pa.Table.from_pandas(FRAME)
    assert tables.like(table, LABELS).to_pylist() == ["no", "yes"]
    assert tables.like(table, SHARES).to_pylist()[0] == {"no": 0.75, "yes": 0.25}


def test_numpy() -> None:
    array = np.zeros((2, 1))
    assert tables.like(array, LABELS).tolist() == ["no", "yes"]
    assert tables.like(array, SHARES).tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_rows() -> None:
    one = {name: array[:1] for name, array in LABELS.items()}
    shares = {name: array[:1] for name, array in SHARES.items()}
    cases: list[tuple[Any, Any, Any]] = [
        ([{"a": 1.0}, {"a": 2.0}], LABELS, ["no", "yes"]),
        ([{"a": 1.0}, {"a": 2.0}], SHARES, [{"no": 0.75, "yes": 0.25}, {"no": 0.25, "yes": 0.75}]),
        ([[1.0], [2.0]], SHARES, [[0.75, 0.25], [0.25, 0.75]]),
        ({"a": 1.0}, one, "no"),
        ({"a": 1.0}, shares, {"no": 0.75, "yes": 0.25}),
        ({"a": [1.0]}, one, ["no"]),
        ([1.0, 2.0], one, "no"),
        ([[1.0, 2.0]], one, ["no"]),
    ]
    for data, columns, made in cases:
        assert tables.like(data, columns) == made
