"""What a graph's file asks for, read before ONNX Runtime sees it: weights out of other files, more memory than it has bytes.

An ONNX file is one protocol buffer message. This walks its fields without the onnx package and without copying weights.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

from salver.errors import ArtifactError

_DEEP = 32
_GRAPH, _FUNCTIONS = 7, 25  # of a model
_ELEMENTS_LIMIT = 2**31
_EXPANSION = 64
"""A weight may have so many elements for each byte it takes; packed booleans and small numbers stay far below."""

_LISTS = (7, 8, 9)  # of an attribute: numbers and texts, an element a field
# Which fields lead on, by kind of message: field number → kind.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {_GRAPH: "graph", _FUNCTIONS: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}

View = memoryview


def require_plain(path: Path) -> None:
    """Return when the graph in `path` keeps its weights to itself. Raises ArtifactError."""
    if not path.stat().st_size:
        raise ArtifactError(f"{path.name} is empty; it is no graph")
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        # Weights elsewhere have a key of this name; without it, an attribute's long lists of numbers need not be walked.
        _walk(memoryview(mapped), "model", path.name, 0, mapped.find(b"location") >= 0)
    except (IndexError, ValueError):
        raise ArtifactError(f"{path.name} is not a whole graph; it is not read") from None


def _walk(data: View, kind: str, name: str, depth: int, thorough: bool) -> None:
    if depth > _DEEP:
        raise ArtifactError(f"{name} nests graphs more than {_DEEP} deep; it is not read")
    if kind == "tensor":
        _check_tensor(data, name)
        return
    for number, value in _fields(data):
        if kind == "attribute" and number in _LISTS and not thorough:
            return
        inner = _INSIDE[kind].get(number)
        if inner and isinstance(value, memoryview):
            _walk(value, inner, name, depth + 1, thorough)


def _check_tensor(data: View, name: str) -> None:
    """Dimensions (field 1), numbers (4, 5, 7, 9, 10, 11) or texts (6), external data (13, or location 14 = 1)."""
    dimensions: list[int] = []
    for number, value in _fields(data):
        if number == 13 or (number == 14 and value == 1):
            raise ArtifactError(f"{name} takes weights out of another file; save the model again, in one piece")
        if number == 1:
            dimensions += [value] if isinstance(value, int) else list(_varints(value))
    if any(size >= 2**63 for size in dimensions):
        raise ArtifactError(f"{name} has a weight of a negative size; it is not read")
    if math.prod(dimensions) > min(_ELEMENTS_LIMIT, _EXPANSION * len(data) + 1):
        raise ArtifactError(f"{name} declares a weight that is larger than what the file holds; it is not read")


def _fields(data: View) -> Iterator[tuple[int, int | View]]:
    """Number and value of each field: an integer, or the bytes of what is longer."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(wire)
        if length is None:
            if wire != 2:
                raise ValueError("no such kind of field")
            length, at = _varint(data, at)
        if at + length > len(data):
            raise ValueError("cut off")
        yield number, data[at : at + length]
        at += length


def _varints(data: View) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: View, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("too long a number")
