"""The joined predictions that a question is about, as arrays, and how they fall into groups."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from salver.errors import ConfigError
from salver.log.flat import typed
from salver.log.joined import Joined
from salver.log.match import match
from salver.log.news import ids_of, widened
from salver.log.part import Part
from salver.log.view import Log

OWN = ("version", "route", "hour", "day")
_HOUR_US = 3_600_000_000
_SPANS_US = {"hour": _HOUR_US, "day": 24 * _HOUR_US}


class Chosen(NamedTuple):
    """A part's rows that are meant: all of them (None), or those."""

    part: Part
    rows: NDArray[np.int64] | None

    def of(self, name: str) -> NDArray[Any]:
        array = self.part[name]
        return array if self.rows is None else array[self.rows]


class Rows:
    """Rows of all parts between two times (µs) and of one version, where they are given; arrays in the order of the parts."""

    def __init__(self, joined: Joined, since_us: int | None, until_us: int | None, version: int | None) -> None:
        self.joined = joined
        self._chosen = [
            chosen for part in joined.parts if (chosen := _chosen(part, since_us, until_us, version)) is not None
        ]  # fmt: skip

    def column(self, name: str) -> NDArray[Any]:
        """An array of the parts, of these rows."""
        if len(self._chosen) == 1:
            return self._chosen[0].of(name)
        return np.concatenate([chosen.of(name) for chosen in self._chosen]) if self._chosen else np.empty((0, 1))

    def probabilities(self, classes: int) -> NDArray[np.float64] | None:
        """By class and row; None where the model gives none of that many classes."""
        tables = [chosen.part["probabilities"] for chosen in self._chosen]
        if not tables or max(map(len, tables)) != classes:
            return None
        if len(tables) == 1 and self._chosen[0].rows is None:
            return tables[0]
        parts = [
            widened(table.T, classes)[slice(None) if chosen.rows is None else chosen.rows]
            for table, chosen in zip(tables, self._chosen, strict=True)
        ]
        return np.concatenate(parts).T

    def order(self, ranked: int) -> NDArray[Any] | None:
        """All rows by the probability of a class, where that is kept: in one part, of which all rows are meant."""
        if len(self._chosen) != 1 or self._chosen[0].rows is not None or ranked >= len(self._chosen[0].part["order"]):
            return None
        return self._chosen[0].part["order"][ranked]

    def groups(self, log: Log, model: str, by: list[str]) -> list[tuple[dict[str, str | None], NDArray[np.int64] | None]]:
        """What the rows of each group have in common, in order, and which they are; None for all."""
        count = len(self.column("ts"))
        if not by:
            return [({}, None)]
        place, told = np.zeros(count, np.int64), [dict[str, str | None]()]
        others = self._inputs(log, model, [name for name in by if name not in OWN])
        for name in by:
            codes, texts = others[name] if name in others else self._own(name)
            place, told = _crossed(place, told, codes, name, texts)
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], np.arange(len(told) + 1))
        return [(of, order[bounds[at] : bounds[at + 1]]) for at, of in enumerate(told)]

    def _own(self, name: str) -> tuple[NDArray[np.int64], list[str | None]]:
        values = self.column("ts") // _SPANS_US[name] if name in _SPANS_US else self.column(name)
        different, codes = np.unique(values, return_inverse=True)
        return codes, [self._text(name, int(one)) for one in different]

    def _text(self, name: str, value: int) -> str:
        if name in _SPANS_US:
            start = str(np.datetime64(value * _SPANS_US[name], "us"))
            return start[: 16 if name == "hour" else 10].replace("T", " ")
        return self.joined.routes[value] if name == "route" else str(value)

    def _inputs(self, log: Log, model: str, names: list[str]) -> dict[str, tuple[NDArray[np.int64], list[str | None]]]:
        """Codes and texts of columns that only the log has."""
        if not names:
            return {}
        values = ", ".join(f"{typed('inputs', name)} as c{at}" for at, name in enumerate(names))
        found = log.sql(f"select id::VARCHAR as id, {values} from predictions where model = ?", [model]).to_arrow()
        asked, rows = match(ids_of(found.column("id").to_pylist()), self.column("id"))
        made: dict[str, tuple[NDArray[np.int64], list[str | None]]] = {}
        for at, name in enumerate(names):
            column = found.column(f"c{at}")
            if column.null_count == len(column):
                raise ConfigError(f"model '{model}' has no column '{name}'; group by version, route, hour, day or an input")
            coded = column.combine_chunks().dictionary_encode()
            codes = np.full(len(self.column("ts")), -1, np.int64)
            codes[rows] = coded.indices.fill_null(-1).to_numpy()[asked]
            texts: list[str | None] = [*coded.dictionary.to_pylist(), None]
            order = sorted(range(len(texts)), key=lambda i: (texts[i] is None, texts[i] or ""))
            rank = np.argsort(np.array(order))
            made[name] = rank[codes], [texts[i] for i in order]
        return made


def _chosen(part: Part, since_us: int | None, until_us: int | None, version: int | None) -> Chosen | None:
    ts, kept = part["ts"], np.True_
    if since_us is not None and int(ts.min()) < since_us:
        kept = kept & (ts >= since_us)
    if until_us is not None and int(ts.max()) >= until_us:
        kept = kept & (ts < until_us)
    if version is not None and not (part["version"] == version).all():
        kept = kept & (part["version"] == version)
    if np.ndim(kept) == 0:
        return Chosen(part, None)
    rows = np.flatnonzero(kept)
    return Chosen(part, rows) if len(rows) else None


def _crossed(
    place: NDArray[np.int64], told: list[dict[str, str | None]], codes: NDArray[np.int64], name: str, texts: list[str | None]
) -> tuple[NDArray[np.int64], list[dict[str, str | None]]]:
    """Groups split by one more column; those without rows are left out."""
    different, places = np.unique(place * len(texts) + codes, return_inverse=True)
    return places, [{**told[int(at) // len(texts)], name: texts[int(at) % len(texts)]} for at in different]
