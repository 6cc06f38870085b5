"""Metrics against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from salver.monitors.metrics import classification, regression


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classification(classes: int) -> None:
    draw = np.random.default_rng(classes)
    labels = draw.integers(0, classes, 500)
    shares: Any = draw.dirichlet(np.ones(classes), 500).round(2) + 1e-3
    shares /= shares.sum(axis=1, keepdims=True)
    prediction = shares.argmax(axis=1)
    made = classification(prediction, labels, classes, shares)
    assert made["accuracy"] == pytest.approx(sk.accuracy_score(labels, prediction))
    assert made["f1_macro"] == pytest.approx(sk.f1_score(labels, prediction, average="macro"))
    assert made["log_loss"] == pytest.approx(sk.log_loss(labels, shares))
    assert made["brier"] == pytest.approx(sk.brier_score_loss(labels, shares))
    if classes == 2:
        assert made["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, shares[:, 1]))


def test_regression() -> None:
    draw = np.random.default_rng(0)
    labels = draw.normal(size=300)
    prediction = labels + draw.normal(size=300)
    made = regression(prediction, labels)
    assert made["mae"] == pytest.approx(sk.mean_absolute_error(labels, prediction))
    assert made["rmse"] == pytest.approx(sk.root_mean_squared_error(labels, prediction))
    assert made["r2"] == pytest.approx(sk.r2_score(labels, prediction))
    assert "r2" not in regression(np.ones(3), np.ones(3))
