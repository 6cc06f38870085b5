"""Probabilities of pairs → probabilities of classes, step by step as libsvm does it.

T.-F. Wu, C.-J. Lin and R. C. Weng, "Probability estimates for multi-class classification by pairwise coupling", JMLR 5 (2004),
second method; svm.cpp: sigmoid_predict and multiclass_probability. libsvm stops after a test, not at the solution, so the
same steps are taken and each row stops where libsvm would.
"""

from __future__ import annotations

from typing import Any

from salver.errors import LoweringError
from salver.lower.graph import Graph, Value


def coupled(g: Graph, decisions: Value, slopes: Any, offsets: Any, classes: int) -> Value:
    """Class probabilities (rows, classes) from the decisions of all pairs (rows, pairs). Raises LoweringError for now."""
    raise LoweringError("SVC(probability=True) couples its pairs step by step; calibrate it with CalibratedClassifierCV")
