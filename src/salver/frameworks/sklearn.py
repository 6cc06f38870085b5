"""scikit-learn's estimators and whatever has their interface."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.artifact.manifest import Framework
from salver.frameworks.base import indices
from salver.types.signature import Column, Columns, Output, Signature


class SklearnModel:
    """A fitted estimator or Pipeline."""

    def __init__(self, model: Any) -> None:
        from importlib.metadata import version

        self.model = model
        self.signature = describe(model)
        self.framework = Framework("scikit-learn", version("scikit-learn"), type(model).__name__)
        self.tolerance = 1e-9

    def predict(self, columns: Columns) -> Columns:
        X = self._frame(columns)
        made: Columns = {}
        for output in self.signature.outputs:
            if output.name == "probabilities":
                made["probabilities"] = np.asarray(self.model.predict_proba(X), dtype=np.float64)
            elif output.name == "scores":
                made["scores"] = np.asarray(self.model.decision_function(X), dtype=np.float64)
            elif output.classes is not None:
                made[output.name] = indices(self.model.predict(X), output.classes)
            else:
                made[output.name] = np.asarray(self.model.predict(X), dtype=np.float64)
        return made

    def answer(self, columns: Columns) -> Any:
        return self.model.predict(self._frame(columns))

    def _frame(self, columns: Columns) -> Any:
        return np.stack([columns[name] for name in self.signature.names], axis=1)


def describe(model: Any) -> Signature:
    """The signature of a fitted estimator, as far as the estimator itself tells."""
    columns = tuple(Column(f"x{i}") for i in range(model.n_features_in_))
    outputs = [Output("prediction", "int64", classes=tuple(model.classes_.tolist()))]
    outputs.append(Output("probabilities", "float64", (len(model.classes_),)))
    return Signature(columns, tuple(outputs), "classification")


def adapt(model: Any) -> SklearnModel:
    return SklearnModel(model)
