"""CatBoost's models, and the files that they save (.cbm).

A file of a model that knows classes is read as CatBoostClassifier, any other answers with numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import ModelFileError
from salver.frameworks.base import indices
from salver.frameworks.hints import Hints
from salver.types.framework import Framework
from salver.types.signature import Column, Columns, Output, Signature

_EXPONENT = ("Poisson", "Tweedie")
"""Losses whose regressor answers with the exponent of its sums; told of the class, not of the file."""


class CatBoostModel:
    """A fitted CatBoost, CatBoostClassifier, CatBoostRegressor or CatBoostRanker."""

    tolerance = 1e-9

    def __init__(self, model: Any, hints: Hints) -> None:
        import catboost

        if not hasattr(model, "is_fitted") or not model.is_fitted():
            raise ModelFileError(f"{type(model).__name__} is not a fitted CatBoost model")
        if model.get_embedding_feature_indices():
            raise ModelFileError("CatBoost's embedding features can't be sent as columns")
        self.model = model
        self._hints = hints
        self._cats = set(model.get_cat_feature_indices())
        self._texts = set(model.get_cat_feature_indices()) | set(model.get_text_feature_indices())
        self.framework = Framework("catboost", catboost.__version__, type(model).__name__)
        self.signature = self._signature()

    def predict(self, columns: Columns) -> Columns:
        X = self._feed(columns)
        made: Columns = {}
        for output in self.signature.outputs:
            if output.name == "probabilities":
                made["probabilities"] = np.asarray(self.model.predict_proba(X), dtype=np.float64)
                continue
            answer = np.asarray(self.model.predict(X))
            if output.is_multilabel:
                made["prediction"] = answer.astype(np.int64)
            elif output.classes is not None:
                made["prediction"] = indices(answer.ravel(), output.classes)  # (rows, 1) for more than two classes
            else:
                made["prediction"] = answer.astype(np.float64)
        return made

    def answer(self, columns: Columns) -> Any:
        return self.model.predict(self._feed(columns))

    def _feed(self, columns: Columns) -> Any:
        if not self._texts:
            return np.stack([columns[column.name] for column in self._columns], axis=1)
        import pandas

        # By position, so under the names that the model itself uses.
        values = (columns[column.name] if column.is_number else hashable(columns[column.name]) for column in self._columns)
        return pandas.DataFrame(dict(zip(self.model.feature_names_, values, strict=True)))

    def _signature(self) -> Signature:
        names = [str(name) for name in self.model.feature_names_]
        named = names != [str(i) for i in range(len(names))]
        self._columns = [self._column(i, name if named else f"x{i}") for i, name in enumerate(names)]
        if type(self.model).__name__ == "CatBoostClassifier":
            return Signature(tuple(self._columns), self._classes(), "classification", named)
        plain: Columns = {
            column.name: np.zeros(1)
            if column.is_number
            else np.array([column.categories[0] if column.categories else "a"], dtype=object)
            for column in self._columns
        }
        shape = np.shape(self.answer(plain))[1:]
        return Signature(tuple(self._columns), (Output("prediction", "float64", shape),), "regression", named)

    def _column(self, i: int, name: str) -> Column:
        if i in self._texts:
            # The model has the hashes of its categories only; a sample may know them.
            known = self._hints[name].categories if i in self._cats and name in self._hints else None
            return Column(name, "category", categories=known, unseen=True) if known else Column(name, "string")
        return Column(name, "float32", nullable=True, infinite=True)

    def _classes(self) -> tuple[Output, ...]:
        labels = tuple(np.asarray(self.model.classes_).tolist())
        if loss_of(self.model) in ("MultiLogloss", "MultiCrossEntropy"):
            return (Output("prediction", "int64", (len(labels),), ((0, 1),) * len(labels)),)
        return (Output("prediction", "int64", classes=labels), Output("probabilities", "float64", (len(labels),)))


def hashable(values: NDArray[Any]) -> NDArray[Any]:
    """Categories as CatBoost takes them: texts and whole numbers."""
    made = np.empty(len(values), dtype=object)
    made[:] = [
        (int(value) if value.is_integer() else str(value)) if isinstance(value, float) else value for value in values.tolist()
    ]
    return made


def loss_of(model: Any) -> str:
    """The loss without its parameters: "Logloss"."""
    return str(model.get_all_params().get("loss_function", "")).partition(":")[0]


def read(path: Path, hints: Hints) -> CatBoostModel:
    """Read a file that `save_model` wrote. Raises ModelFileError."""
    import catboost

    try:
        model: Any = catboost.CatBoost()
        model.load_model(str(path))
        if len(model.classes_):
            model = catboost.CatBoostClassifier()
            model.load_model(str(path))
        elif loss_of(model) in _EXPONENT:
            model = catboost.CatBoostRegressor(loss_function=model.get_all_params()["loss_function"])
            model.load_model(str(path))
    except catboost.CatBoostError as error:
        raise ModelFileError(f"{path.name} is not a CatBoost model; save it with save_model('model.cbm')") from error
    return CatBoostModel(model, hints)


def adapt(model: Any, hints: Hints) -> CatBoostModel:
    """The adapter of a fitted model. Raises ModelFileError."""
    return CatBoostModel(model, hints)
