"""LightGBM's Booster and its scikit-learn interface, and the text files that both save (.txt, .lgb).

A file always holds a Booster, which answers with numbers: for a binary objective the probability of the second class.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import ModelFileError
from salver.frameworks.base import indices
from salver.frameworks.hints import Hints
from salver.types.framework import Framework
from salver.types.signature import Column, Columns, Label, Output, Signature


class LightGBMModel:
    """A Booster, or an estimator around one."""

    tolerance = 1e-9

    def __init__(self, model: Any) -> None:
        import lightgbm

        self.model = model
        self._booster = booster_of(model)
        self._wrapped = self._booster is not model
        self.framework = Framework("lightgbm", lightgbm.__version__, type(model).__name__)
        self.signature = self._signature()

    def predict(self, columns: Columns) -> Columns:
        X = self._feed(columns)
        made: Columns = {}
        for output in self.signature.outputs:
            if output.name == "probabilities":
                made["probabilities"] = np.asarray(self.model.predict_proba(X), dtype=np.float64)
            elif output.classes is not None:
                made["prediction"] = indices(self.model.predict(X), output.classes)
            else:
                made["prediction"] = np.asarray(self.model.predict(X), dtype=np.float64)
        return made

    def answer(self, columns: Columns) -> Any:
        return self.model.predict(self._feed(columns))

    def _feed(self, columns: Columns) -> Any:
        if not self._framed:
            return np.stack([columns[column.name] for column in self._columns], axis=1)
        import pandas

        return pandas.DataFrame(
            {
                column.name: columns[column.name]
                if column.categories is None
                else pandas.Categorical(*_known(columns[column.name], column.categories))
                for column in self._columns
            }
        )

    def _signature(self) -> Signature:
        names = self._booster.feature_name()
        named = names != [f"Column_{i}" for i in range(len(names))]
        if not named:
            names = [f"x{i}" for i in range(len(names))]
        known = categories_of(self._booster)
        # A linear model in a leaf makes NaN of infinity.
        linear = "[linear_tree: 1]" in self._booster.model_to_string()
        self._columns = [_column(name, categories, not linear) for name, categories in zip(names, known, strict=True)]
        self._framed = any(known) or (self._wrapped and hasattr(self.model, "feature_names_in_"))
        classes = getattr(self.model, "classes_", None) if self._wrapped else None
        if classes is not None:
            labels: tuple[Label, ...] = tuple(np.asarray(classes).tolist())
            outputs = (Output("prediction", "int64", classes=labels), Output("probabilities", "float64", (len(labels),)))
            return Signature(tuple(self._columns), outputs, "classification", named)
        shape = np.shape(self.answer({column.name: _plain(column) for column in self._columns}))[1:]
        return Signature(tuple(self._columns), (Output("prediction", "float64", shape),), "regression", named)


def _column(name: str, categories: tuple[Label, ...] | None, infinite: bool) -> Column:
    """LightGBM takes everything; a category that it does not know is as good as missing."""
    if categories is None:
        return Column(name, "float64", nullable=True, infinite=infinite)
    return Column(name, "category", nullable=True, categories=categories, unseen=True)


def _plain(column: Column) -> NDArray[Any]:
    return np.zeros(1) if column.categories is None else np.array([column.categories[0]], dtype=object)


def _known(values: NDArray[Any], categories: tuple[Label, ...]) -> tuple[list[Any], list[Label]]:
    """The values with those that are not among the categories as missing: pandas wants it said."""
    known = frozenset(categories)
    return [value if value in known else None for value in values.tolist()], list(categories)


def booster_of(model: Any) -> Any:
    """The Booster inside. Raises ModelFileError when there is none."""
    if type(model).__name__ == "Booster":
        return model
    if not hasattr(model, "booster_") or not model.__sklearn_is_fitted__():
        raise ModelFileError(f"{type(model).__name__} is not a fitted LightGBM model")
    return model.booster_


def categories_of(booster: Any) -> list[tuple[Label, ...] | None]:
    """The categories of each column that came from a DataFrame as such. Raises ModelFileError when they can't be told
    apart.

    LightGBM stores lists of categories without saying whose they are; they are those of its categorical columns in
    order.
    """
    known: list[list[Label]] = booster.pandas_categorical or []
    made: list[tuple[Label, ...] | None] = [None] * booster.num_feature()
    if not known:
        return made
    columns = _categorical(booster)
    if len(columns) != len(known):
        raise ModelFileError(
            f"the model has {len(known)} columns of categories and {len(columns)} categorical features, "
            "so which is which is not known; train it with categorical_feature='auto'"
        )
    for i, categories in zip(columns, known, strict=True):
        made[i] = tuple(categories)
    return made


def _categorical(booster: Any) -> list[int]:
    found = re.search(r"^\[categorical_feature: ([\d,]+)\]$", booster.model_to_string(), re.MULTILINE)
    return [int(i) for i in found[1].split(",")] if found else []


def read(path: Path) -> LightGBMModel:
    """Read a file that `save_model` wrote. Raises ModelFileError."""
    import lightgbm

    if not path.read_bytes().startswith(b"tree\n"):
        raise ModelFileError(f"{path.name} is not a LightGBM model; save it with booster.save_model('model.txt')")
    try:
        return LightGBMModel(lightgbm.Booster(model_file=path))
    except lightgbm.basic.LightGBMError as error:
        raise ModelFileError(f"{path.name} is not a whole LightGBM model; save it again") from error


def adapt(model: Any, hints: Hints) -> LightGBMModel:
    """The adapter of a Booster or of a fitted estimator, which needs no hints. Raises ModelFileError."""
    return LightGBMModel(model)
