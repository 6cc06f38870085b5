"""Every metric is scikit-learn's, with and without weights; every interval holds the truth about 95 times of 100."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from salver.monitors.confusion import Confusion
from salver.monitors.estimate import mean, wilson
from salver.monitors.ranking import of_numbers, of_probabilities


def drawn(seed: int, rows: int, classes: int, ties: bool = False) -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, classes))
    labels = (logits + draw.gumbel(size=(rows, classes))).argmax(axis=1)
    shares = np.exp(logits)
    shares = shares / shares.sum(axis=1, keepdims=True)
    if ties:
        shares = np.round(shares, 1) + 0.01
        shares /= shares.sum(axis=1, keepdims=True)
    return labels, shares, draw.choice([0.5, 1.0, 3.0], rows)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_classification_is_as_scikit_learn_has_it(classes: int, weighted: bool, ties: bool) -> None:
    labels, shares, weights = drawn(classes, 800, classes, ties)
    weights = weights if weighted else np.ones(len(labels))
    guessed = shares.argmax(axis=1)
    confusion = Confusion(labels, guessed, weights, classes)
    got = confusion.estimates() | of_probabilities(labels, shares.T, weights)
    more: Any = {"sample_weight": weights}
    scores = shares[:, 1] if classes == 2 else shares
    many: Any = {} if classes == 2 else {"multi_class": "ovr", "average": "macro"}
    want = {
        "accuracy": sk.accuracy_score(labels, guessed, **more),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, guessed, **more),
        **{f"precision_{of}": sk.precision_score(labels, guessed, average=of, **more) for of in ("macro", "weighted")},
        **{f"recall_{of}": sk.recall_score(labels, guessed, average=of, **more) for of in ("macro", "weighted")},
        **{f"f1_{of}": sk.f1_score(labels, guessed, average=of, **more) for of in ("macro", "weighted")},
        "roc_auc": sk.roc_auc_score(labels, scores, **many, **more),
        "pr_auc": sk.average_precision_score(labels, scores, **more),
        "log_loss": sk.log_loss(labels, shares, **more),
        "brier": sk.brier_score_loss(labels, shares if classes > 2 else scores, **more),
    }
    assert got.keys() - want.keys() == {"calibration_error"}
    for name, value in want.items():
        assert got[name].value == pytest.approx(value, rel=1e-12, abs=1e-15), name
        assert got[name].low <= got[name].value <= got[name].high, name
    each = sk.precision_recall_fscore_support(labels, guessed, **more)
    for k in range(classes):
        own = confusion.of_class(k)
        assert [own[name].value for name in ("precision", "recall", "f1")] == pytest.approx([each[m][k] for m in range(3)])


def test_classes_that_do_not_occur_take_no_part() -> None:
    labels, guessed = np.array([0, 0, 2, 2]), np.array([0, 2, 2, 4])
    got = Confusion(labels, guessed, np.ones(4), 6).estimates()
    assert got["f1_macro"].value == pytest.approx(sk.f1_score(labels, guessed, average="macro", zero_division=0))
    assert got["precision_macro"].value == pytest.approx(sk.precision_score(labels, guessed, average="macro", zero_division=0))
    assert got["balanced_accuracy"].value == 0.5


def test_without_one_of_the_classes_there_is_no_area() -> None:
    got = of_probabilities(np.array([0, 0]), np.array([[0.9, 0.6], [0.1, 0.4]]), np.ones(2))
    assert "roc_auc" not in got and "log_loss" in got


@pytest.mark.parametrize("weighted", [False, True])
def test_calibration_error_is_the_mean_distance_over_bins(weighted: bool) -> None:
    labels, shares, weights = drawn(5, 2000, 3)
    weights = weights if weighted else np.ones(len(labels))
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    want = 0.0
    for k in range(15):
        chosen = (sure >= k / 15) & (sure < (k + 1) / 15)
        if chosen.any():
            inside = weights[chosen]
            want += abs(np.average(sure[chosen] - right[chosen], weights=inside)) * inside.sum() / weights.sum()
    assert of_probabilities(labels, shares.T, weights)["calibration_error"].value == pytest.approx(want)


@pytest.mark.parametrize("weighted", [False, True])
def test_regression_is_as_scikit_learn_has_it(weighted: bool) -> None:
    draw = np.random.default_rng(1)
    labels = draw.normal(3, 2, 500)
    guessed = labels + draw.normal(0.2, 1, 500)
    weights = draw.choice([1.0, 2.0, 7.0], 500) if weighted else np.ones(500)
    got = of_numbers(labels, guessed, weights)
    want = {
        "mae": sk.mean_absolute_error(labels, guessed, sample_weight=weights),
        "rmse": sk.root_mean_squared_error(labels, guessed, sample_weight=weights),
        "mape": sk.mean_absolute_percentage_error(labels, guessed, sample_weight=weights),
        "r2": sk.r2_score(labels, guessed, sample_weight=weights),
        "bias": np.average(guessed - labels, weights=weights),
    }
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name].value == pytest.approx(value, rel=1e-12), name


def test_intervals_hold_the_truth() -> None:
    """400 samples of 300 rows: of each metric's intervals, at least 90 of 100 hold the value of all rows."""
    labels, shares, _ = drawn(3, 120_000, 3)
    truth = _all(labels, shares)
    held = dict.fromkeys(truth, 0)
    for i in range(400):
        rows = slice(300 * i, 300 * (i + 1))
        for name, found in _all(labels[rows], shares[rows]).items():
            held[name] += found.low <= truth[name].value <= found.high
    del held["calibration_error"]  # of few rows it is too high by nature
    assert all(0.90 <= count / 400 <= 0.995 for count in held.values()), held


def _all(labels: Any, shares: Any) -> dict[str, Any]:
    ones = np.ones(len(labels))
    return Confusion(labels, shares.argmax(axis=1), ones, 3).estimates() | of_probabilities(labels, shares.T, ones)


def test_intervals_of_numbers_hold_the_truth() -> None:
    draw = np.random.default_rng(2)
    labels = draw.normal(3, 2, 120_000)
    guessed = labels + draw.normal(0.2, 1, 120_000)
    truth = of_numbers(labels, guessed, np.ones(120_000))
    held = dict.fromkeys(("mae", "rmse", "r2", "bias"), 0)
    for i in range(400):
        rows = slice(300 * i, 300 * (i + 1))
        found = of_numbers(labels[rows], guessed[rows], np.ones(300))
        for name in held:
            held[name] += found[name].low <= truth[name].value <= found[name].high
    assert all(0.91 <= count / 400 <= 0.985 for count in held.values()), held


def test_few_rows_and_none() -> None:
    assert wilson(0.0, 0) == wilson(0.0, 0)
    assert (wilson(1.0, 3).low, wilson(1.0, 3).high) == (pytest.approx(0.4385, abs=1e-4), 1.0)
    assert mean(np.array([2.0]), np.array([1.0])).value == 2.0
