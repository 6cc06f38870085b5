"""XGBoost's Booster and its scikit-learn interface, and the files that both save (.json, .ubj).

A file that the scikit-learn interface saved is read as that; any other as a Booster, which answers with numbers.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from salver.errors import ModelFileError
from salver.frameworks.hints import Hints
from salver.types.framework import Framework
from salver.types.signature import Column, Columns, Label, Output, Signature

_WRAPPERS = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}


class XGBoostModel:
    """A Booster, or an estimator around one."""

    tolerance = 1e-5  # it computes in float32

    def __init__(self, model: Any, hints: Hints) -> None:
        import xgboost

        self.model = model
        self._booster = booster_of(model)
        self._wrapped = self._booster is not model
        learner = json.loads(self._booster.save_config())["learner"]
        self._targets = int(learner["learner_model_param"].get("num_target", "1"))
        self._objective = str(learner["objective"]["name"])
        # A DMatrix refuses infinity, the in-place prediction of the estimators over trees does not.
        self._in_place = self._wrapped and learner["gradient_booster"]["name"] != "gblinear"
        self._categories = categories_of(self._booster)
        if None in self._categories and hints:
            self._categories = _hinted(self._booster, self._categories, hints)
        self.framework = Framework("xgboost", xgboost.__version__, type(model).__name__)
        self.signature = self._signature()

    def predict(self, columns: Columns) -> Columns:
        X = self._feed(columns)
        made: Columns = {"prediction": np.asarray(self.model.predict(X))}
        for output in self.signature.outputs:
            if output.name == "probabilities":
                made["probabilities"] = np.asarray(self.model.predict_proba(X), dtype=np.float64)
            elif output.classes is not None:
                # Its classes are 0, 1, …, so that a label is its own index.
                made[output.name] = made[output.name].astype(np.int64)
            else:
                made[output.name] = made[output.name].astype(np.float64)
        return made

    def answer(self, columns: Columns) -> Any:
        return self.model.predict(self._feed(columns))

    def _feed(self, columns: Columns) -> Any:
        import xgboost

        X = self._table(columns)
        if self._wrapped:
            return X
        return xgboost.DMatrix(
            X,
            feature_names=self._booster.feature_names,
            feature_types=self._booster.feature_types,
            enable_categorical=True,
        )

    def _table(self, columns: Columns) -> Any:
        if not self.signature.named:
            return np.stack([columns[name] for name in self.signature.names], axis=1)
        import pandas

        return pandas.DataFrame(
            {
                column.name: pandas.Categorical(columns[column.name], categories=list(column.categories))
                if column.categories is not None
                else columns[column.name]
                for column in self.signature.columns
            }
        )

    def _signature(self) -> Signature:
        names = self._booster.feature_names
        columns = [self._column(i, f"x{i}" if names is None else names[i]) for i in range(self._booster.num_features())]
        task = {"XGBClassifier": "classification", "XGBRFClassifier": "classification"}.get(type(self.model).__name__)
        outputs = self._classes() if task else self._numbers(columns)
        return Signature(tuple(columns), outputs, "classification" if task else "regression", names is not None)

    def _column(self, i: int, name: str) -> Column:
        categories = self._categories[i]
        if categories is not None:
            return Column(name, "category", nullable=True, categories=categories)
        return Column(name, "float32", nullable=True, infinite=self._in_place)

    def _classes(self) -> tuple[Output, ...]:
        if self._targets > 1:
            return (Output("prediction", "int64", (self._targets,), ((0, 1),) * self._targets),)
        classes = tuple(range(int(self.model.n_classes_)))
        prediction = Output("prediction", "int64", classes=classes)
        if self._objective == "multi:softmax":
            return (prediction,)  # its predict_proba has only the label
        return (prediction, Output("probabilities", "float64", (len(classes),)))

    def _numbers(self, columns: list[Column]) -> tuple[Output, ...]:
        plain: Columns = {}
        for column in columns:
            plain[column.name] = np.zeros(1)
            if column.categories is not None:
                plain[column.name] = np.array([column.categories[0]], dtype=object)
        self.signature = Signature(tuple(columns), (), named=self._booster.feature_names is not None)
        return (Output("prediction", "float64", self.answer(plain).shape[1:]),)


def booster_of(model: Any) -> Any:
    """The Booster inside, which has all trees that were trained. Raises ModelFileError when there is none."""
    if type(model).__name__ == "Booster":
        return model
    if not hasattr(model, "get_booster") or not model.__sklearn_is_fitted__():
        raise ModelFileError(f"{type(model).__name__} is not a fitted XGBoost model")
    return model.get_booster()


def categories_of(booster: Any) -> list[tuple[Label, ...] | None]:
    """The categories of each column, None for numbers and where the model does not know them (before XGBoost 3.1)."""
    width = int(booster.num_features())
    if "c" not in (booster.feature_types or ()):
        return [None] * width
    model = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]
    encoded: list[dict[str, Any]] = model.get("gbtree", model)["model"].get("cats", {}).get("enc") or [{}] * width
    return [_decoded(column) for column in encoded]


def _hinted(booster: Any, known: list[tuple[Label, ...] | None], hints: Hints) -> list[tuple[Label, ...] | None]:
    """With the categories that a sample told, where the model has the codes of categories only."""
    names, kinds = booster.feature_names or [], booster.feature_types or []
    told = [hints[name].categories if kind == "c" and name in hints else None for name, kind in zip(names, kinds, strict=True)]
    return [categories or hint for categories, hint in zip(known, told, strict=True)] if told else known


def _decoded(column: dict[str, Any]) -> tuple[Label, ...] | None:
    """Text is stored as bytes and where each one begins, numbers as they are."""
    values = column.get("values")
    if not values:
        return None
    if "offsets" not in column:
        return tuple(values)
    raw, at = bytes(value % 256 for value in values), column["offsets"]
    return tuple(raw[start:stop].decode(errors="replace") for start, stop in pairwise(at))


def read(path: Path, hints: Hints) -> XGBoostModel:
    """Read a file that `save_model` wrote. Raises ModelFileError."""
    import xgboost

    booster: Any = xgboost.Booster()
    try:
        booster.load_model(path)
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise ModelFileError(f"{path.name} is not an XGBoost model; save it with save_model('model.json')") from error
    kind = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
    if kind not in _WRAPPERS:
        return XGBoostModel(booster, hints)
    estimator: Any = getattr(xgboost, _WRAPPERS[kind])()
    estimator.load_model(path)
    return XGBoostModel(estimator, hints)


def adapt(model: Any, hints: Hints) -> XGBoostModel:
    """The adapter of a Booster or of a fitted estimator. Raises ModelFileError."""
    return XGBoostModel(model, hints)
