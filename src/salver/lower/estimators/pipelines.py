"""Pipelines, unions and column transformers: how parts are put together. And selectors, which only take columns away."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.frameworks.sklearn_columns import selected
from salver.lower.arithmetic import mul
from salver.lower.converters import Outputs, predict, predictor, transform, transformer
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, find_landmarks, landmarks_of

_SELECTORS = [
    "VarianceThreshold",
    "SelectKBest",
    "SelectPercentile",
    "SelectFpr",
    "SelectFdr",
    "SelectFwe",
    "GenericUnivariateSelect",
    "SelectFromModel",
    "RFE",
    "RFECV",
    "SequentialFeatureSelector",
]


def is_absent(part: Any) -> bool:
    """A step that hands its input on."""
    return part is None or (isinstance(part, str) and part == "passthrough")


def _is_dropped(part: Any) -> bool:
    return isinstance(part, str) and part == "drop"


def _steps(steps: list[tuple[str, Any]], x: Value, g: Graph) -> Value:
    for _, step in steps:
        x = x if is_absent(step) else transform(step, x, g)
    return x


@transformer("sklearn", "Pipeline")
def pipeline(model: Any, x: Value, g: Graph) -> Value:
    return _steps(model.steps, x, g)


@predictor("sklearn", "Pipeline")
def predicting_pipeline(model: Any, x: Value, g: Graph) -> Outputs:
    return predict(model.steps[-1][1], _steps(model.steps[:-1], x, g), g)


def _weighted(model: Any, name: str, made: Value, g: Graph) -> Value:
    weights: dict[str, float] = model.transformer_weights or {}
    return mul(g, g.numbers(made), weights[name]) if name in weights else made


@transformer("sklearn", "FeatureUnion")
def union(model: Any, x: Value, g: Graph) -> Value:
    parts: list[Value] = []
    for name, part in model.transformer_list:
        if _is_dropped(part):
            continue
        made = x if is_absent(part) else transform(part, x, g)
        parts.append(_weighted(model, name, made, g))
    return g.concat(parts)


@transformer("sklearn", "ColumnTransformer")
def by_columns(model: Any, x: Value, g: Graph) -> Value:
    parts: list[Value] = []
    for name, part, spec in model.transformers_:
        columns = selected(model, spec)
        if _is_dropped(part) or not columns:
            continue
        made = g.columns(x, columns)
        made = made if is_absent(part) else transform(part, made, g)
        parts.append(_weighted(model, name, made, g))
    if not parts:
        raise LoweringError("it drops all columns")
    return g.concat(parts)


@transformer("sklearn", *_SELECTORS)
def selector(model: Any, x: Value, g: Graph) -> Value:
    kept = model.get_support(indices=True).tolist()
    if not kept:
        raise LoweringError("it selects no columns")
    return g.columns(x, kept)


@predictor("sklearn", "RFE", "RFECV")
def eliminated(model: Any, x: Value, g: Graph) -> Outputs:
    return predict(model.estimator_, selector(model, x, g), g)


@landmarks_of("sklearn", "Pipeline")
def pipeline_landmarks(model: Any, landmarks: Landmarks) -> None:
    """Each step's landmarks, pulled back through the steps before it."""
    before: list[Any] = []
    for _, step in model.steps:
        if is_absent(step):
            continue
        # CatBoost's n_features_in_ is 0 when it comes out of a pickle.
        found = Landmarks(getattr(step, "n_features_in_", 0) or len(getattr(step, "feature_names_", ())))
        find_landmarks(step, found)
        _pull_back(before, found, landmarks)
        before.append(step)


def _pull_back(steps: list[Any], found: Landmarks, landmarks: Landmarks) -> None:
    landmarks.stepwise |= found.stepwise
    for rows in [*found.rows, *_as_rows(found)]:
        pulled: Any = rows
        for step in reversed(steps):
            pulled = before(step, pulled)
            if pulled is None:
                return
        if pulled.shape[1] == len(landmarks.values):
            _take(landmarks, pulled, whole=any(rows is r for r in found.rows))
    if not steps:
        landmarks.low.update(found.low)
        landmarks.high.update(found.high)


def _take(landmarks: Landmarks, rows: Any, whole: bool) -> None:
    if whole:
        landmarks.add_rows(rows)
        return
    for i in range(rows.shape[1]):
        landmarks.add(i, rows[:, i])


def _as_rows(found: Landmarks) -> list[Any]:
    """The values of the columns side by side, as rows that a transformer can take back; short columns are repeated."""
    longest = max((len(values) for values in found.values), default=0)
    if not longest:
        return []
    made = np.zeros((min(longest, 4000), len(found.values)))
    for i, values in enumerate(found.values):
        if values:
            made[:, i] = np.resize(np.asarray(values), len(made))
    return [made]


def before(step: Any, rows: Any) -> Any:
    """Rows that `step` turns into `rows`, or None when it can't tell."""
    if type(step).__name__ == "ColumnTransformer":
        return _before_columns(step, rows)
    if type(step).__name__ == "SimpleImputer":
        return rows if rows.shape[1] == step.n_features_in_ and rows.dtype.kind == "f" else None
    if type(step).__name__ == "FunctionTransformer" and step.func is None:  # so does a fitted ColumnTransformer pass on
        return rows
    if type(step).__name__ in ("FunctionTransformer", "OneHotEncoder") or not hasattr(step, "inverse_transform"):
        return None
    if hasattr(step, "steps"):
        for _, part in reversed(step.steps):
            rows = rows if is_absent(part) or rows is None else before(part, rows)
        return rows
    try:
        return np.asarray(step.inverse_transform(rows), dtype=np.float64)
    except ValueError:  # it was asked for numbers it could never have made
        return None


def _before_columns(model: Any, rows: Any) -> Any:
    made = np.zeros((len(rows), model.n_features_in_))
    for name, part, spec in model.transformers_:
        columns = selected(model, spec)
        block = rows[:, model.output_indices_[name]]
        if _is_dropped(part) or not columns:
            continue
        pulled = block if is_absent(part) else before(part, block)
        if pulled is not None and pulled.shape[1] == len(columns):
            made[:, columns] = pulled
    return made


@landmarks_of("sklearn", "ColumnTransformer")
def column_landmarks(model: Any, landmarks: Landmarks) -> None:
    for _, part, spec in model.transformers_:
        columns = selected(model, spec)
        if _is_dropped(part) or is_absent(part) or not columns:
            continue
        found = Landmarks(len(columns))
        find_landmarks(part, found)
        landmarks.stepwise |= found.stepwise
        for i, k in enumerate(columns):
            landmarks.add(k, found.values[i])
            for rows in found.rows:
                landmarks.add(k, rows[:, i])
            landmarks.limit(k, found.low.get(i), found.high.get(i))


@landmarks_of("sklearn", "FeatureUnion")
def union_landmarks(model: Any, landmarks: Landmarks) -> None:
    for _, part in model.transformer_list:
        find_landmarks(part, landmarks)


@landmarks_of("sklearn", *_SELECTORS)
def selector_landmarks(model: Any, landmarks: Landmarks) -> None:
    kept = model.get_support(indices=True)
    inner = getattr(model, "estimator_", None)
    if type(model).__name__ in ("RFE", "RFECV") and inner is not None:
        found = Landmarks(len(kept))
        find_landmarks(inner, found)
        landmarks.stepwise |= found.stepwise
        for i, k in enumerate(kept):
            landmarks.add(int(k), found.values[i])
