"""scikit-learn's estimators and whatever has their interface.

What the signature lets through is asked of the model itself: a row with a missing, infinite or unseen value is legal
where the model answers it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from salver.errors import ModelFileError
from salver.frameworks.base import indices
from salver.frameworks.catboost import hashable
from salver.frameworks.hints import Hints
from salver.frameworks.sklearn_columns import Use, Walk
from salver.types.framework import Framework
from salver.types.signature import Column, Columns, Label, Output, Signature, Task

_PLAIN = (0.0, 1.0, 0.5, 2.0)
"""Numbers of which every model takes one: 0 is no good for a logarithm, 1 none for a share below it."""
NEVER_SEEN = "a category never seen"
_STRANGE_NUMBER = 987_654_321


class SklearnModel:
    """A fitted estimator or Pipeline."""

    def __init__(self, model: Any, hints: Hints) -> None:
        answer_in_one_thread(model)
        self.model = model
        walk = _walked(model)
        names = _names(model)
        columns = names or ["text" if _takes_documents(model) else f"x{i}" for i in range(len(walk.uses))]
        self._feed = Feed(columns, walk.uses, hints, frame=bool(names), document=_takes_documents(model))
        self.signature = _Questions(model, self._feed).signature()
        self.framework = Framework("scikit-learn", import_module("sklearn").__version__, described(model))
        self.tolerance = 1e-5 if walk.single else 1e-9

    def predict(self, columns: Columns) -> Columns:
        X = self._feed(columns)
        made: Columns = {}
        with _unwarned():
            for output in self.signature.outputs:
                if output.name == "probabilities":
                    made[output.name] = np.asarray(self.model.predict_proba(X), dtype=np.float64)
                elif output.name == "scores":
                    made[output.name] = np.asarray(self.model.decision_function(X), dtype=np.float64)
                else:
                    made[output.name] = _coded(dense(_asked(self.model)(X)), output)
        return made

    def answer(self, columns: Columns) -> Any:
        with _unwarned():
            return _asked(self.model)(self._feed(columns))


def answer_in_one_thread(model: Any) -> None:
    """Set n_jobs to 1 in the model and everything inside it, in place.

    Threads add their trees in the order in which they finish, so that the same row gets another sum each time; and requests
    share the cores already.
    """
    todo, seen = [model], set[int]()
    while todo:
        part = todo.pop()
        if isinstance(part, np.ndarray):
            part = part.tolist() if part.dtype == object else []
        if isinstance(part, dict):
            part = list(cast("dict[Any, Any]", part).values())
        if isinstance(part, list | tuple):
            todo += cast("list[Any]", part)
        elif hasattr(part, "get_params") and not isinstance(part, type) and id(part) not in seen:
            seen.add(id(part))
            held = vars(part)
            todo += held.values()
            if "n_jobs" in held:
                part.n_jobs = 1


@contextmanager
def _unwarned() -> Generator[None]:
    """Without warnings: they are meant for whoever trains the model, not for a row that it answers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def adapt(model: Any, hints: Hints | None = None) -> SklearnModel:
    """The adapter of a fitted estimator. Raises ModelFileError when it is not fitted or takes no rows of columns."""
    return SklearnModel(model, hints or {})


def described(model: Any) -> str:
    """The class, for people: "Pipeline(StandardScaler, SVC)"."""
    kind = type(model).__name__
    if hasattr(model, "steps"):
        return f"{kind}({', '.join(described(step) for _, step in model.steps if hasattr(step, 'get_params'))})"
    return kind


def dense(values: Any) -> NDArray[Any]:
    """A dense array of whatever `transform` or `predict` gave."""
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)


class Feed:
    """Arrays by column → what the model was trained on: a matrix, a DataFrame, or a list of documents."""

    def __init__(self, names: Sequence[str], uses: Sequence[Use], hints: Hints, *, frame: bool, document: bool) -> None:
        self.columns = [use.column(name, frame, hints.get(name)) for use, name in zip(uses, names, strict=True)]
        self.frame = frame
        self._hashed = [use.hashed for use in uses]
        self._categorical = [use.frame if frame else None for use in uses]
        self.single = False  # some models trained on float32 take nothing else
        self.missing = [use.missing for use in uses]
        self._document = document
        self._objects = any(_is_object(column) for column in self.columns)

    def __call__(self, columns: Columns) -> Any:
        if self._document:
            return columns[self.columns[0].name]
        if not self.frame and not self._objects:
            stacked = np.stack([columns[column.name] for column in self.columns], axis=1)
            return stacked.astype(np.float32) if self.single else stacked
        values = [self._values(i, columns[column.name]) for i, column in enumerate(self.columns)]
        if not self.frame:
            return np.stack([array.astype(object) for array in values], axis=1)
        pandas: Any = import_module("pandas")
        series = {
            column.name: pandas.Series(array, dtype=array.dtype)
            if known is None
            else pandas.Categorical([value if value in known else None for value in array.tolist()], categories=list(known))
            for column, array, known in zip(self.columns, values, self._categorical, strict=True)
        }
        return pandas.DataFrame(series)

    def _values(self, i: int, array: NDArray[Any]) -> NDArray[Any]:
        column = self.columns[i]
        if self._categorical[i] is not None:
            return array
        if self._hashed[i]:
            return hashable(array)
        if column.dtype == "category" and not _is_object(column):
            return np.array([np.nan if value is None else value for value in array.tolist()], dtype=np.float64)
        if column.dtype == "category":
            made = np.empty(len(array), dtype=object)
            made[:] = [self.missing[i] if value is None or value != value else value for value in array.tolist()]
            return made
        return array


