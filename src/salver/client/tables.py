"""DataFrames and Arrow tables ↔ the bodies in which they travel: Arrow's IPC stream."""

from __future__ import annotations

from typing import Any, TypeVar

from .errors import ClientError

ARROW = "application/vnd.apache.arrow.stream"

Frame = TypeVar("Frame")


def to_stream(table: Any) -> bytes:
    """A table of pandas, polars or Arrow, or anything with `__arrow_c_stream__`, as an IPC stream. Raises ClientError."""
    pyarrow = _pyarrow()
    if hasattr(table, "iloc"):
        made = pyarrow.Table.from_pandas(table, preserve_index=False)
    elif isinstance(table, pyarrow.RecordBatch):
        made = pyarrow.Table.from_batches([table])
    elif hasattr(table, "__arrow_c_stream__"):
        made = pyarrow.table(table)
    else:
        raise ClientError(f"a {type(table).__name__} is no table; rows in lists or dicts go to predict")
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, made.schema) as stream:
        stream.write_table(made)
    return sink.getvalue().to_pybytes()


def from_stream(content: bytes, like: Frame) -> Frame:
    """The table in an IPC stream, of the kind of `like`; a pandas one has its index."""
    pyarrow = _pyarrow()
    table: Any = pyarrow.ipc.open_stream(content).read_all()
    if hasattr(like, "iloc"):
        made = table.to_pandas()
        made.index = like.index  # type: ignore[attr-defined]
        return made
    if type(like).__module__.partition(".")[0] == "polars":
        import polars

        return polars.from_arrow(table)  # type: ignore[return-value]
    if isinstance(like, pyarrow.RecordBatch):
        return table.combine_chunks().to_batches()[0]
    return table


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError as error:
        raise ClientError("tables travel as Arrow: pip install pyarrow") from error
    return pyarrow
