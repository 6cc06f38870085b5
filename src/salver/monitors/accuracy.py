"""How accurate a model is in production: its predictions joined with their labels, by the time of the prediction."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.errors import ConfigError, NotFound
from salver.log.joined import Joined, joined
from salver.log.signatures import noted
from salver.log.view import Log
from salver.monitors.confusion import Confusion
from salver.monitors.estimate import Estimate
from salver.monitors.ranking import of_numbers, of_probabilities
from salver.monitors.rows import Rows
from salver.types.signature import Output, Signature

_MANY_CLASSES = 1000
_SPANS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Measured(msgspec.Struct):
    """How good one of several answers a row is."""

    labelled: int
    metrics: dict[str, Estimate] = {}
    classes: dict[str, dict[str, Estimate]] = {}


class Group(msgspec.Struct):
    """Predictions that have something in common. `delay_s` is from a prediction to its label: the median and the 95 % point.

    Of a model with several answers a row, `outputs` has each of them by its place, and `metrics` what they have in common.
    """

    of: dict[str, str | None]
    predictions: int
    labelled: int
    coverage: float
    delay_s: dict[str, float] | None = None
    metrics: dict[str, Estimate] = {}
    classes: dict[str, dict[str, Estimate]] = {}
    outputs: dict[str, Measured] = {}


class Accuracy(msgspec.Struct):
    """A model's accuracy by its labels. `task` is "classification" or "regression"."""

    model: str
    task: str
    by: list[str]
    since: str | None
    groups: list[Group]


class Question(msgspec.Struct):
    """What is asked: `by` names version, route, hour, day or inputs of the model; times are µs since 1970."""

    by: list[str] = []
    since_us: int | None = None
    until_us: int | None = None
    version: int | None = None


def accuracy(log: Path, model: str, question: Question | None = None) -> Accuracy:
    """Measure it. Raises NotFound when the model has no predictions, ConfigError when its answers have no fixed number."""
    question = question or Question()
    signature = noted(log, model)
    output = signature.prediction if signature else None
    with joined(log, model, output.name if output else "prediction") as found:
        if not found.parts:
            raise NotFound(f"the log in {log} has no predictions of a model '{model}'", code="unknown_model")
        task, classes = _task(found, signature)
        rows = Rows(found, question.since_us, question.until_us, question.version)
        measure = _Measure(rows, classes)
        groups = [measure.group(of, places) for of, places in rows.groups(Log(log), model, question.by)]
    since = None if question.since_us is None else str(np.datetime64(question.since_us, "us"))
    return Accuracy(model, task, question.by, since, groups)


def since(text: str, now_us: int) -> int:
    """`7d`, `12h`, `30m` before now, or an ISO date, in µs since 1970. Raises ConfigError."""
    found = re.fullmatch(r"(\d+)([smhdw])", text)
    if found:
        return now_us - int(found[1]) * _SPANS_S[found[2]] * 1_000_000
    try:
        return int(np.datetime64(text, "us").astype(np.int64))
    except ValueError:
        raise ConfigError("a time is a span (30m, 12h, 7d, 2w) or a date in UTC (2026-01-31, 2026-01-31T12:00)") from None


def _task(found: Joined, signature: Signature | None) -> tuple[str, list[list[Any]]]:
    """What the model does, and for each of its answers the classes, in the order of their probabilities; none of numbers."""
    values, output = found.values, signature.prediction if signature else None
    if output is not None and output.classes is not None:
        return "classification", _classes(output)
    whole = values.seen is not None and all(one.is_integer() for one in values.seen)
    of_classes = signature is not None and signature.task == "classification"
    if not values.coded and not of_classes and (signature is not None or not whole):
        return "regression", [[]] * values.outputs
    return "classification", [values.classes()[:_MANY_CLASSES]] * values.outputs


def _classes(output: Output) -> list[list[Any]]:
    if output.is_multilabel:
        return [list(one) for one in output.classes or () if isinstance(one, tuple)]
    return [list(output.classes or ())]


