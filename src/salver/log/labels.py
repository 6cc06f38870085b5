"""Labels: what turned out to be true, long after it was predicted. Appended as they come, and joined when they are read.

A label is for a prediction's id or for the caller's key; with a key it is for every prediction that was sent with it. The last
one wins and the others stay. A label may come before its prediction.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from salver.log.policy import hashed
from salver.log.secret import secret_of
from salver.log.segment import SegmentWriter
from salver.log.settings import Settings
from salver.log.table import LABELS
from salver.types.signature import Output, Signature

Accept = Callable[[Any], Any]
"""Gives a label as it is stored; raises ValueError when it is none of its model's."""

Keep = Callable[[str], str]
"""Gives a key as it is stored; raises ValueError where none is."""

INVALID_NAMED = 10


class Label(msgspec.Struct, omit_defaults=True, gc=False):
    """A line of the label log. `label` is null where one is taken back."""

    ts: int
    model: str
    label: Any
    id: str | None = None
    key: str | None = None
    weight: float | None = None
    source: str = "http"


class Given(msgspec.Struct):
    """A label as somebody gives it."""

    label: Any
    id: str | None = None
    key: str | None = None
    weight: float | None = None


class Refused(msgspec.Struct):
    """A label that was not taken: its place in what was sent, and why."""

    row: int
    reason: str


class Checked(msgspec.Struct):
    """What was taken of what was given. `wrong` counts by reason; the first few are named."""

    labels: list[Label]
    wrong: dict[str, int]
    refused: list[Refused]


class Clock:
    """Times in µs since 1970 that only rise, so that of two labels one is the last."""

    def __init__(self) -> None:
        self._last = 0

    def take(self, count: int) -> int:
        """The first of `count` times in a row."""
        first = max(time.time_ns() // 1000, self._last + 1)
        self._last = first + count - 1
        return first


class LabelWriter:
    """Appends labels to a log."""

    def __init__(self, log: Path, *, sync: bool = False) -> None:
        self._segments = SegmentWriter(log / LABELS, sync=sync)
        self._clock = Clock()
        self._encoder = msgspec.json.Encoder()

    def append(self, labels: list[Label]) -> bytes:
        """Write labels, in order; they get their times here. Returns the lines. Raises LogUnavailable."""
        first = self._clock.take(len(labels))
        for at, label in enumerate(labels, first):
            label.ts = at
        lines = self._encoder.encode_lines(labels)
        if labels:
            self._segments.append(lines)
        return lines

    def close(self) -> None:
        self._segments.close()


def check(given: Iterable[Given], model: str, accept: Accept, keep: Keep, source: str) -> Checked:
    """Sort what was given into labels and what is none."""
    made = Checked([], {}, [])
    for row, one in enumerate(given):
        reason = ""
        if (one.id is None) == (one.key is None):
            reason = "name either an id or a key"
        elif one.id is not None and not _is_id(one.id):
            reason = "the id is none that a prediction has"
        elif one.weight is not None and not (math.isfinite(one.weight) and one.weight >= 0):
            reason = "a weight is a number that is not negative"
        try:
            value = None if reason or one.label is None else accept(one.label)
            key = None if reason or one.key is None else keep(one.key)
        except ValueError as error:
            reason, value, key = str(error), None, None
        if not reason:
            made.labels.append(Label(0, model, value, one.id, key, one.weight, source))
            continue
        made.wrong[reason] = made.wrong.get(reason, 0) + 1
        if len(made.refused) < INVALID_NAMED:
            made.refused.append(Refused(row, reason))
    return made


def keeper(log: Path, settings: Settings, model: str) -> Keep:
    """What takes the keys of a model's labels: as those of its predictions are written, or they would not be joined."""
    rule = settings.of(model).key
    if rule == "drop":
        return _no_key
    if rule == "keep":
        return str
    secret = secret_of(log)
    return lambda key: hashed(key, secret)


def _no_key(key: str) -> str:
    raise ValueError("the log keeps no keys of this model: name the id")


def acceptor(signature: Signature, *, from_text: bool = False) -> Accept:
    """What takes the labels of a model. With `from_text`, a text that spells a class of another type is that class."""
    return acceptor_of(signature.prediction, from_text=from_text)


def acceptor_of(output: Output, *, from_text: bool = False) -> Accept:
    """What takes the labels of an output: one of its classes, a finite number, or a list of them (null: not known)."""
    if output.is_multilabel:
        each = [_one_of(classes, from_text) for classes in output.classes or () if isinstance(classes, tuple)]
        return _list_of(each)
    if output.classes is not None:
        return _one_of(output.classes, from_text)
    if output.shape and -1 not in output.shape:
        return _list_of([number] * output.shape[0])
    return number if not output.shape else _anything


def number(value: Any) -> float:
    """A finite number. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError("the label is no finite number")


def _one_of(classes: Iterable[Any], from_text: bool) -> Accept:
    known = {(isinstance(one, bool), one): one for one in classes}
    spelled = {str(one): one for one in known.values()} if from_text else {}

    def accept(value: Any) -> Any:
        found = known.get((isinstance(value, bool), value)) if isinstance(value, str | int | float) else None
        if found is None:
            found = spelled.get(str(value))
        if found is None:
            raise ValueError("the label is none of the model's classes")
        return found

    return accept


def _list_of(each: list[Accept]) -> Accept:
    def accept(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(each):
            raise ValueError(f"the label is no list of {len(each)}")
        return [None if one is None else take(one) for take, one in zip(each, value, strict=True)]

    return accept


def _anything(value: Any) -> Any:
    return value


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return len(text) == 36
