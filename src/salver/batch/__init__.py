"""Many rows: a table in, the same table with predictions out, in parts that are each done exactly once.

`salver.batch(reference, input, output)` runs a job, see `salver.batch.run.batch`; it is also the package that its parts lie in.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from salver.batch.job import Result


class _Package(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Result:
        from salver.batch.run import batch

        return batch(*arguments, **options)


batch = sys.modules[__name__]
batch.__class__ = _Package