class _Measure:
    """What is measured of rows, by group."""

    def __init__(self, rows: Rows, classes: list[list[Any]]) -> None:
        self._rows = rows
        self._classes = classes
        self._labels = rows.column("label")
        self._answers = rows.column("prediction")
        self._weights = rows.column("weight")[:, None] * rows.column("label_weight")
        self._shares = rows.probabilities(len(classes[0])) if len(classes) == 1 and classes[0] else None

    def group(self, of: dict[str, str | None], places: NDArray[np.int64] | None) -> Group:
        """One group: its rows' places, or all (None)."""
        at: Any = slice(None) if places is None else places
        labelled = ~np.isnan(self._labels[at])
        some: Any = labelled.any(axis=1) if labelled.shape[1] > 1 else labelled[:, 0]
        count = int(np.count_nonzero(some))
        made = Group(of, len(some), count, count / len(some) if len(some) else 0.0)
        if count:
            told = self._rows.column("label_ts")[at]
            delays = ((told.max(axis=1) if told.shape[1] > 1 else told[:, 0]) - self._rows.column("ts")[at])[some]
            p50, p95 = np.quantile(delays, [0.5, 0.95]) / 1e6
            made.delay_s = {"p50": float(p50), "p95": float(p95)}
        each = [self._output(place, labelled[:, place], places) for place in range(len(self._classes))]
        if len(each) == 1:
            made.metrics, made.classes = each[0].metrics, each[0].classes
            return made
        made.outputs = {str(place): one for place, one in enumerate(each)}
        made.metrics = _in_common([one.metrics for one in each if one.metrics])
        if self._classes[0]:
            made.metrics |= self._exact(labelled, at)
        return made

    def _output(self, place: int, labelled: NDArray[np.bool_], places: NDArray[np.int64] | None) -> Measured:
        at: Any = slice(None) if places is None else places
        classes = self._classes[place]
        labels: NDArray[Any] = self._labels[at, place]
        answers: NDArray[Any] = self._answers[at, place]
        weights = self._weights[at, place]
        if classes:
            labels, answers = (self._rows.joined.values.places(one, classes) for one in (labels, answers))
            usable = (labels >= 0) & (answers >= 0)
        else:
            usable = np.isfinite(labels + answers)
        usable &= weights > 0
        made = Measured(int(np.count_nonzero(labelled)))
        if not usable.any():
            return made
        kept: Any = slice(None) if usable.all() else usable
        if not classes:
            made.metrics = of_numbers(labels[kept], answers[kept], weights[kept])
            return made
        confusion = Confusion(labels[kept], answers[kept], weights[kept], len(classes))
        made.metrics = confusion.estimates()
        made.classes = {_shown(classes[k]): confusion.of_class(int(k)) for k in confusion.present}
        if self._shares is not None:
            shares = self._shares[:, at][:, kept]
            if np.isfinite(shares).all():
                whole = places is None
                orders = (lambda ranked: _within(self._rows.order(ranked), usable)) if whole else None
                made.metrics |= of_probabilities(labels[kept], shares, weights[kept], orders)
        return made

    def _exact(self, labelled: NDArray[np.bool_], at: Any) -> dict[str, Estimate]:
        """The share of rows of which all answers are right, among those of which all labels are known."""
        from salver.monitors.estimate import effective, wilson

        known = labelled.all(axis=1)
        right = (self._labels[at] == self._answers[at]).all(axis=1)[known]
        weights = self._weights[at].min(axis=1)[known]
        if not weights.sum():
            return {}
        return {"exact_match": wilson(float(np.dot(right, weights) / weights.sum()), effective(weights))}


def _within(order: NDArray[Any] | None, usable: NDArray[np.bool_]) -> NDArray[Any] | None:
    """An order of all rows as one of those that are usable."""
    if order is None or usable.all():
        return order
    places = np.cumsum(usable) - 1
    return places[order[usable[order]]]


def _in_common(each: list[dict[str, Estimate]]) -> dict[str, Estimate]:
    """The mean of each metric over the outputs, with the interval as if they went wrong together: never too narrow."""
    if not each:
        return {}
    names = [name for name in each[0] if all(name in one for one in each)]
    means = {name: [np.mean([getattr(one[name], part) for one in each]) for part in ("value", "low", "high")] for name in names}
    return {name: Estimate(*map(float, three)) for name, three in means.items()}


def _shown(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