class _Questions:
    """Finds out, by asking it, what a model takes and gives."""

    def __init__(self, model: Any, feed: Feed) -> None:
        self._model = model
        self._feed = feed
        self._plain = 0.0
        self._refusal = ""

    def signature(self) -> Signature:
        self._find_plain_number()
        columns = tuple(self._legal(self._feed.columns))
        task, outputs = self._outputs()
        return Signature(columns, outputs, task, named=self._feed.frame)

    def _find_plain_number(self) -> None:
        for self._feed.single in (False, True):
            for self._plain in _PLAIN:
                if self._accepts({}):
                    return
        raise ModelFileError(f"{described(self._model)} refuses a plain row of its columns: {self._refusal}")

    def _row(self, changed: dict[int, Any]) -> Columns:
        made: Columns = {}
        for i, column in enumerate(self._feed.columns):
            value = changed.get(i, _plain_value(column, self._plain))
            made[column.name] = np.empty(1, dtype=_dtype(column))
            made[column.name][0] = value
        return made

    def _ask(self, call: Callable[[Any], Any], changed: dict[int, Any]) -> NDArray[Any]:
        with _unwarned():
            return dense(call(self._feed(self._row(changed))))

    def _accepts(self, changed: dict[int, Any]) -> bool:
        try:
            with _unwarned():
                for call in _all_asked(self._model):
                    call(self._feed(self._row(changed)))
        except Exception as error:  # whatever a model raises on a row is its way of refusing it
            self._refusal = f"{type(error).__name__}: {str(error)[:200]}"
            return False
        return True

    def _which(self, columns: list[int], value: Callable[[Column], Any]) -> set[int]:
        """Those of `columns` that may hold `value`; halved until the model takes the half: most columns are alike."""
        if not columns:
            return set()
        if self._accepts({i: value(self._feed.columns[i]) for i in columns}):
            return set(columns)
        if len(columns) == 1:
            return set()
        half = len(columns) // 2
        return self._which(columns[:half], value) | self._which(columns[half:], value)

    def _legal(self, columns: list[Column]) -> list[Column]:
        every = list(range(len(columns)))
        numbers = [i for i in every if _is_float(columns[i])]
        coded = [i for i in every if columns[i].dtype == "category"]
        nullable = self._nullable([i for i in every if _is_float(columns[i]) or not columns[i].is_number], coded)
        infinite = self._which(numbers, lambda _: np.inf) & self._which(numbers, lambda _: -np.inf)
        unseen = self._which(coded, _strange)
        return [
            Column(
                c.name,
                "float32" if self._feed.single and _is_float(c) else c.dtype,
                (),
                i in nullable,
                i in infinite,
                c.categories,
                i in unseen,
            )
            for i, c in enumerate(columns)
        ]

    def _nullable(self, every: list[int], coded: list[int]) -> set[int]:
        found = self._which(every, lambda column: np.nan if column.is_number else None)
        # An encoder that was trained with None may not know NaN, and the other way round: take the one it knows.
        other = [i for i in coded if i not in found]
        for i in other:
            self._feed.missing[i] = None if self._feed.missing[i] is not None else np.nan
        return found | self._which(other, lambda _: None)

    def _outputs(self) -> tuple[Task, tuple[Output, ...]]:
        task = task_of(self._model)
        answer = self._ask(_asked(self._model), {})
        shape = answer.shape[1:]
        if task == "classification":
            return task, self._classification(shape)
        if task == "outlier":
            return task, (Output("prediction", "int64", classes=(-1, 1)), *self._scores())
        if task == "clustering":
            return task, (Output("prediction", "int64"),)
        return task, (Output("prediction", "string" if answer.dtype.kind in "OUS" else "float64", shape),)

    def _classification(self, shape: tuple[int, ...]) -> tuple[Output, ...]:
        classes: Any = getattr(self._model, "classes_", None)
        if classes is None:
            raise ModelFileError(f"{described(self._model)} has no classes_: is it fitted?")
        if shape and (shape != (1,) or type(classes) is list):
            per_label = [_labels(c) for c in classes] if type(classes) is list else [(0, 1)] * shape[0]
            return (Output("prediction", "int64", shape, tuple(per_label)),)
        # One label of a table of them: multi-output estimators of width one keep their classes in a list.
        known = _labels(classes[0] if type(classes) is list else classes)
        prediction = Output("prediction", "int64", classes=known)
        if hasattr(self._model, "predict_proba"):
            return prediction, Output("probabilities", "float64", (len(known),))
        return (prediction, *self._scores())

    def _scores(self) -> tuple[Output, ...]:
        if not hasattr(self._model, "decision_function"):
            return ()
        return (Output("scores", "float64", self._ask(self._model.decision_function, {}).shape[1:]),)


