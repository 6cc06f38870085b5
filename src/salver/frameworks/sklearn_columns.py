"""What a fitted scikit-learn estimator, however composed, says about each of its input columns.

The estimator is walked from its inputs: as long as a step hands a column on unchanged (imputers, selectors,
"passthrough"), the next step's knowledge is still about that column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from salver.types.signature import Column, Label

At = list[int | None]
"""For each column a step is given: which input column of the whole model it is, None when it is none any more."""

_HELD = ("best_estimator_", "estimator_", "regressor_", "final_estimator_", "estimator")
_HELD_MANY = ("estimators_", "calibrated_classifiers_")
_FLOAT32_LIBRARIES = ("xgboost", "catboost")


class Use:
    """What the consumers of one input column make of it."""

    def __init__(self) -> None:
        self.categories: dict[Label, None] = {}  # in the order in which the encoders know them
        self.fills: dict[Label, None] = {}  # what an imputer puts in place of a missing category
        self.allowed: set[Label] | None = None  # what the encoders that refuse others know, None: anything
        self.strict = False  # one that refuses others takes it
        self.text = False
        self.hashed = False  # its consumer knows its categories by their hashes only
        self.float32 = False
        self.used = False  # something inside is given it
        self.frame: tuple[Label, ...] | None = None  # it is to be a pandas Categorical of these categories
        self.missing: Any = np.nan  # how the encoders know a missing category: NaN or None

    def column(self, name: str, frame: bool, hint: Column | None) -> Column:
        """The column, before anything is known about missing, infinite and unseen values.

        What a sample told (`hint`) counts where nothing inside the model knows better.
        """
        if self.text:
            known = hint.categories if hint is not None and self.hashed else None
            return Column(name, "category", categories=known) if known else Column(name, "string")
        if self.frame is not None and frame:
            return Column(name, "category", categories=self.frame)
        if frame and not self.used:
            return _dropped(name, hint)
        known = {**self.categories, **self.fills}
        if self.strict or any(isinstance(label, str) for label in known):
            legal = tuple(label for label in known if self.allowed is None or label in self.allowed)
            return Column(name, "category", categories=legal)
        if hint is not None and hint.dtype == "string":
            return Column(name, "string")
        if hint is not None and (hint.dtype in ("category", "bool") or hint.dtype.startswith(("int", "uint"))):
            return Column(name, hint.dtype, categories=hint.categories)
        return Column(name, "float32" if self.float32 else "float64")

    def learn(self, categories: Any, strict: bool) -> None:
        """An encoder knows these categories and, when `strict`, refuses all others."""
        labels = np.asarray(categories).tolist()
        if any(label is None for label in labels):
            self.missing = None
        known = [label for label in labels if not _is_missing(label)]
        self.categories.update(dict.fromkeys(known))
        if strict:
            self.strict = True
            self.allowed = set(known) if self.allowed is None else self.allowed & set(known)


def _dropped(name: str, hint: Column | None) -> Column:
    """A column that nothing inside is given: as the sample shows it; without one, whatever it holds."""
    if hint is None:
        return Column(name, "category", categories=())
    if hint.dtype == "string" and hint.categories:
        return Column(name, "category", categories=hint.categories)
    return Column(name, hint.dtype, categories=hint.categories if hint.dtype == "category" else None)


class Walk:
    """A walk over a fitted estimator that fills `uses`, one an input column, and finds the loosest precision inside."""

    def __init__(self, width: int) -> None:
        self.uses = [Use() for _ in range(width)]
        self.single = False  # something inside computes in float32

    def visit(self, model: Any, at: At) -> None:
        """Note what `model`, given the columns `at`, says about them."""
        if model is None or isinstance(model, str):
            return
        self._look(model, at)
        if hasattr(model, "steps"):
            for _, step in model.steps:
                self.visit(step, at)
                at = carried(step, at)
        elif hasattr(model, "transformers_"):
            for _, part, spec in model.transformers_:
                columns = [at[i] for i in selected(model, spec) if i < len(at)]
                self._use(columns if part == "passthrough" else [])
                self.visit(part, columns)
        elif hasattr(model, "transformer_list"):
            for _, part in model.transformer_list:
                self.visit(part, at)
        else:
            self._use(at)
            for part, columns in _parts(model):
                self.visit(part, at if columns is None else [at[i] for i in columns if i < len(at)])

    def _use(self, at: At) -> None:
        for i in at:
            if i is not None:
                self.uses[i].used = True

    def _look(self, model: Any, at: At) -> None:
        kind, library = type(model).__name__, type(model).__module__
        self.single |= library.startswith(_FLOAT32_LIBRARIES) or _holds_float32(model)
        uses = [(i, self.uses[j]) for i, j in enumerate(at) if j is not None]
        if library.startswith(("sklearn.tree", *_FLOAT32_LIBRARIES)):
            for _, use in uses:
                use.float32 = True
        if library.startswith(("lightgbm", "xgboost", "catboost")):
            _look_at_booster(model, uses)
        elif kind in ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder"):
            strict = getattr(model, "handle_unknown", "ignore") == "error"
            for i, use in uses:
                use.learn(model.categories_[i], strict)
        elif kind == "SimpleImputer" and np.asarray(model.statistics_).dtype == object:
            for i, use in uses:
                use.missing = model.missing_values
                if isinstance(model.statistics_[i], str):
                    use.fills[model.statistics_[i]] = None
        elif kind == "CategoricalNB":
            for i, use in uses:
                use.learn(np.arange(model.n_categories_[i]), strict=True)
        elif kind.startswith("HistGradientBoosting") and model.is_categorical_ is not None:
            self._look_at_histogram(model, uses)
        elif kind in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"):
            for _, use in uses:
                use.text = True

    def _look_at_histogram(self, model: Any, uses: list[tuple[int, Use]]) -> None:
        # It knows its categories by an OrdinalEncoder of its own, over its categorical columns in their order.
        encoder = model._preprocessor.named_transformers_["encoder"]
        places = np.flatnonzero(model.is_categorical_).tolist()
        for i, use in uses:
            if model.is_categorical_[i]:
                use.learn(encoder.categories_[places.index(i)], strict=False)
                use.strict = True  # numbers too are categories here; others than these count as missing


def _look_at_booster(model: Any, uses: list[tuple[int, Use]]) -> None:
    """Boosters keep the categories of the DataFrame that they were trained on; CatBoost keeps hashes of them."""
    library = type(model).__module__.partition(".")[0]
    if library == "catboost":
        text = {*model.get_cat_feature_indices(), *model.get_text_feature_indices()}
        for i, use in uses:
            use.text |= i in text
            use.hashed |= i in text
        return
    adapter: Any = import_module(f"salver.frameworks.{library}")
    known = adapter.categories_of(adapter.booster_of(model))
    for i, use in uses:
        if known[i] is not None:
            use.frame = known[i]


def _parts(model: Any) -> Iterator[tuple[Any, Sequence[int] | None]]:
    """The fitted estimators inside a meta-estimator, each with the columns it is given (None: all)."""
    support = model.get_support(indices=True) if type(model).__name__ in ("RFE", "RFECV") else None
    fitted = [name for name in _HELD if hasattr(model, name)]
    if fitted and fitted[0] == "estimator" and not _is_fitted_inside(model):
        fitted = []
    for name in fitted[:1]:
        yield getattr(model, name), support
    features = getattr(model, "estimators_features_", None)
    for name in _HELD_MANY:
        held: Any = getattr(model, name, [])
        # Only an array has more than one axis: numpy would take a forest in a list for a list of trees.
        for k, part in enumerate(held.ravel().tolist() if isinstance(held, np.ndarray) else held):
            yield part, None if features is None else features[k]


def _is_fitted_inside(model: Any) -> bool:
    # These two keep the fitted estimator under the name under which others keep the template.
    return type(model).__name__ in ("FrozenEstimator", "_CalibratedClassifier")


def _holds_float32(model: Any) -> bool:
    attributes: dict[str, Any] = vars(model)
    fitted = [value for name, value in attributes.items() if name.endswith("_") and not name.startswith("_")]
    arrays: list[Any] = [a for value in fitted for a in (value if type(value) is list else [value])]
    return any(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in arrays)


def carried(step: Any, at: At) -> At:
    """Which input columns a step's output columns still are."""
    if step is None or step == "passthrough":
        return at
    kind = type(step).__name__
    if kind == "FunctionTransformer" and step.func is None:
        return at
    if kind == "SimpleImputer":
        dropped = [not step.keep_empty_features and _is_missing(s) for s in np.asarray(step.statistics_).tolist()]
        return [i for i, gone in zip(at, dropped, strict=False) if not gone]
    if hasattr(step, "get_support"):
        return [at[i] for i in step.get_support(indices=True) if i < len(at)]
    if hasattr(step, "steps"):
        for _, part in step.steps:
            at = carried(part, at)
        return at
    if hasattr(step, "transformers_"):
        return _carried_by_columns(step, at)
    return []


