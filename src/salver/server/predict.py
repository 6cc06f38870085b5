"""The native protocol of `/predict`: bytes to checked rows, outputs to bytes. Pure: no sockets, no event loop.

Both the hot path and the plain one call this, so that they can't differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec
from msgspec import UNSET, UnsetType

from salver.engine.batch import Batch
from salver.engine.ids import ID_CHARACTERS
from salver.engine.lane import Lane
from salver.errors import InputError, SalverError
from salver.server import reading
from salver.server.hot_codec import HotCodec, Refusal
from salver.server.problems import MEDIA_TYPE, problem, status_of
from salver.server.settings import Limits
from salver.types.rows import Row

KEY_CHARACTERS = 256
_NEAR = 256  # bytes of a body in which a list of rows begins, if it is to be read in one pass
_ROW_BYTES = 64 * 1024  # a larger body is not taken for a row whose members are the columns
_TUPLE_WIDTH = 256  # a fixed tuple type is checked while it is decoded, but its type is as long as it is wide


class _Any(msgspec.Struct, forbid_unknown_fields=True):
    features: Any = UNSET
    instances: Any = UNSET
    probabilities: bool = False
    key: str | None = None
    keys: list[str | None] | None = None


class _One(msgspec.Struct, omit_defaults=True):
    prediction: Any
    id: str
    model: str
    version: int
    probabilities: Any = None
    classes: Any = None


class _Many(msgspec.Struct, omit_defaults=True):
    predictions: list[Any]
    ids: list[str]
    model: str
    version: int
    probabilities: Any = None
    classes: Any = None


class Form(msgspec.Struct, frozen=True):
    """How an answer looks."""

    single: bool
    probabilities: bool


Question = tuple[list[Row], Form, list[str | None] | None]
"""A decoded and checked request: rows, the form of the answer, the callers' keys."""

PLAIN = Form(single=True, probabilities=False)
_any_decoder = msgspec.json.Decoder(_Any)
_encode = msgspec.json.Encoder().encode


