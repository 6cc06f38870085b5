"""Endless rows: messages in, predictions out, at least once and in order for each key.

`salver.stream(reference, source, sink)` runs until it is told to stop, see `salver.stream.run.stream`; it is also the package
that its parts lie in.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from salver.stream.counts import Totals


class _Package(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Totals:
        from salver.stream.run import stream

        return stream(*arguments, **options)


stream = sys.modules[__name__]
stream.__class__ = _Package
