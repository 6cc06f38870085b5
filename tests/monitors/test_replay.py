"""Replay: what changes, for whom, and which is better."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from scipy.stats import binomtest

from salver.monitors.replay import compare, mcnemar
from tests.serving import SALVER, serving


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (3, 9), (9, 3), (40, 41), (5, 0), (1200, 1300)])
def test_mcnemar_is_the_exact_binomial_test(lost: int, won: int) -> None:
    want = binomtest(lost, lost + won, 0.5).pvalue if lost + won else 1.0
    assert mcnemar(lost, won) == pytest.approx(want, rel=1e-6)


def test_many_pairs_are_nearly_exact() -> None:
    assert mcnemar(6000, 6200) == pytest.approx(binomtest(6000, 12200, 0.5).pvalue, rel=0.02)


def rows_of(count: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    return [{"plan": "basic" if i % 4 else "pro", "age": float(draw.integers(18, 80)), "name": f"n{i}"} for i in range(count)]


def test_for_whom_and_which_is_better() -> None:
    rows = rows_of(1000)
    before = ["no"] * 1000
    after = ["yes" if row["plan"] == "pro" and row["age"] > 50 else "no" for row in rows]
    found = compare(rows, before, after, after, 3, numeric=False)
    assert found.refused == 3 and list(found.flips) == ["no → yes"]
    assert {(one.column, one.value) for one in found.segments[:1]} == {("plan", "pro")}
    assert all(one.column != "name" for one in found.segments)
    assert found.verdict and (found.verdict.better, found.verdict.after) == ("after", 1.0)
    assert compare(rows, before, after, [None] * 1000, 0, numeric=False).verdict is None
    assert compare(rows, after, before, after, 0, numeric=False).verdict.better == "before"  # type: ignore[union-attr]
    assert compare(rows, before, before, after, 0, numeric=False).verdict.better == "neither"  # type: ignore[union-attr]


def test_numbers() -> None:
    draw = np.random.default_rng(1)
    truth = draw.normal(size=500)
    before, after = truth + draw.normal(size=500), truth + 0.5 * draw.normal(size=500)
    found = compare([{"x": 1.0}] * 500, before.tolist(), after.tolist(), truth.tolist(), 0, numeric=True)
    assert found.changed.value == 1.0
    assert found.difference["max"] == pytest.approx(np.abs(after - before).max())
    assert found.verdict and (found.verdict.measure, found.verdict.better) == ("mae", "after")
    assert compare([{"x": 1.0}] * 500, before.tolist(), before.tolist(), truth.tolist(), 0, numeric=True).changed.value == 0


def test_several_answers_a_row() -> None:
    rows = [{"x": float(i)} for i in range(60)]
    good, bad = [["a", "b"]] * 60, [["a", "a"]] * 60
    labels = [["a", "b"] if i % 2 else [None, "b"] for i in range(60)]
    found = compare(rows, bad, good, labels, 0, numeric=False)
    assert found.changed.value == 1 and found.verdict
    assert (found.verdict.measure, found.verdict.better, found.verdict.after) == ("exact_match", "after", 1.0)
    numbers = compare(rows, [[1.0, 5.0]] * 60, [[1.0, 2.0]] * 60, [[None, 2.0]] * 60, 0, numeric=True)
    assert numbers.verdict and (numbers.verdict.before, numbers.verdict.after) == (3.0, 0.0)
    assert numbers.changed.value == 1 and numbers.difference["max"] == 3


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SALVER, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_a_version_that_was_trained_wrongly_is_found_out(tmp_path: Path) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    X, y = load_iris(return_X_y=True)
    store = tmp_path / "store"
    for name, labels in (("good", y), ("bad", np.where(y == 2, 1, y))):
        joblib.dump(LogisticRegression(max_iter=1000).fit(X, labels), tmp_path / f"{name}.pkl")
        saved = run("save", tmp_path / f"{name}.pkl", "--name", "iris", "--store", store)
        assert saved.returncode == 0, saved.stderr
    with serving(["iris@1"], store=store) as server:
        ids = httpx.post(f"{server.url}/models/iris/predict", json={"instances": X.tolist()}, timeout=30).json()["ids"]
        labels = [{"id": one, "label": int(label)} for one, label in zip(ids, y, strict=True)]
        assert httpx.post(f"{server.url}/models/iris/labels", json={"labels": labels}, timeout=60).json()["matched"] == 150
    found = run("replay", "iris@2", "--store", store, "--json")
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["rows"] == 150 and told["verdict"]["better"] == "before" and told["verdict"]["after"] < 0.7
    assert list(told["flips"]) == ["2 → 1"] and told["segments"][0]["column"] in ("x2", "x3")
    assert run("replay", "iris@2", "--store", store, "--fail-if-worse").returncode == 1
    assert run("replay", "iris@1", "--store", store, "--fail-if-worse", "--fail-if-changed", 0).returncode == 0
    accuracy = run("accuracy", "iris", "--store", store)
    assert "0.97" in accuracy.stdout, accuracy.stderr
