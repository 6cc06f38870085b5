"""Who of several versions answers a request: the default or one of its canaries, by chance or by what a caller sticks by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import random
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from salver.engine.routing import Routing, point_of
from salver.types.rows import Row
from salver.types.signature import Columns

if TYPE_CHECKING:
    from salver.engine.model import Model


class Answers(Protocol):
    """What answers for one version: a lane, or what a stream has in its place."""

    @property
    def model(self) -> Model: ...


_Lane = TypeVar("_Lane", bound=Answers)


class Split(Generic[_Lane]):
    """The lanes of a model's default and of its canaries, and how a request finds its own."""

    def __init__(self, model: str, routing: Routing, default: _Lane, canaries: Mapping[int, _Lane]) -> None:
        """`canaries` has a lane for each version with a share, apart from the default's."""
        self.default = default
        kind, _, self.named = routing.sticky.partition(":")
        self.header = self.named.lower() if kind == "header" else ""
        self.by_body = kind in ("field", "key")
        self._model, self._routing, self._canaries = model, routing, canaries
        names = default.model.signature.names
        self._column = names.index(self.named) if kind == "field" and self.named in names else None

    def by_head(self, header: Callable[[str], str | None]) -> _Lane:
        """The lane by a header, or by chance; the default's where only the body can tell."""
        if self.header:
            return self.by_value(header(self.header))
        return self.default if self.by_body else self.at(random() * 100)

    def by_rows(self, rows: Sequence[Row] | None, columns: Columns | None, keys: Sequence[str | None] | None) -> _Lane:
        """The lane by the caller's key or a field of the row. A canary answers several rows only when all of them are its."""
        values = self._fields(rows, columns) if self.named else [*(keys or [None])]
        lanes = {id(lane): lane for lane in map(self.by_value, map(spelled, values))}
        return lanes.popitem()[1] if len(lanes) == 1 else self.default

    def by_value(self, value: str | None) -> _Lane:
        """The lane of a sticky value; the default's where a caller gives none, for then nothing would hold it there."""
        return self.default if not value else self.at(point_of(self._model, value))

    def at(self, point: float) -> _Lane:
        """The lane at a point from 0 to 100."""
        version = self._routing.share_at(point)
        return self.default if version is None else self._canaries.get(version, self.default)

    def _fields(self, rows: Sequence[Row] | None, columns: Columns | None) -> Sequence[Any]:
        if self._column is None:
            return [None]
        if columns is not None:
            return columns[self.named].tolist()
        return [row[self._column] for row in rows or ()]


def spelled(value: Any) -> str | None:
    """A sticky value as text: a whole number is the same whether a column holds fractions or not. None where it is missing."""
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
