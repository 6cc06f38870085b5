"""What the tables of a log have that was not read before, as arrays: a few lines by themselves, many by DuckDB.

Ids and keys are pairs of 64 bits here: a UUID's own, and of a key the two halves of its MD5, by which nobody is kept out and
two keys do not meet by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.errors import first_line
from salver.log.blocks import records, unfolded
from salver.log.commit import Snapshot
from salver.log.duck import connect, lines, parquet, quoted
from salver.log.labels import Label
from salver.log.reader import whole
from salver.log.record import Record
from salver.log.table import LABELLED, PREDICTIONS, Kind

if TYPE_CHECKING:
    import duckdb

ROWS = 2**20
"""So many rows at once are held in memory while a log is read."""

FEW_BYTES = 4 * 2**20
"""So much is read without DuckDB, whose import alone would take longer."""

_BATCH = 122_880
_HALF = 2**64 - 1
Arrays = dict[str, NDArray[Any]]

_ID = "(id::UHUGEINT >> 64)::UBIGINT as id0, (id::UHUGEINT & 18446744073709551615)::UBIGINT as id1"
_KEY = "(hashed >> 64)::UBIGINT as key0, (hashed & 18446744073709551615)::UBIGINT as key1"
_PREDICTIONS = f"""
select {_ID}, {_KEY}, ts, version, route, coalesce(weight, 1.0) as weight, value, probabilities from (
  select *, coalesce(md5_number(key), 0::UHUGEINT) as hashed, (outputs->{{pointer}})::VARCHAR as value,
    try_cast(outputs->'/probabilities' as DOUBLE[]) as probabilities
  from ({{rows}}) where model = {{model}})
"""
_LABELS = f"""
select coalesce((id::UHUGEINT >> 64)::UBIGINT, 0) as id0, coalesce((id::UHUGEINT & 18446744073709551615)::UBIGINT, 0) as id1,
  {_KEY}, ts, coalesce(weight, 1.0) as weight, value from (
  select *, coalesce(md5_number(key), 0::UHUGEINT) as hashed, label::VARCHAR as value from ({{rows}}) where model = {{model}})
