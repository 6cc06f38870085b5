"""Asked for ten times what it can do, a server answers what it can, refuses the rest at once, and is soon itself again."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.overload import Result, forest, overload

pytestmark = pytest.mark.alone


def require_sound(result: Result) -> None:
    """What holds on any machine."""
    assert result.other == {} and result.health_failed == 0
    assert result.refused > result.offered / 2
    assert result.memory_worst_mb - result.memory_before_mb < 30


def test_ten_times_too_much_for_a_moment(tmp_path: Path) -> None:
    result = overload(tmp_path, *forest(tmp_path), times=10, seconds=3)
    require_sound(result)
    assert result.goodput > 0.6, result
    assert result.health_worst_ms < 500, result


@pytest.mark.soak
def test_ten_times_too_much(tmp_path: Path) -> None:
    result = overload(tmp_path, *forest(tmp_path), times=10, seconds=20)
    require_sound(result)
    assert result.goodput >= 0.9, result
    assert result.accepted_p99_ms <= 3 * result.usual_p99_ms, result
    assert result.health_worst_ms < 100, result
    assert result.back_s < 2, result
