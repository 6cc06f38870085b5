"""Arrow's IPC streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from salver.errors import InputError
from salver.server.formats.media import Part
from salver.tables import read as read_table
from salver.types.signature import Output, Signature


def require() -> None:
    """Raises ModuleNotFoundError where pyarrow is missing."""
    import pyarrow.ipc  # noqa: F401  # pyright: ignore[reportUnusedImport]


def read(file: IO[bytes], signature: Signature, rows: int) -> Iterator[Part]:
    """Parts of at most `rows` rows. Raises InputError."""
    import pyarrow
    import pyarrow.ipc

    try:
        with pyarrow.ipc.open_stream(file) as stream:
            yield from parts(iter(stream), signature, rows)
    except (pyarrow.ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:
        raise InputError("the body is not an Arrow IPC stream", code="invalid_body") from error


def parts(batches: Iterator[Any], signature: Signature, rows: int) -> Iterator[Part]:
    """Record batches in parts. Raises InputError, or what Arrow raises for batches that are not whole."""
    import pyarrow

    for batch in batches:
        batch.validate(full=True)  # offsets that lead out of their buffers would be followed
        for start in range(0, batch.num_rows, rows):
            part = batch.slice(start, rows)
            yield Part(None, read_table(pyarrow.Table.from_batches([part]), signature))


class Writer:
    """Writes a record batch a part."""

    def __init__(self, file: IO[bytes], outputs: list[Output]) -> None:
        import pyarrow.ipc

        self._schema = schema(outputs)
        self._stream = pyarrow.ipc.new_stream(file, self._schema)

    def write(self, columns: dict[str, list[Any]]) -> None:
        self._stream.write_batch(record_batch(columns, self._schema))

    def close(self) -> None:
        self._stream.close()


def schema(outputs: list[Output]) -> Any:
    """The Arrow schema of an answer."""
    import pyarrow

    return pyarrow.schema([pyarrow.field(output.name, _type(output)) for output in outputs])


def record_batch(columns: dict[str, list[Any]], schema: Any) -> Any:
    import pyarrow

    arrays = [pyarrow.array(values, field.type) for values, field in zip(columns.values(), schema, strict=True)]
    return pyarrow.record_batch(arrays, schema=schema)


def _type(output: Output) -> Any:
    import pyarrow

    kinds = {str: pyarrow.string(), bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
    labels: list[Any] = list(output.classes or ())
    if output.is_multilabel:
        labels = [label for several in labels for label in several]
    found = {type(label) for label in labels}
    if found == {int, float}:
        found = {float}
    if found:
        made = kinds.get(found.pop(), pyarrow.string())
    else:
        made = pyarrow.string() if output.dtype in ("string", "category") else pyarrow.from_numpy_dtype(output.dtype)
    for _ in output.shape:
        made = pyarrow.list_(made)
    return made
