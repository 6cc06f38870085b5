"""What labels would say, told from probabilities: as the labels say it where probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from salver.monitors.expected import expected_metrics, recalibrated


def test_recalibrated_scores_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    scores = draw.random(3000).round(3)
    labels = (draw.random(3000) < scores**2).astype(int)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    current = draw.uniform(-0.1, 1.1, 1000)
    assert recalibrated(scores, labels, current) == pytest.approx(isotonic.predict(current), abs=1e-12)


def test_metrics_are_what_labels_say_on_average() -> None:
    draw = np.random.default_rng(1)
    p = draw.beta(2, 3, 200_000)
    said, truth = (p > 0.4).astype(int), (draw.random(200_000) < p).astype(int)
    found = expected_metrics(p, said)
    told = {
        "accuracy": accuracy_score(truth, said),
        "precision": precision_score(truth, said),
        "recall": recall_score(truth, said),
        "specificity": recall_score(1 - truth, 1 - said),
        "f1": f1_score(truth, said),
        "roc_auc": roc_auc_score(truth, p),
    }
    assert found == pytest.approx(told, abs=0.005)


def test_labels_that_are_known_are_probabilities_too() -> None:
    """Of 0 and 1, it is scikit-learn's figure, ties in the scores and all."""
    draw = np.random.default_rng(2)
    scores, truth = draw.random(500).round(1), draw.integers(0, 2, 500)
    said = (scores > 0.5).astype(int)
    found = expected_metrics(truth, said, scores)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(truth, scores), rel=1e-12)
    assert found["f1"] == pytest.approx(f1_score(truth, said), rel=1e-12)
    assert expected_metrics([0.0, 0.0], [0, 0])["precision"] == 0
