"""What messages hold, as checked rows of a version."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from salver.errors import InputError
from salver.stream.contract import Message
from salver.types.checks import FLOAT32_MAX
from salver.types.rows import Row, RowChecker
from salver.types.signature import Signature

_WHOLE = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_MAX = {"float32": FLOAT32_MAX, "float64": sys.float_info.max}

Decode = Callable[[bytes], Any]


class Reading:
    """Reads messages for one version. What is refused is left to the caller, in its place: one bad row spoils nothing else.

    Where all columns are plain numbers, the decoder itself makes the checks, in one go. What it does not take is looked at
    again in the way of all others, which says what is wrong, or that nothing is.
    """

    def __init__(self, signature: Signature, checker: RowChecker) -> None:
        self._names = signature.names
        self._check = checker.check
        self._decode = msgspec.json.Decoder().decode
        self._named, self._listed = _plain(signature) if checker.all_plain else (None, None)
        fields = [f"f{i}" for i in range(len(self._names))]
        self._values: Callable[[Any], Row] = attrgetter(*fields) if len(fields) > 1 else lambda event: (event.f0,)

    def __call__(self, messages: Sequence[Message]) -> tuple[list[Row], dict[int, InputError]]:
        """The row of each message, and those that have none, by their place; an empty row stands there."""
        listed = messages[0].value[:1] == b"["
        decode = (self._listed if listed else self._named) or _nothing
        rows: list[Row] = []
        refused: dict[int, InputError] = {}
        for message in messages:
            try:
                event = decode(message.value)
                rows.append(event if listed else self._values(event))
            except (msgspec.DecodeError, UnicodeDecodeError):
                try:
                    rows.append(self.row(message.value))
                except InputError as error:
                    refused[len(rows)] = error
                    rows.append(())
        return rows, refused

    def row(self, held: bytes) -> Row:
        """The row that one message holds. Raises InputError."""
        try:
            value: Any = self._decode(held)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise InputError("the message is no JSON", code="invalid_json") from None
        if isinstance(value, dict):  # what the model does not take is none of its business
            event: dict[str, Any] = value
            value = {name: event[name] for name in self._names if name in event}
        return self._check(value)


def key_reader(field: str) -> Callable[[bytes], str | None]:
    """A function from what a message holds to the caller's own key in it; None where it has none."""
    keyed: Any = msgspec.defstruct("Keyed", [("key", Any, None)], rename={"key": field}, gc=False)
    decode: Decode = msgspec.json.Decoder(keyed).decode

    def read(held: bytes) -> str | None:
        try:
            key = decode(held).key
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return None if key is None else str(key)

    return read


def _nothing(_held: bytes) -> Any:
    raise msgspec.DecodeError


def _plain(signature: Signature) -> tuple[Decode | None, Decode | None]:
    """Decoders of finite numbers by column, and of lists of them; none where a struct can't have the columns' names."""
    types: list[Any] = [
        _WHOLE | Annotated[float, msgspec.Meta(ge=-_MAX[column.dtype], le=_MAX[column.dtype])] for column in signature.columns
    ]
    fields = [(f"f{i}", kind) for i, kind in enumerate(types)]
    listed = msgspec.json.Decoder(tuple[tuple(types)]).decode  # type: ignore[valid-type]
    try:
        named = {field: name for (field, _), name in zip(fields, signature.names, strict=True)}
        return msgspec.json.Decoder(msgspec.defstruct("Event", fields, rename=named, gc=False)).decode, listed
    except ValueError:
        return None, listed