"""


class News(NamedTuple):
    """Files to read whole, ends that hot files have grown, and how far each is read then."""

    hot: list[Path]
    cold: list[Path]
    ends: list[bytes]
    sizes: dict[str, int]


def news(now: Snapshot, known: dict[str, int]) -> News:
    """What is new of a table; `known` says how far its files were read."""
    found = News([], [path for path in now.cold if str(path) not in known], [], {})
    found.sizes.update({str(path): 0 for path in found.cold})
    unread = sum(path.stat().st_size - known.get(str(path), 0) for path in now.hot)
    for path in now.hot:
        size, before = path.stat().st_size, known.get(str(path), 0)
        if not before and (found.cold or unread > FEW_BYTES):
            found.hot.append(path)
            found.sizes[str(path)] = whole(path, size)  # what is read beyond is read again, which does no harm
        elif size > before:
            with path.open("rb") as file:
                file.seek(before)
                grown = file.read(size - before)
            found.ends.append(grown[: grown.rfind(b"\n") + 1])
            found.sizes[str(path)] = before + len(found.ends[-1])
    return found


def predictions(of: News, model: str, pointer: str) -> Iterator[Arrays]:
    """The predictions of a model, some at a time: id, key, ts, version, route, weight, value (JSON) and probabilities."""
    few = [one for end in of.ends for one in records(end.split(b"\n")) if one.model == model]
    if few:
        yield _of_records(few, pointer)
    if of.hot or of.cold:
        with TemporaryDirectory(prefix="salver-log-") as folder:
            unfolding = of._replace(hot=[*of.hot, *unfolded(of.hot, Path(folder))])
            rows = _rows(PREDICTIONS, unfolding)
            yield from _streamed(_PREDICTIONS.format(rows=rows, model=quoted(model), pointer=quoted("/" + pointer)))


def labels(of: News, model: str) -> Iterator[Arrays]:
    """The labels of a model, some at a time: id, key, ts, weight, value (JSON)."""
    few = [one for end in of.ends for one in _decoded(end) if one.model == model]
    if few:
        yield {
            "id": _pairs(_of_uuid(one.id) for one in few),
            "key": _pairs(_of_key(one.key) for one in few),
            "ts": np.array([one.ts for one in few], np.int64),
            "weight": np.array([1.0 if one.weight is None else one.weight for one in few]),
            "value": np.array([msgspec.json.encode(one.label).decode() for one in few], object),
        }
    if of.hot or of.cold:
        yield from _streamed(_LABELS.format(rows=_rows(LABELLED, of), model=quoted(model)))


def ids_of(column: Iterable[str]) -> NDArray[np.uint64]:
    """Ids as they are compared here."""
    return _pairs(_of_uuid(one) for one in column)


def _rows(kind: Kind, of: News) -> str:
    columns = ", ".join(kind.columns)
    parts = [f"select {columns} from ({lines(kind, of.hot)})"] if of.hot else []
    parts += [f"select {columns} from ({parquet(kind, of.cold)})"] if of.cold else []
    return " union all ".join(parts)


def _streamed(query: str) -> Iterator[Arrays]:
    waiting: list[Arrays] = []
    rows = 0
    with connect() as connection:
        import duckdb

        try:
            for batch in _batches(connection, query):
                waiting.append(batch)
                rows += len(batch["ts"])
                if rows >= ROWS:
                    yield together(waiting)
                    waiting, rows = [], 0
        except duckdb.IOException as error:  # one of the files became cold meanwhile
            raise OSError(first_line(error)) from error
    if waiting:
        yield together(waiting)


def _batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[Arrays]:
    for batch in connection.sql(query).to_arrow_reader(_BATCH):
        made: Arrays = {
            name: np.stack([batch.column(f"{name}{half}").to_numpy() for half in (0, 1)], axis=1) for name in ("id", "key")
        }
        for name in batch.schema.names:
            column = batch.column(name)
            if name in ("ts", "version", "weight"):
                made[name] = column.to_numpy()
            elif name == "value":
                made[name] = column.to_numpy(zero_copy_only=False)
            elif name == "route":
                made[name] = column.to_numpy(zero_copy_only=False).astype(str)
            elif name == "probabilities":
                made[name] = _table(column)
        yield made


def _table(column: Any) -> NDArray[np.float64]:
    """A column of lists, as rows of numbers: as wide as the widest, missing where a list is none or shorter."""
    lengths = np.diff(column.offsets.to_numpy())
    flat = column.flatten().to_numpy(zero_copy_only=False)
    width = int(lengths.max(initial=0))
    if (lengths == width).all() and not column.null_count:
        return flat.reshape(len(lengths), width)
    made = np.full((len(lengths), width), np.nan)
    made[np.arange(width) < lengths[:, None]] = flat
    return made


def together(some: list[Arrays]) -> Arrays:
    """Arrays by name, one after another; of probabilities, the width of the widest."""
    if len(some) == 1:
        return some[0]
    made = {name: np.concatenate([one[name] for one in some]) for name in some[0] if name != "probabilities"}
    if "probabilities" in some[0]:
        width = max(one["probabilities"].shape[1] for one in some)
        made["probabilities"] = np.concatenate([widened(one["probabilities"], width) for one in some])
    return made


def widened(table: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """A table with that many columns, what it lacks being missing."""
    if table.shape[1] == width:
        return table
    made = np.full((len(table), width), np.nan)
    made[:, : table.shape[1]] = table
    return made


def _decoded(end: bytes) -> Iterator[Label]:
    decode = msgspec.json.Decoder(Label).decode
    for line in end.split(b"\n"):
        try:
            yield decode(line)
        except msgspec.DecodeError:  # torn, blanked, or after the last
            continue


def _of_records(records: list[Record], pointer: str) -> Arrays:
    encode = msgspec.json.encode
    given = [one.outputs.get("probabilities") for one in records]
    lists = [one if isinstance(one, list) else [] for one in given]
    width = max(map(len, lists))
    shares = np.full((len(records), width), np.nan)
    for at, one in enumerate(lists):
        shares[at, : len(one)] = [value if isinstance(value, int | float) else np.nan for value in one]
    return {
        "id": _pairs(_of_uuid(one.id) for one in records),
        "key": _pairs(_of_key(one.key) for one in records),
        "ts": np.array([one.ts for one in records], np.int64),
        "version": np.array([one.version for one in records], np.int32),
        "route": np.array([one.route for one in records], str),
        "weight": np.array([1.0 if one.weight is None else one.weight for one in records]),
        "value": np.array([encode(one.outputs.get(pointer)).decode() for one in records], object),
        "probabilities": shares,
    }


def _of_uuid(text: str | None) -> int:
    return 0 if text is None else int(text.replace("-", ""), 16)


def _of_key(text: str | None) -> int:
    """As DuckDB's md5_number has it: the digest read from its end."""
    return 0 if text is None else int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest(), "little")


def _pairs(numbers: Iterable[int]) -> NDArray[np.uint64]:
    return np.array([(number >> 64, number & _HALF) for number in numbers], np.uint64).reshape(-1, 2)
