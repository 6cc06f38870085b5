"""The rows of a part, in chunks of Arrow tables, as they are written on the disk: nothing is checked here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from salver.batch import arrow
from salver.batch.plan import File, Part, Plan, opened_arrow, opened_parquet
from salver.errors import InputError, first_line

CHUNK_ROWS = 65_536
_CHUNK_BYTES = 8 * 2**20
_SAMPLE_ROWS = 10_000
_NUMBERS = {int, float}


class Torn(NamedTuple):
    """A line that is no row at all: its number in the file, and why."""

    row: int
    reason: str


class Chunk(NamedTuple):
    """Some rows of a file, and the lines among them that are none. `numbers` are the rows' in the file, from 0."""

    table: arrow.Table
    numbers: range | list[int]
    torn: Sequence[Torn] = ()
    rows: list[dict[str, Any]] | None = None
    """The rows themselves, where a line has values with types of their own."""


def chunks(plan: Plan, part: Part) -> Iterator[Chunk]:
    """The part's rows. Raises InputError for a file that is not what it is called."""
    import pyarrow

    file = plan.files[part.file]
    try:
        if part.rows == 0:
            yield Chunk(_with_partition(_empty(file), file), range(0))
            return
        read = _of_jsonl(file, part, plan.files[0]) if file.format == "jsonl" else _CHUNKS[file.format](file, part)
        for chunk in read:
            yield chunk._replace(table=_with_partition(chunk.table, file))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file.path} can't be read as {file.format}: {first_line(error)[:200]}") from error


def _empty(file: File) -> arrow.Table:
    import pyarrow

    if file.format == "parquet":
        return opened_parquet(file).schema_arrow.empty_table()
    if file.format == "arrow":
        return opened_arrow(file).schema.empty_table()
    return pyarrow.table(
        {name: pyarrow.array([], pyarrow.string()) for name in ([] if file.format == "jsonl" else _names(file))}
    )


def _with_partition(table: arrow.Table, file: File) -> arrow.Table:
    import pyarrow

    for name, value in file.partition.items():
        if name not in table.column_names:
            table = table.append_column(name, pyarrow.repeat(value, table.num_rows))
    return table


def _of_parquet(file: File, part: Part) -> Iterator[Chunk]:
    import pyarrow

    groups = range(part.start, part.stop)
    batches = opened_parquet(file).iter_batches(CHUNK_ROWS, row_groups=groups, use_threads=False)
    yield from _numbered((pyarrow.Table.from_batches([batch]) for batch in batches), part)


def _of_arrow(file: File, part: Part) -> Iterator[Chunk]:
    import pyarrow

    source = opened_arrow(file)
    batches = (source.get_batch(i) for i in range(part.start, part.stop))
    tables = (pyarrow.Table.from_batches([batch]) for batch in batches)
    yield from _numbered((table.slice(at, CHUNK_ROWS) for table in tables for at in range(0, len(table), CHUNK_ROWS)), part)


def _numbered(tables: Iterator[arrow.Table], part: Part) -> Iterator[Chunk]:
    row = part.row
    for table in tables:
        yield Chunk(table, range(row, row + table.num_rows))
        row += table.num_rows


