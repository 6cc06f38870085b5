"""Arithmetic in graphs against numpy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from scipy.special import expit
from scipy.stats import norm

from salver.errors import LoweringError
from salver.lower import arithmetic
from salver.lower.estimators.normal import inverse_normal
from salver.lower.graph import Graph, Value

_SMALL = np.array([[-0.9, -1e-3, -1e-12, 0.0, 1e-300, 1e-17, 1e-8, 0.5, 3.0, 200.0]]).T


def _run(write: Callable[[Graph, Value], Value], X: Any) -> Any:
    graph = Graph([None] * X.shape[1])
    made = graph.model({"y": write(graph, graph.x)})
    return onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"]).run(["y"], {"X": X})[0]


@pytest.mark.parametrize("name", ["log1p", "expm1"])
def test_small_numbers_are_not_lost(name: str) -> None:
    got = _run(lambda g, x: getattr(arithmetic, name)(g, x), _SMALL)
    np.testing.assert_allclose(got, getattr(np, name)(_SMALL), rtol=4e-16)


def test_ends_of_log1p_and_expm1() -> None:
    ends = np.array([[-np.inf, np.inf, 800.0, -800.0]]).T
    np.testing.assert_array_equal(_run(arithmetic.expm1, ends), np.array([[-1.0, np.inf, np.inf, -1.0]]).T)
    assert _run(arithmetic.log1p, np.array([[np.inf]]))[0, 0] == np.inf


def test_expit_of_very_negative_numbers() -> None:
    X = np.array([[-744.0, -710.0, -700.0, -40.0, 0.0, 40.0, 800.0]]).T
    np.testing.assert_allclose(_run(arithmetic.expit, X), expit(X), rtol=1e-15)


def test_quantiles_of_the_normal_distribution() -> None:
    p = np.linspace(1e-6, 1 - 1e-6, 999)[:, None]
    np.testing.assert_allclose(_run(inverse_normal, p), norm.ppf(p), rtol=1e-14, atol=1e-15)


def test_interpolation_is_numpys() -> None:
    xs, ys = np.array([0.0, 1.0, 1.0, 3.0]), np.array([5.0, 6.0, 8.0, 0.0])
    X = np.array([[-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 9.0]]).T
    got = _run(lambda g, x: arithmetic.interpolate(g, x, xs, ys), X)
    np.testing.assert_allclose(got[:, 0], np.interp(X[:, 0], xs, ys))


def test_distances_keep_small_differences_of_large_numbers() -> None:
    points = np.array([[1e6, 1e6], [1e6 + 1, 1e6]])
    got = _run(lambda g, x: arithmetic.squared_distances(g, x, points), points)
    np.testing.assert_allclose(got, [[0.0, 1.0], [1.0, 0.0]], atol=1e-12)


def test_a_row_for_all_does_not_look_at_the_values() -> None:
    got = _run(lambda g, x: arithmetic.same_for_all(g, x, [1.0, 2.0]), np.array([[np.nan], [np.inf]]))
    np.testing.assert_array_equal(got, [[1.0, 2.0]] * 2)


def test_codes_of_numbers_become_numbers_and_codes_of_text_do_not() -> None:
    graph = Graph([(5, 7), None])
    made = graph.model({"y": graph.numbers(graph.x)})
    X = np.array([[1.0, 0.5], [-1.0, 0.5], [np.nan, 0.5]])
    got = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"]).run(["y"], {"X": X})[0]
    np.testing.assert_array_equal(got, [[7.0, 0.5], [np.nan, 0.5], [np.nan, 0.5]])
    with pytest.raises(LoweringError, match="text"):
        Graph([("a", "b")]).numbers(Graph([("a", "b")]).x)
