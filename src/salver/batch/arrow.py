"""Names for Arrow's objects in annotations: pyarrow declares no types."""

from __future__ import annotations

from typing import Any

Array = Any
Table = Any
Schema = Any
RecordBatch = Any
Reader = Any