def _of_csv(file: File, part: Part) -> Iterator[Chunk]:
    """Every cell is text here; what it means, the model's column says."""
    import pyarrow
    from pyarrow import csv

    torn: list[int] = []

    def note(row: Any) -> str:
        torn.append(row.number)
        return "skip"

    names = _names(file)
    with _text(file, part) as stream:
        reader = csv.open_csv(
            stream,
            read_options=csv.ReadOptions(
                use_threads=False, block_size=_CHUNK_BYTES, column_names=names, skip_rows=0 if part.stop >= 0 else 1
            ),
            parse_options=csv.ParseOptions(delimiter=_delimiter(file), newlines_in_values=True, invalid_row_handler=note),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
        first = 1 if part.stop >= 0 else 2  # how the reader numbers the first row
        row = part.row
        for batch in reader:
            numbers, lost = _around(row, batch.num_rows, [part.row + number - first for number in torn])
            torn.clear()
            row = numbers[-1] + 1 if numbers else row
            reason = f"it does not have {len(names)} cells, as the first line has"
            yield Chunk(pyarrow.Table.from_batches([batch]), numbers, [Torn(at, reason) for at in lost])


def _around(row: int, rows: int, torn: list[int]) -> tuple[range | list[int], list[int]]:
    """The numbers of `rows` rows from `row` on, when the lines `torn` lie among or after them."""
    if not torn:
        return range(row, row + rows), []
    gone, numbers = set(torn), list[int]()
    while len(numbers) < rows:
        if row not in gone:
            numbers.append(row)
        row += 1
    return numbers, torn


def _of_jsonl(file: File, part: Part, first: File) -> Iterator[Chunk]:
    """Columns have the types that are seen at the beginning of the first file, so that all parts are alike."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    types = _types_seen(first, decode)
    row = part.row
    with _text(file, part) as stream:
        rest = b""
        while True:
            block = stream.read(_CHUNK_BYTES)
            lines = (rest + block).split(b"\n")
            rest = lines.pop() if block else b""
            yield _rows(lines, row, decode, types)
            row += len(lines)
            if not block:
                return


def _rows(lines: list[bytes], row: int, decode: Any, types: dict[str, Any]) -> Chunk:
    import pyarrow

    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    torn = list[Torn]()
    for at, line in enumerate(lines, row):
        if line.strip():
            try:
                rows.append(decode(line))
                numbers.append(at)
            except (msgspec.DecodeError, UnicodeDecodeError):
                torn.append(Torn(at, "it is no JSON object"))
    columns = {name: _array(name, [one.get(name) for one in rows], dtype) for name, dtype in types.items()}
    return Chunk(pyarrow.table(columns), numbers, torn, rows)


def _array(name: str, values: list[Any], dtype: Any) -> Any:
    """Values as an Arrow array of the type that was seen at the beginning, or as the text that they are in JSON."""
    import pyarrow

    if dtype is None:
        encode = msgspec.json.encode
        values = [None if value is None else encode(value).decode() for value in values]
        return pyarrow.array(values, pyarrow.string())
    try:
        return pyarrow.array(values, dtype)
    except (pyarrow.ArrowException, OverflowError):
        return pyarrow.array([value if _is(value, dtype) else None for value in values], dtype)


def _is(value: Any, dtype: Any) -> bool:
    import pyarrow

    try:
        pyarrow.scalar(value, dtype)
    except (pyarrow.ArrowException, OverflowError):
        return False
    return True


def _types_seen(file: File, decode: Any) -> dict[str, Any]:
    """The columns at the file's beginning, with their Arrow types; None for what is no plain value."""
    import pyarrow

    seen: dict[str, set[type]] = {}
    with pyarrow.input_stream(file.path, compression="detect") as stream:
        lines = stream.read(_CHUNK_BYTES).split(b"\n")[:_SAMPLE_ROWS]
    for line in lines:
        try:
            for name, value in decode(line).items():
                seen.setdefault(name, set()).add(type(value))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    made: dict[str, Any] = {}
    for name, kinds in seen.items():
        kinds = kinds - {type(None)}
        plain = {frozenset({int}): pyarrow.int64(), frozenset({str}): pyarrow.string(), frozenset({bool}): pyarrow.bool_()}
        made[name] = plain.get(frozenset(kinds)) or (pyarrow.float64() if kinds and kinds <= _NUMBERS else None)
    return made


def _names(file: File) -> list[str]:
    """The names in the first line of a CSV file. Raises InputError."""
    import csv

    import pyarrow

    with pyarrow.input_stream(file.path, compression="detect") as stream:
        head = stream.read(2**20).split(b"\n")[0].decode("utf-8-sig").rstrip("\r")
    names = next(csv.reader([head], delimiter=_delimiter(file)), [])
    if not names or len(set(names)) < len(names):
        raise InputError(f"{file.path}: its first line must have the columns' names, each once")
    return names


def _delimiter(file: File) -> str:
    return "\t" if file.format == "tsv" else ","


def _text(file: File, part: Part) -> Any:
    """The part's bytes as a stream."""
    import pyarrow

    if part.stop < 0:
        return pyarrow.input_stream(file.path, compression="detect")
    with Path(file.path).open("rb") as whole:
        whole.seek(part.start)
        return pyarrow.BufferReader(whole.read(part.stop - part.start))


_CHUNKS = {"parquet": _of_parquet, "arrow": _of_arrow, "csv": _of_csv, "tsv": _of_csv}