def _carried_by_columns(model: Any, at: At) -> At:
    width = max((s.stop for s in model.output_indices_.values()), default=0)
    made: At = [None] * width
    for name, part, spec in model.transformers_:
        if part is None or (isinstance(part, str) and part == "drop"):
            continue
        block = carried(part, [at[i] for i in selected(model, spec) if i < len(at)])
        start = model.output_indices_[name].start
        made[start : start + len(block)] = block
    return made


def selected(model: Any, spec: Any) -> list[int]:
    """The column numbers that a fitted ColumnTransformer means by names, numbers, a slice or a mask."""
    names = list(getattr(model, "feature_names_in_", []))
    width = model.n_features_in_
    if isinstance(spec, str):
        return [names.index(spec)]
    if type(spec) is slice:
        if isinstance(spec.start, str) or isinstance(spec.stop, str):
            start = names.index(spec.start) if spec.start is not None else 0
            stop = names.index(spec.stop) + 1 if spec.stop is not None else width  # a slice of names includes its end
            return list(range(width))[start : stop : spec.step]
        return list(range(width))[spec]
    if np.ndim(spec) == 0:
        return [range(width)[int(spec)]]
    chosen = list(spec)
    if chosen and all(isinstance(c, bool | np.bool_) for c in chosen):
        return [i for i, taken in enumerate(chosen) if taken]
    return [names.index(c) if isinstance(c, str) else range(width)[int(c)] for c in chosen]


def _is_missing(value: Any) -> bool:
    return value is None or value != value
