"""The codec of each lane that is asked by tensors, made once and found again by every protocol."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.errors import NotFound
from salver.server.protocols.infer import Codec, Question
from salver.server.settings import Limits
from salver.types.reference import Reference


def not_found(name: str, version: str, error: NotFound) -> NotFound:
    """The refusal of a model or version, in the words that stock clients look for."""
    which = f" version '{version}'" if version else ""
    return NotFound(f"Request for unknown model: '{name}'{which} is not found", code=error.code)


class Codecs:
    """Finds the codec that answers for a model's name and version as clients give them."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self.engine = engine
        self.limits = limits
        self._made: WeakKeyDictionary[Lane, Codec] = WeakKeyDictionary()

    def find(self, name: str, version: str = "", header: Callable[[str], str | None] | None = None) -> Codec:
        """The codec of a model. Without a version, that of its default, or where `header` reads those of a request, a canary's.

        Raises NotFound, Unavailable or InputError.
        """
        reference = Reference.parse(f"{name}@{version}" if version else name)
        try:
            split = self.engine.split(reference) if header else None
            return self.of(split.by_head(header) if split and header else self.engine.find(reference))
        except NotFound as error:
            raise not_found(name, version, error) from error

    def lane(self, reference: Reference | None, header: Callable[[str], str | None]) -> Lane:
        """The lane that answers a request with these headers; where a field decides who, the default's.

        Raises NotFound or Unavailable.
        """
        split = self.engine.split(reference)
        return split.by_head(header) if split else self.engine.find(reference)

    def other(self, codec: Codec, version: str, question: Question) -> Codec | None:
        """The codec of the canary whose rows these are, where a field decides; None when it is the one that has read them."""
        split = None if version else self.engine.split(Reference(codec.name))
        if split is None or not split.by_body:
            return None
        lane = split.by_rows(question.rows, question.columns, None)
        return None if lane is codec.lane else self.of(lane)

    def of(self, lane: Lane) -> Codec:
        found = self._made.get(lane)
        if found is None:
            found = self._made[lane] = Codec(lane, self.limits)
        return found

    def versions(self, name: str) -> list[str]:
        """The versions of a model that are awake."""
        return [str(number) for number in sorted(self.engine.lanes[name])]

    def lanes(self) -> list[Lane]:
        """Every version of every model."""
        return [lane for versions in self.engine.lanes.values() for _, lane in sorted(versions.items())]
