"""Is it still right: profiles, drift, quality, accuracy with labels and without.

`salver.monitors.compare(reference, current)` compares any two tables; see `salver.monitors.comparison`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from salver.monitors.comparison import Comparison as Comparison
    from salver.monitors.comparison import compare as compare


def __getattr__(name: str) -> Any:
    if name not in ("compare", "Comparison"):
        raise AttributeError(f"module 'salver.monitors' has no attribute '{name}'")
    from salver.monitors import comparison

    return getattr(comparison, name)
