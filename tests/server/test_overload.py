"""Asked for ten times what it can do, a server answers what it can, refuses the rest at once, and is soon itself again."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from benchmarks.overload import Result, forest, overload

pytestmark = pytest.mark.alone


def require_sound(result: Result) -> None:
    """What holds on any machine."""
    assert result.other == {} and result.health_failed == 0
    assert result.refused > result.offered / 2
    assert result.memory_worst_mb - result.memory_before_mb < 30


def test_ten_times_too_much_for_a_moment(tmp_path: Path) -> None:
    result = overload(tmp_path, *forest(tmp_path), times=10, seconds=3, turns=2)
    require_sound(result)
    assert result.goodput > 0.6, result
    assert result.health_worst_ms < 500, result


@pytest.mark.soak
def test_ten_times_too_much(tmp_path: Path) -> None:
    model = forest(tmp_path)
    results = [overload(tmp_path, *model, times=10, seconds=5) for _ in range(5)]
    for result in results:
        require_sound(result)
    assert median(result.goodput for result in results) >= 0.9, results
    assert median(result.accepted_p99_ms / result.usual_p99_ms for result in results) <= 3, results
    assert max(result.health_worst_ms for result in results) < 100, results
    assert max(result.back_s for result in results) < 2, results
