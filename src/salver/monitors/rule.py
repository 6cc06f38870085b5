"""The thresholds of every monitor, each with its reason. `monitor.toml` changes them."""

from __future__ import annotations

import msgspec


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a window says that something is wrong.

    `rate` is the part of alarms that may be false, over all tests of a window together (Benjamini-Hochberg). At
    0.005, a window where nothing is wrong alarms once in two hundred at most, whether there are two columns or two hundred: the
    promise is one in a hundred, and half of it is kept for what chi-square is only nearly.

    `warn` and `alert` are what a change must amount to, as the size-corrected PSI: significance alone finds changes that do
    not matter as soon as there are rows enough. 0.02 is a shift of the mean by 0.15 standard deviations; 0.10, by 0.3, is
    where trade practice puts "moderate" change. `score` is the alert line of the model's own answers: they sum up all inputs
    in the only direction that counts, so half as much says as much.

    `least_rows` and `rows_a_cell` make a window wait until chi-square can be trusted: ten rows a cell.

    `missing` is by how much (in share of all rows) a rate of missing, unseen, out-of-range or mistyped values must have risen
    at least, for a change of a thousandth that is beyond chance is of no use to anybody. `duplicates` likewise, larger since
    honest traffic repeats itself. `accuracy` is by how much realised accuracy must differ from the expected one for a
    concept-drift alarm.

    `volume` is how many times fewer or more rows than usual come in a window's time; `stale_s` how long none may come.
    `of_last` windows are looked at: an alarm begins when `bad` of them are bad, and ends when none is above `calm` times the
    thresholds: what stands on the line neither flickers nor is forgotten.
    """

    rate: float = 0.005
    warn: float = 0.02
    alert: float = 0.10
    score: float = 0.05
    least_rows: int = 200
    rows_a_cell: int = 10
    missing: float = 0.005
    duplicates: float = 0.05
    accuracy: float = 0.02
    volume: float = 4.0
    stale_s: float = 3600.0
    bad: int = 2
    of_last: int = 3
    calm: float = 0.75
