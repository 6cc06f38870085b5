"""Columns as benchmarks of drift draw them: of each kind how rows are drawn, and how likely each cell of a reference is.

A window is nothing but its rows by cell. Those of independent rows are multinomial with the chances of the cells, so drawing
the counts at once is drawing the rows and counting them: the same distribution, for a thousandth of the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from salver.monitors.bins import Coded, NumberBins, ValueBins, spelled
from salver.monitors.profile import Profile
from salver.monitors.window import Window

Table = dict[str, Any]
Draw = np.random.Generator
Floats = NDArray[np.float64]


class Kind(NamedTuple):
    """`draw` gives so many rows; `shares` the chance of each cell of some bins, from the distribution itself."""

    draw: Callable[[Draw, int], Any]
    shares: Callable[[Any], Floats]


def numbers(of: Callable[[Draw, int], Any], upto: Callable[[Floats], Floats], missing: float = 0.0) -> Kind:
    """Numbers with a distribution function, some of them missing."""

    def draw(by: Draw, rows: int) -> Any:
        drawn = of(by, rows).astype(np.float64)
        if missing:
            drawn[by.random(rows) < missing] = np.nan
        return drawn

    def shares(bins: NumberBins) -> Floats:
        below = np.concatenate([[0.0], upto(np.asarray(bins.edges)), [1.0]])
        return np.concatenate([[missing, 0.0], np.diff(below) * (1 - missing)])

    return Kind(draw, shares)


def values(weights: Any, names: list[Any]) -> Kind:
    """Categories, each with its weight."""
    chances = np.asarray(weights, np.float64) / np.sum(weights)
    upto = np.cumsum(chances)[:-1]

    def shares(bins: ValueBins) -> Floats:
        places = {spelled(value): at + 1 for at, value in enumerate(bins.values)}
        cells = [0 if name is None else places.get(spelled(name), bins.size - 1) for name in names]
        return np.bincount(cells, chances, minlength=bins.size)

    return Kind(lambda by, rows: Coded(np.searchsorted(upto, by.random(rows), side="right"), names), shares)


def _normal(at: Floats) -> Floats:
    return np.array([math.erfc(-one / math.sqrt(2)) / 2 for one in at.tolist()])


def _poisson(at: Floats) -> Floats:
    terms = np.cumsum([math.exp(-3) * 3**k / math.factorial(k) for k in range(60)])
    return np.where(at < 0, 0.0, terms[np.clip(np.floor(at), 0, 59).astype(int)])


def _hundredths(at: Floats) -> Floats:
    return np.clip((np.searchsorted(np.arange(101) / 100, at, side="right") - 0.5) / 100, 0.0, 1.0)


def _zeros(at: Floats) -> Floats:
    return np.where(at < 0, 0.0, 0.6 + 0.4 * -np.expm1(-np.maximum(at, 0.0)))


def _zipf(count: int) -> Any:
    return 1.0 / np.arange(1, count + 1)


KINDS = {
    "normal, 5 % missing": numbers(lambda draw, rows: draw.normal(size=rows), _normal, 0.05),
    "lognormal": numbers(lambda draw, rows: draw.lognormal(size=rows), lambda at: _normal(np.log(np.maximum(at, 1e-300)))),
    "60 % zeros, else exponential": numbers(lambda draw, rows: draw.exponential(size=rows) * (draw.random(rows) > 0.6), _zeros),
    "five categories": values([1, 1, 1, 1, 1], list("abcde")),
    "counts, Poisson of 3": numbers(lambda draw, rows: draw.poisson(3, rows), _poisson),
    "forty categories, Zipf": values(_zipf(40), [f"c{i}" for i in range(40)]),
    "normal, 30 % missing": numbers(lambda draw, rows: draw.normal(size=rows), _normal, 0.3),
    "true or false, 10 %, some missing": values([0.88, 0.1, 0.02], [False, True, None]),
    "two thousand categories, Zipf": values(_zipf(2000), [f"v{i}" for i in range(2000)]),
    "uniform, two decimals": numbers(lambda draw, rows: draw.random(rows).round(2), _hundredths),
}
"""What columns are drawn as, in turn."""


def _named(width: int, first: int) -> list[tuple[str, Kind]]:
    kinds = list(KINDS.items())
    return [(f"{kinds[(first + i) % len(kinds)][0]} {i}", kinds[(first + i) % len(kinds)][1]) for i in range(width)]


def drawn(rows: int, width: int, draw: Draw, first: int = 0) -> Table:
    """Rows of so many columns, the first of them of that kind."""
    return {name: kind.draw(draw, rows) for name, kind in _named(width, first)}


def drawn_window(profile: Profile, rows: int, width: int, draw: Draw, first: int = 0) -> Window:
    """The window that these rows would make, by counts alone."""
    made = Window()
    made.rows = made.weight = made.squares = rows
    for name, kind in _named(width, first):
        shares = kind.shares(profile.columns[name].bins)
        made.counts[f"in:{name}"] = draw.multinomial(rows, shares / shares.sum())
    return made
