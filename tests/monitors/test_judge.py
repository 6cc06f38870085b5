"""The rule: no alarms where nothing is wrong, one where something is. In full: benchmarks/drift.py."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import salver.monitors
from benchmarks.columns import KINDS, drawn, drawn_window
from salver.errors import InputError
from salver.monitors.bins import Coded, value_bins
from salver.monitors.comparison import reference_of, window_of_rows
from salver.monitors.judge import judge, needed
from salver.monitors.rule import Rule
from salver.monitors.significance import goodness_of_fit, two_sample
from salver.monitors.window import window_of

REFERENCE_ROWS = 10_000


def table(rows: int, seed: int, columns: int = 1) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    made: dict[str, Any] = {f"x{i}": draw.normal(size=rows) for i in range(columns)}
    made["k"] = draw.choice(np.array(list("abcde"), dtype=object), rows)
    made["m"] = np.where(draw.random(rows) < 0.05, np.nan, draw.normal(size=rows))
    return made


@pytest.mark.parametrize(("rows", "columns", "windows"), [(50, 20, 20), (300, 20, 150), (1000, 1, 150), (20_000, 4, 20)])
def test_no_alarm_where_nothing_is_wrong(rows: int, columns: int, windows: int) -> None:
    profile = reference_of(table(REFERENCE_ROWS, 0, columns))
    alarms = sum(bool(judge(profile, window_of_rows(profile, table(rows, 1 + i, columns))).bad) for i in range(windows))
    assert alarms <= 0.02 * windows


def shifted(rows: dict[str, Any], by: float) -> None:
    rows["x0"] = rows["x0"] + by


def scaled(rows: dict[str, Any]) -> None:
    rows["x0"] = rows["x0"] * math.sqrt(1.5)


def doubled_odds(rows: dict[str, Any]) -> None:
    draw = np.random.default_rng(len(rows["k"]))
    rows["k"] = draw.choice(np.array(list("abcde"), dtype=object), len(rows["k"]), p=[1 / 3, *[1 / 6] * 4])


def more_missing(rows: dict[str, Any]) -> None:
    draw = np.random.default_rng(7)
    present = ~np.isnan(rows["m"])
    rows["m"] = np.where(present & (draw.random(len(present)) < 0.05 / 0.95), np.nan, rows["m"])


def unseen(rows: dict[str, Any]) -> None:
    rows["k"][::100] = "z"


CHANGES = {
    "x0": [lambda rows: shifted(rows, 0.25), scaled],
    "k": [doubled_odds, unseen],
    "m": [more_missing],
}


@pytest.mark.parametrize(("column", "which"), [(column, i) for column, of in CHANGES.items() for i in range(len(of))])
def test_what_is_wrong_is_seen_in_a_thousand_rows(column: str, which: int) -> None:
    profile = reference_of(table(REFERENCE_ROWS, 0))
    seen = 0
    for i in range(40):
        rows = table(1000, 100 + i)
        CHANGES[column][which](rows)
        seen += column in {finding.column for finding in judge(profile, window_of_rows(profile, rows)).bad}
    assert seen >= 37


def test_a_shift_that_does_not_matter_is_none() -> None:
    profile = reference_of(table(100_000, 0))
    rows = table(100_000, 1)
    shifted(rows, 0.02)
    verdict = judge(profile, window_of_rows(profile, rows))
    assert verdict.level == "ok"
    drift = next(finding for finding in verdict.findings if finding.column == "x0" and finding.kind == "drift")
    assert drift.effect.value < 0.001


def test_a_small_window_asks_for_more_rows() -> None:
    profile = reference_of(table(REFERENCE_ROWS, 0))
    short = judge(profile, window_of_rows(profile, table(150, 1)))
    assert short.needs_rows == needed(profile, Rule()) - 150 > 0
    assert short.findings == []
    assert f"needs {short.needs_rows} more rows" in str(salver.monitors.compare(table(REFERENCE_ROWS, 0), table(150, 1)))


def test_stuck_and_repeated_rows_are_seen() -> None:
    profile = reference_of(table(REFERENCE_ROWS, 0))
    rows = table(500, 1)
    rows["x0"][:] = 0.1
    kinds = {(finding.kind, finding.column) for finding in judge(profile, window_of_rows(profile, rows)).bad}
    assert ("stuck", "x0") in kinds
    rows = {name: np.concatenate([array, array]) for name, array in table(500, 1).items()}
    kinds = {(finding.kind, finding.column) for finding in judge(profile, window_of_rows(profile, rows)).bad}
    assert ("duplicates", "*") in kinds


def test_columns_are_ranked_and_told() -> None:
    rows = table(2000, 1)
    shifted(rows, 0.5)
    unseen(rows)
    found = salver.monitors.compare(table(REFERENCE_ROWS, 0), pd.DataFrame(rows).assign(new=1))
    assert found.drifted and set(found.columns) == {"x0", "k"}
    assert found.only_current == ["new"]
    assert re.search(r"x0 moved: .* → .*% of rows", str(found)) and "k: unseen in 1.0% of rows, before in 0.0%" in str(found)
    drift = next(finding for finding in found.of("x0") if finding.kind == "drift")
    assert {"psi", "js", "ks", "wasserstein"} == set(drift.distances)
    assert drift.distances["wasserstein"] == pytest.approx(0.5 / 1.349, rel=0.15), "in interquartile ranges"
    assert drift.effect.low < 0.25 < drift.effect.high
    with pytest.raises(InputError):
        salver.monitors.compare({"a": [1, 2]}, {"b": [1, 2]})


values = st.one_of(st.none(), st.floats(), st.integers(-2, 2), st.sampled_from(["a", "", "NaN"]), st.booleans())


@settings(max_examples=40)
@given(st.lists(values, min_size=1, max_size=30), st.lists(values, min_size=1, max_size=30))
def test_no_rows_are_too_strange(some: list[Any], more: list[Any]) -> None:
    """One row, all missing, constant, infinite, of mixed types: never an error, never a figure that is none."""
    for before, now in ((some * 20, more * 20), (some, more), ([None], [math.inf])):
        found = salver.monitors.compare({"v": before}, {"v": now}, Rule(least_rows=1, rows_a_cell=0))
        for finding in found.verdict.findings:
            assert 0 <= finding.p <= finding.q * (1 + 1e-9) <= 1 + 1e-9
            assert math.isfinite(finding.effect.value)
            assert all(math.isfinite(distance) for distance in finding.distances.values())


@pytest.mark.parametrize("same", [[None], [1.0], ["a"], [math.inf], [True], [2**70], [1, "1", True, None, 1.5]])
def test_nothing_is_apart_from_itself(same: list[Any]) -> None:
    found = salver.monitors.compare({"v": same * 300}, {"v": same * 300})
    assert not found.drifted
    assert all(abs(distance) < 1e-9 for one in found.verdict.findings for distance in one.distances.values())


NUMBERS = np.random.default_rng(0).normal(size=500).tolist()
MIXED = [1, "1", True, None, 1.5]
ODD: dict[str, tuple[list[Any], list[Any], set[str]]] = {
    "constant": ([1.0] * 500, [1.0] * 500, set()),
    "another constant": ([1.0] * 500, [2.0] * 500, {"drift", "out_of_range"}),
    "all missing": ([None] * 500, [None] * 500, set()),
    "all missing now": (NUMBERS, [None] * 500, {"drift", "missing"}),
    "all missing before": ([None] * 500, NUMBERS, {"drift"}),
    "NaN": (NUMBERS, [*NUMBERS[:400], *[math.nan] * 100], {"drift", "missing"}),
    "infinite": (NUMBERS, [*NUMBERS[:400], *[math.inf] * 50, *[-math.inf] * 50], {"drift", "not_finite"}),
    "one row": ([1.0], [1.0], set()),
    "one row now": (NUMBERS, [1.0], set()),
    "mixed types": (MIXED * 100, MIXED[::-1] * 100, set()),
    "mixed types and another value": (MIXED * 100, [*MIXED[:4], 2.5] * 100, {"drift", "unseen"}),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_columns(name: str) -> None:
    before, now, kinds = ODD[name]
    found = salver.monitors.compare({"v": before}, {"v": now})
    assert {finding.kind for finding in found.verdict.bad} == kinds
    assert bool(found.verdict.needs_rows) == ("row" in name)


def test_values_that_are_equal_but_of_other_types_keep_their_cells_in_any_order() -> None:
    mixed = [True, 1, 1.0, "1", "true", None, 0, False] * 3
    first = value_bins(mixed)
    assert first.names == ["missing", "1", "true", "0", "false", "any other"]
    for seed in range(5):
        other = random.Random(seed).sample(mixed, len(mixed))
        assert value_bins(other) == first
        assert (first.count(other) == [3, 9, 6, 3, 3, 0]).all()


def test_the_order_of_rows_does_not_matter() -> None:
    rows = table(700, 3)
    order = np.random.default_rng(0).permutation(700)
    mixed = {name: array[order] for name, array in rows.items()}
    reference = table(REFERENCE_ROWS, 0)
    assert salver.monitors.compare(reference, rows) == salver.monitors.compare(reference, mixed)


def test_numbers_beyond_the_range_are_as_frequent_as_they_are() -> None:
    """Of 1,000 rows beside 1,000: the range is the reference's own, so that some rows are always beyond it."""
    draw, found = np.random.default_rng(0), 0
    for _ in range(200):
        profile = reference_of({"x": draw.normal(size=1000)})
        verdict = judge(profile, window_of_rows(profile, {"x": draw.normal(size=1000)}))
        found += any(finding.kind == "out_of_range" and finding.p < 0.05 for finding in verdict.findings)
    assert 0.01 < found / 200 < 0.07, "P(7 or more) is 0.035"


