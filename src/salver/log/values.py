"""JSON values as numbers, so that a million of them are one array: numbers are themselves, all else is its place in a list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SEEN = 1000
"""So many different numbers are told apart; with more, they are amounts and no classes."""

_NUMBERS = frozenset((int, float, type(None)))


class NotNumbers(Exception):
    """Values that are no numbers came where all were numbers until then: they are to be read anew, by their places."""


class Values(msgspec.Struct):
    """How the values of a model's answers and labels are written as numbers, `outputs` of them a row."""

    coded: bool = False  # whether a value stands for its place in `texts`
    outputs: int = 0  # 0: not known yet
    texts: list[str] = []
    seen: list[float] | None = []  # the different numbers, in order; None when they are too many

    def read(self, texts: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
        """Values (rows, outputs) out of JSON, missing ones NaN, and which of them were named. Raises NotNumbers.

        A plain null names all outputs; a list names those that are not null in it.
        """
        different: dict[Any, int] = {}
        places = np.array([different.setdefault(text, len(different)) for text in texts], np.int64)
        joined = ",".join("null" if text is None else text for text in different)
        decoded: list[Any] = msgspec.json.decode(f"[{joined}]")
        if not self.outputs:
            self.outputs = max((len(one) for one in decoded if isinstance(one, list)), default=1) or 1
        values, named = self._all(decoded)
        return values[places], named[places]

    def _all(self, decoded: list[Any]) -> tuple[Floats, NDArray[np.bool_]]:
        if self.outputs == 1 and not self.coded and _NUMBERS.issuperset(map(type, decoded)):
            values = np.array([math.nan if one is None else one for one in decoded], np.float64)[:, None]
            self._see(values)
            return values, np.ones(values.shape, bool)
        rows = [self._row(one) for one in decoded]
        named = np.array([[value is not None or one is None for value in row] for one, row in zip(decoded, rows, strict=True)])
        values = np.array([[self._number(value) for value in row] for row in rows], np.float64).reshape(-1, self.outputs)
        self._see(values)
        return values, named.reshape(values.shape)

    def _row(self, value: Any) -> list[Any]:
        if self.outputs == 1:
            return [value[0] if isinstance(value, list) and len(value) == 1 else value]
        return value if isinstance(value, list) and len(value) == self.outputs else [None] * self.outputs

    def _number(self, value: Any) -> float:
        if value is None:
            return math.nan
        if not self.coded:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
            raise NotNumbers
        text = spelled(value)
        if text not in self.texts:
            self.texts.append(text)
        return float(self.texts.index(text))

    def _see(self, values: Floats) -> None:
        if not self.coded and self.seen is not None:
            different = np.unique(values[~np.isnan(values)])
            together = np.union1d(self.seen, different) if len(different) <= SEEN else different
            self.seen = together.tolist() if len(together) <= SEEN else None

    def told(self, number: float) -> Any:
        """The value that a number stands for."""
        return msgspec.json.decode(self.texts[int(number)]) if self.coded else number

    def places(self, values: Floats, classes: Sequence[Any]) -> NDArray[np.int64]:
        """Which of the classes each value is; -1 for none."""
        if self.coded:
            known = {spelled(one): at for at, one in enumerate(classes)}
            table = np.array([*(known.get(text, -1) for text in self.texts), -1], np.int64)
            return table[np.where(np.isnan(values), -1, values).astype(np.int64)]
        numbers = np.array([one if isinstance(one, int | float) else math.nan for one in classes], np.float64)
        order = np.argsort(numbers)
        ascending = numbers[order]
        if (ascending == np.arange(len(numbers))).all():  # 0, 1, 2: as most are
            with np.errstate(invalid="ignore"):  # what is missing becomes any number, and is none of itself
                found = values.astype(np.int64)
            none = found != values
            none |= found < 0
            none |= found >= len(numbers)
            found[none] = -1
            return found
        at = np.minimum(np.searchsorted(ascending, values), len(numbers) - 1)
        return np.where(ascending[at] == values, order[at], -1)

    def classes(self) -> list[Any]:
        """The different values that were seen, in order, as those of a classifier."""
        if self.coded:
            return sorted((msgspec.json.decode(text) for text in self.texts), key=lambda one: (str(type(one)), one))
        return [int(one) if one.is_integer() else one for one in self.seen or []]


def spelled(value: Any) -> str:
    """JSON that is equal where values are: 1 and 1.0 are, 1 and "1" are not."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = float(value)
    return msgspec.json.encode(value).decode()
