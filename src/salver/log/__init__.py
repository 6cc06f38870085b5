"""What happened: predictions and labels, written by servers and read by everybody else.

`salver.log(store)` opens the log of a store, see `salver.log.view.open_log`; it is also the package that its parts lie in.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from salver.log.view import Log


class _Package(ModuleType):
    def __call__(self, store: str | Path | None = None) -> Log:
        from salver.log.view import open_log

        return open_log(store)


log = sys.modules[__name__]
log.__class__ = _Package