def test_values_that_are_rare_come_unseen() -> None:
    """Where the reference has twenty values once each, twenty others are no news; where it has none, they are."""
    draw = np.random.default_rng(0)
    usual = draw.choice(np.array(list("abcde"), dtype=object), 1000)
    rare = [np.concatenate([usual, np.array([f"{of}{i}" for i in range(20)], dtype=object)]) for of in "xy"]
    for before, unseen in ((rare[0], False), (np.tile(usual, 2), True)):
        found = salver.monitors.compare({"k": before}, {"k": rare[1]})
        assert any(one.kind == "unseen" for one in found.verdict.bad) == unseen


@pytest.mark.parametrize("at", range(len(KINDS)))
def test_benchmarks_draw_counts_as_rows_are_counted(at: int) -> None:
    """The chances of cells are right, so that counts drawn by them are those of rows."""
    kind, draw = list(KINDS.values())[at], np.random.default_rng(at)
    rows = kind.draw(draw, 3000)
    profile = reference_of({"v 0": np.array(rows.tolist(), object) if isinstance(rows, Coded) else rows})
    counts = window_of(profile, {"v 0": kind.draw(draw, 50_000)}, {}).counts["in:v 0"]
    shares = kind.shares(profile.columns["v 0"].bins)
    assert shares.sum() == pytest.approx(1) and counts[shares == 0].sum() == 0
    assert goodness_of_fit(1e9 * shares, counts).p > 1e-3


def test_a_window_of_drawn_counts_is_one_of_rows() -> None:
    draw = np.random.default_rng(0)
    table = {name: np.array(v.tolist(), object) if isinstance(v, Coded) else v for name, v in drawn(2000, 10, draw).items()}
    profile = reference_of(table)
    by_rows, by_counts = window_of(profile, drawn(20_000, 10, draw), {}), drawn_window(profile, 20_000, 10, draw)
    assert by_rows.counts.keys() == by_counts.counts.keys() and by_counts.weight == by_rows.weight == 20_000
    assert all(two_sample(by_rows.counts[name], by_counts.counts[name], likelihood=True).p > 1e-3 for name in by_rows.counts)
