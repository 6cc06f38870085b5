"""The rows of a log as arrays by column, in batches of bounded size: what monitors count.

One look at each row's JSON gives all of its columns. Needs DuckDB and pyarrow; one thread, since predictions come first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from salver.log.duck import named, quoted
from salver.log.flat import typed
from salver.log.heads import PLACE, bound
from salver.monitors.bins import Coded, spelled
from salver.types.signature import Column, Signature

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 65_536
_WHOLE = re.compile(r"-?\d+\.0")


class Rows(NamedTuple):
    """Some rows. `columns` and `outputs` are numbers (NaN where missing) or objects; `same` are equal for equal inputs."""

    ts: NDArray[np.int64]
    columns: dict[str, NDArray[Any] | Coded]
    outputs: dict[str, NDArray[Any] | Coded]
    weights: NDArray[np.int64] | None
    flags: list[tuple[int, dict[str, str]]]
    same: NDArray[np.uint64]


class Reader:
    """Reads the rows of one model version as its signature has them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, model: str, version: int, signature: Signature) -> None:
        self._connection = connection
        self._whose = f"model = {quoted(model)} and version = {version}"
        self._signature = signature
        self._columns = [column for column in signature.columns if not column.shape]
        connection.execute("set threads = 1")

    def rows(self, relations: Iterable[str], route: str, since_us: int, until_us: int, every: int = 1) -> Iterator[Rows]:
        """Rows of `relations` (SQL, one after another) from `since_us` on, before `until_us`.

        With `every`, about one of so many, by its place (`salver.log.heads`), which weighs as much more.
        """
        struct, alone, of_outputs = self._kinds()
        parts = [
            "ts",
            "weight",
            "flags",
            "hash(inputs::VARCHAR) as same",
            f"from_json(inputs, {quoted(json.dumps(struct))}) as inputs_" if struct else "null as inputs_",
            f"from_json(outputs, {quoted(json.dumps(of_outputs))}) as outputs_" if of_outputs else "null as outputs_",
            *(f"{typed('inputs', name, kind)} as {named(f'alone{i}')}" for i, (name, kind) in enumerate(alone.items())),
        ]
        where = f"{self._whose} and route = {quoted(route)} and ts >= {since_us} and ts < {until_us}"
        where += f" and {PLACE} < {bound(every)}" if every > 1 else ""
        for relation in relations:
            query = f"select {', '.join(parts)} from ({relation}) where {where}"
            for batch in self._connection.sql(query).to_arrow_reader(BATCH_ROWS):
                rows = self._rows(batch, struct, list(alone), of_outputs)
                weights = np.ones(len(rows.ts), np.int64) if rows.weights is None else rows.weights
                yield rows if every == 1 else rows._replace(weights=weights * every)

    def _kinds(self) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
        """DuckDB's types: of inputs that are read together, of those that are read alone, and of outputs."""
        kinds = {column.name: "DOUBLE" if _is_number(column) else "VARCHAR" for column in self._columns}
        folded = [name.casefold() for name in kinds]
        alone = {
            name: kind for name, kind in kinds.items() if folded.count(name.casefold()) > 1
        }  # SQL does not tell "a" from "A"
        of_outputs = {output.name: _kind_of_output(self._signature, output.name) for output in self._signature.outputs}
        struct = {name: kind for name, kind in kinds.items() if name not in alone}
        return struct, alone, {name: kind for name, kind in of_outputs.items() if kind}

    def _rows(self, batch: Any, struct: dict[str, Any], alone: Sequence[str], of_outputs: dict[str, Any]) -> Rows:
        fields = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns: dict[str, NDArray[Any] | Coded] = {}
        for name, array in _members(fields["inputs_"]) if struct else ():
            columns[name] = _array(array)
        for i, name in enumerate(alone):
            columns[name] = _array(fields[f"alone{i}"])
        outputs: dict[str, NDArray[Any] | Coded] = {}
        for name, array in _members(fields["outputs_"]) if of_outputs else ():
            outputs |= self._output(name, array)
        weights = None
        if fields["weight"].null_count < len(batch):
            weights = np.nan_to_num(fields["weight"].to_numpy(zero_copy_only=False), nan=1.0).round().astype(np.int64)
        flags: list[tuple[int, dict[str, str]]] = []
        if fields["flags"].null_count < len(batch):
            flags = [(i, json.loads(text)) for i, text in enumerate(fields["flags"].to_pylist()) if text]
        return Rows(fields["ts"].to_numpy(), columns, outputs, weights, flags, fields["same"].to_numpy())

    def _output(self, name: str, array: Any) -> dict[str, NDArray[Any] | Coded]:
        if not str(array.type).startswith("list"):
            return {name: _array(array)}
        classes = self._signature.prediction.classes or ()
        lists = array.drop_null()
        width = len(lists[0]) if len(lists) else 0
        flat = lists.flatten().to_numpy(zero_copy_only=False)
        if not width or len(lists) < len(array) or len(flat) != width * len(lists):
            return {}
        table = flat.reshape(len(array), width)
        names = [spelled(one) for one in classes] if len(classes) == width else [str(k) for k in range(width)]
        return {f"{name}:{one}": table[:, k] for k, one in enumerate(names)}


def _members(struct: Any) -> Iterator[tuple[str, Any]]:
    flat = struct.flatten()
    for i, array in enumerate(flat):
        yield struct.type[i].name, array


def _array(array: Any) -> NDArray[Any] | Coded:
    """Numbers as float64, NaN where missing; anything else as places into its different values."""
    if str(array.type) == "double":
        return array.to_numpy(zero_copy_only=False)
    encoded = array.dictionary_encode()
    values = [*(_plain(value) for value in encoded.dictionary.to_pylist()), None]
    return Coded(encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False), values)


def _plain(text: Any) -> Any:
    """A value as the log spells it; a number that is whole without its zero, as cells are spelled."""
    return text.removesuffix(".0") if isinstance(text, str) and _WHOLE.fullmatch(text) else text


def _is_number(column: Column) -> bool:
    return column.is_number and column.dtype != "bool"


def _kind_of_output(signature: Signature, name: str) -> Any:
    """How an output is read: DuckDB's type of it, a list of it for several numbers a row, None when it is not monitored."""
    output = signature.output(name)
    if output is None or output.is_multilabel or len(output.shape) > 1:
        return None
    if output.classes is not None or output.dtype in ("string", "category", "bool"):
        return "VARCHAR"
    return ["DOUBLE"] if output.shape else "DOUBLE"