def task_of(model: Any) -> Task:
    """What kind of question the estimator answers."""
    base: Any = import_module("sklearn.base")
    if not hasattr(model, "predict"):
        return "transform"
    if base.is_classifier(model):
        return "classification"
    if base.is_outlier_detector(model):
        return "outlier"
    return "regression" if base.is_regressor(model) or not _is_clusterer(model) else "clustering"


def _is_clusterer(model: Any) -> bool:
    last = model.steps[-1][1] if hasattr(model, "steps") else getattr(model, "best_estimator_", model)
    if last is not model:
        return _is_clusterer(last)
    kinds = {base.__name__ for base in type(model).__mro__}
    return bool(kinds & {"ClusterMixin", "BaseMixture"})


def _all_asked(model: Any) -> list[Callable[[Any], Any]]:
    """Everything a row is answered with: it is legal when none of them refuses it."""
    more = next((name for name in ("predict_proba", "decision_function") if hasattr(model, name)), None)
    scored = more is not None and task_of(model) in ("classification", "outlier")
    return [_asked(model), *([getattr(model, more)] if more and scored else [])]


def _asked(model: Any) -> Callable[[Any], Any]:
    return model.predict if hasattr(model, "predict") else model.transform


def _coded(answer: NDArray[Any], output: Output) -> NDArray[Any]:
    if output.classes is None:
        return answer if output.dtype == "string" else answer.astype(output.dtype)
    if not output.is_multilabel:
        # CatBoost answers with (rows, 1) for more than two classes.
        return cast("NDArray[Any]", indices(answer.ravel(), output.classes))
    return np.stack([indices(answer[:, k], classes) for k, classes in enumerate(output.classes)], axis=1)


def _labels(classes: Any) -> tuple[Label, ...]:
    return tuple(np.asarray(classes).tolist())


def _walked(model: Any) -> Walk:
    width = _width(model)
    walk = Walk(width)
    walk.visit(model, list(range(width)))
    if _takes_documents(model):
        walk.uses[0].text = True
    return walk


def _first(model: Any) -> Any:
    """The part of the model that meets the input first."""
    if hasattr(model, "steps"):
        return _first(next((step for _, step in model.steps if not isinstance(step, str | None)), model))
    if hasattr(model, "best_estimator_"):
        return _first(model.best_estimator_)
    if hasattr(model, "transformer_list"):
        return _first(next((part for _, part in model.transformer_list if not isinstance(part, str)), model))
    return model


def _takes_documents(model: Any) -> bool:
    return type(_first(model)).__name__ in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")


def _width(model: Any) -> int:
    if _takes_documents(model) or type(_first(model)).__name__ == "IsotonicRegression":
        return 1
    width = getattr(model, "n_features_in_", getattr(_first(model), "n_features_in_", None))
    if width is None and hasattr(model, "shape_fit_"):  # support vectors with a kernel of its own code
        width = model.shape_fit_[1]
    if width is None:
        raise ModelFileError(f"{described(model)} does not say how many columns it takes (n_features_in_): is it fitted?")
    return int(width)


def _names(model: Any) -> list[str]:
    """The columns' names if it was trained on a DataFrame."""
    names = getattr(model, "feature_names_in_", getattr(_first(model), "feature_names_in_", ()))
    return [str(name) for name in names]


def _is_object(column: Column) -> bool:
    kinds = {type(category) for category in column.categories or ()}
    return column.dtype == "string" or (column.dtype == "category" and (not kinds or str in kinds))


def _is_float(column: Column) -> bool:
    return column.dtype.startswith("float")


def _dtype(column: Column) -> Any:
    """Of the arrays that `predict` is given: numbers in double precision, so that whole ones and switches keep their kind."""
    if column.is_number:
        return np.float64 if _is_float(column) else column.dtype
    return object


def _plain_value(column: Column, number: float) -> Any:
    if column.dtype == "category":
        return next(iter(column.categories or ()), None)
    return "a plain text" if column.dtype == "string" else number


def _strange(column: Column) -> Any:
    return NEVER_SEEN if _is_object(column) else _STRANGE_NUMBER