class Codec(HotCodec):
    """Reads questions for one model and writes its answers."""

    def __init__(self, lane: Lane, limits: Limits | None = None) -> None:
        super().__init__(lane)
        self._limits = limits or Limits()
        model = lane.model
        self._model = model.name
        self._version = model.version
        self._checker = model.checker
        signature = model.signature
        self._names = frozenset(signature.names)
        self._has_tensors = any(column.shape for column in signature.columns)
        self._decode_plain, self._decode_many = (
            _plain_decoders(len(signature.columns)) if model.checker.all_plain else (None, None)
        )
        # What is decoded as a tuple of that many doubles is already all that there is to check.
        exact = len(signature.columns) <= _TUPLE_WIDTH and all(column.dtype == "float64" for column in signature.columns)
        self._check_plain = None if exact else model.checker.check_plain
        self.plain = self._decode_plain if exact else None
        self._main = [output.name for output in signature.outputs if output.name not in ("probabilities", "scores")]
        self._only = self._main[0] if len(self._main) == 1 else ""
        self._has_probabilities = signature.output("probabilities") is not None
        self._classes = signature.prediction.classes
        # The commonest answers are the same but for their ids.
        labels = () if signature.prediction.is_multilabel or not self._only else self._classes or ()
        self._begin = {label: b'{"prediction":%b,"id":"' % _encode(label) for label in labels}
        self._end = b'","model":%b,"version":%d}' % (_encode(self._model), self._version)
        self._start = b""
        self._heads: dict[Any, bytes] = {}  # a label → a response with `_start` up to the id

    def question(self, body: bytes, tried: bool = False) -> Question:
        """Decode and check a body; `tried`: `plain` refused it. Raises InputError, which never repeats what was sent."""
        try:
            if self._decode_plain and not tried:
                try:
                    row = self._decode_plain(body).features
                    return [self._check_plain(row) if self._check_plain else row], PLAIN, None
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    pass  # it asks for more than that, or the other decoder says what is wrong with it
            if self._decode_many and body.find(b'"instances"', 0, _NEAR) > 0:
                try:
                    return self._many(self._decode_many(body))
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    pass
            return self._any_question(body)
        except InputError as error:
            self.lane.stats.errors[error.code] += 1
            raise

    def answer(self, form: Form, batch: Batch, start: int, count: int) -> bytes:
        """The body that answers a question with the outputs of `batch` for `count` rows from `start` on."""
        outputs, ids, only = batch.outputs, batch.ids, self._only
        if form.single:
            prediction = outputs[only][start] if only else self._prediction(outputs, start)
            one = _One(prediction, ids[start], self._model, self._version)
            if form.probabilities:
                one.probabilities, one.classes = outputs["probabilities"][start], self._classes
            return _encode(one)
        rows = slice(start, start + count)
        predictions = (
            outputs[self._only][rows] if self._only else [self._prediction(outputs, i) for i in range(start, rows.stop)]
        )
        many = _Many(predictions, ids[rows], self._model, self._version)
        if form.probabilities:
            many.probabilities, many.classes = outputs["probabilities"][rows], self._classes
        return _encode(many)

    def response(self, form: Form, batch: Batch, start: int, count: int, head: bytes) -> bytes:
        if form is PLAIN and self._begin:
            if head is not self._start:
                self._begin_with(head)
            found = self._heads.get(batch.outputs[self._only][start])
            if found is not None:
                return b"".join((found, batch.ids[start].encode(), self._end))
        body = self.answer(form, batch, start, count)
        return b"%b%d\r\n\r\n%b" % (head, len(body), body)

    @staticmethod
    def refusal(error: SalverError) -> Refusal:
        return status_of(error), problem(error), MEDIA_TYPE

    def _begin_with(self, head: bytes) -> None:
        rest = ID_CHARACTERS + len(self._end)
        self._start = head
        self._heads = {label: b"%b%d\r\n\r\n%b" % (head, len(begin) + rest, begin) for label, begin in self._begin.items()}

    def _prediction(self, outputs: dict[str, list[Any]], row: int) -> Any:
        return {name: outputs[name][row] for name in self._main}

    def _many(self, read: Any) -> Question:
        """The question of many plain rows; their numbers are checked already."""
        rows: list[Any] = read.instances
        reading.require_rows(len(rows), self._limits)
        if check := self._check_plain:
            rows = [check(row, index) for index, row in enumerate(rows)]
        return self._checked(rows, Form(single=False, probabilities=read.probabilities), read.keys)

    def _any_question(self, body: bytes) -> Question:
        check = self._checker.check
        try:
            read = reading.read(_any_decoder, body, self._limits)
        except InputError as error:
            row = self._row_by_members(body) if error.code == "invalid_body" else None
            if row is None:
                raise
            return [check(row)], PLAIN, None
        if self._are_rows(read.features):  # as some tutorials have them
            read.instances, read.features = read.features, UNSET
        if not isinstance(read.features, UnsetType):
            if not isinstance(read.instances, UnsetType) or read.keys is not None:
                raise InputError('send either "features" (with "key") or "instances" (with "keys")', code="invalid_body")
            rows, keys = [check(read.features)], _keys(read.key)
        elif isinstance(read.instances, list) and read.key is None:
            instances: list[Any] = read.instances
            reading.require_rows(len(instances), self._limits)
            rows, keys = [check(row, index) for index, row in enumerate(instances)], read.keys
        else:
            raise InputError(
                'the body must have "features" (one row) or "instances" (a list of rows): '
                "each row a list of values or an object by column name",
                code="invalid_body",
            )
        return self._checked(rows, Form(isinstance(read.instances, UnsetType), read.probabilities), keys)

    def _row_by_members(self, body: bytes) -> dict[str, Any] | None:
        """The only row of a body whose members are the columns themselves, as tutorials have it; None where it is no such."""
        if len(body) > _ROW_BYTES:
            return None
        try:
            read = reading.loads(body)
        except (ValueError, RecursionError):
            return None
        return cast("dict[str, Any]", read) if isinstance(read, dict) and read and self._names.issuperset(read) else None

    def _are_rows(self, features: Any) -> bool:
        """Whether there are several rows in the place of one."""
        if self._has_tensors or not isinstance(features, list):
            return False
        return bool(features) and all(isinstance(row, list | dict) for row in cast("list[Any]", features))

    def _checked(self, rows: list[Row], form: Form, keys: list[str | None] | None) -> Question:
        if keys is not None and len(keys) != len(rows):
            raise InputError('"keys" has another length than "instances"', code="invalid_body")
        if form.probabilities and not self._has_probabilities:
            raise InputError(f"model '{self._model}' gives no probabilities; leave them out", code="no_probabilities")
        if keys and any(key is not None and len(key) > KEY_CHARACTERS for key in keys):
            raise InputError(f"a key has at most {KEY_CHARACTERS} characters", code="invalid_body")
        return rows, form, keys


def _keys(key: str | None) -> list[str | None] | None:
    return None if key is None else [key]


def _plain_decoders(width: int) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Read the commonest questions in one pass: one row of that many finite numbers and nothing else; and many such rows."""
    row = tuple[(float,) * width] if width <= _TUPLE_WIDTH else list[float]
    one = msgspec.defstruct("Plain", [("features", row)], forbid_unknown_fields=True, gc=False)
    more = [("instances", list[row]), ("probabilities", bool, False), ("keys", list[str | None] | None, None)]
    many = msgspec.defstruct("PlainMany", more, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(one).decode, msgspec.json.Decoder(many).decode
