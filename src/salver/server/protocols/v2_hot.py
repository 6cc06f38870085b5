"""V2's infer route on the hot path: the commonest questions in one pass, all others as `v2.py` has them. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.errors import InputError, SalverError
from salver.server.hot_codec import HotCodec, Refusal
from salver.server.protocols import v2_body
from salver.server.protocols.infer import Codec, Question, error_status
from salver.server.protocols.v2_body import LENGTH_HEADER, Body
from salver.server.settings import Limits
from salver.types.policies import flag_rows
from salver.types.rows import Row
from salver.types.signature import Output

if TYPE_CHECKING:
    from salver.server.hot import HotRequest

_WIDTH = 256  # a fixed tuple type is checked while it is decoded, but its type is as long as it is wide
_JSON = "application/json"
_encode = msgspec.json.Encoder().encode

Form = bytes | tuple[Body, Question]
"""How an answer looks: of the commonest question, its end with the caller's id; of another, all that was asked."""


class InferCodec(HotCodec):
    """Reads and answers V2's bodies for one model."""

    def __init__(self, lane: Lane, limits: Limits) -> None:
        super().__init__(lane)
        self._codec = Codec(lane, limits)
        model = lane.model
        columns = model.signature.columns
        self._width = len(columns)
        self._names = frozenset(model.signature.names)
        self._check_plain = model.checker.check_plain
        self._pack = struct.Struct(f"<{self._width}f")
        few = model.checker.all_plain and self._codec.is_matrix([""]) and self._width <= _WIDTH
        self._pieces = self._pieces_of_answers()
        self._decode = _decoder(self._width) if few and self._pieces else None

    def fill(self, request: HotRequest, body: bytes) -> None:
        if self._decode is not None:
            try:
                row, request.form = self._row(self._decode(body))
                request.rows, request.columns, request.count = [row], None, 1
                return
            except (msgspec.MsgspecError, UnicodeDecodeError, _Other):
                pass  # it asks for more than that, or is wrong
        asked, question = self._asked(body)
        request.rows, request.columns, request.count = question.rows, question.columns, question.count
        request.form = asked, question

    def question(self, body: bytes, tried: bool = False) -> tuple[list[Row], Any, list[str | None] | None]:
        asked, question = self._asked(body)
        if question.rows is not None:
            return question.rows, (asked, question), None
        columns = question.columns or {}
        rows = [
            list(row)
            for row in zip(*(columns[column.name].tolist() for column in self.lane.model.signature.columns), strict=True)
        ]
        return flag_rows(rows, columns), (asked, question), None

    def response(self, form: Form, batch: Batch, start: int, count: int, head: bytes) -> bytes:
        if type(form) is bytes:
            parts: list[bytes] = []
            for name, piece, is_list in self._pieces:
                value = batch.outputs[name][start]
                parts += (piece, _encode(value if is_list else (value,)))
            parts.append(form)
            body = b"".join(parts)
            return b"%b%d\r\n\r\n%b" % (head, len(body), body)
        assert isinstance(form, tuple)
        asked, question = form
        body, length = v2_body.write(self._codec, asked, self._codec.answer(question, batch, start))
        if length is not None:
            binary = b"application/octet-stream\r\n%b: %d" % (LENGTH_HEADER.encode(), length)
            head = head.replace(_JSON.encode(), binary, 1)
        return b"%b%d\r\n\r\n%b" % (head, len(body), body)

    @staticmethod
    def refusal(error: SalverError) -> Refusal:
        return error_status(error), v2_body.error_body(error), _JSON

    def _asked(self, body: bytes) -> tuple[Body, Question]:
        try:
            asked = v2_body.read(self._codec, body, None)
            return asked, self._codec.question(asked.inputs, asked.outputs, asked.classify)
        except InputError as error:
            self.lane.stats.errors[error.code] += 1
            raise

    def _row(self, asked: Any) -> tuple[Row, bytes]:
        """The only row of a plain question, and the end of its answer. Raises _Other where it is another question."""
        (given,) = asked.inputs
        if given.name in self._names or given.shape != (1, self._width):
            raise _Other
        row = given.data
        if given.datatype == "FP32":
            try:
                row = self._pack.unpack(self._pack.pack(*row))
            except OverflowError:
                raise _Other from None
        try:
            return self._check_plain(row), _end(asked.id)
        except InputError:
            raise _Other from None

    def _pieces_of_answers(self) -> list[tuple[str, bytes, bool]]:
        """Of each output: its name, what precedes its data in an answer about one row, whether the data are its value itself.

        Empty where an answer can't be put together so.
        """
        made: list[tuple[str, bytes, bool]] = []
        before = b'{"model_name":%b,"model_version":%b,"outputs":[' % (_encode(self._codec.name), _encode(self._codec.version))
        declared = self.lane.model.signature.outputs
        for output, its_own in zip(self._codec.metadata([]).outputs, declared, strict=True):
            if len(output.shape) > 2 or -1 in output.shape[1:] or not _goes_as_it_is(its_own, output.datatype):
                return []
            described = _encode({"name": output.name, "datatype": output.datatype, "shape": [1, *output.shape[1:]]})
            made.append((output.name, b'%b%b,"data":' % (before, described[:-1]), len(output.shape) == 2))
            before = b"},"
        return made


class _Other(Exception):
    """It is not the commonest question after all."""


def _goes_as_it_is(output: Output, datatype: str) -> bool:
    """Whether JSON has an output's Python values as the protocol writes its tensors."""
    if output.classes is None:
        return datatype in ("FP64", "INT64", "BOOL")
    return not output.is_multilabel and len({type(label) for label in output.classes}) == 1


def _end(asked: str | UnsetType) -> bytes:
    return b"}]}" if asked is UNSET else b'}],"id":%b}' % _encode(asked)


def _decoder(width: int) -> Callable[[bytes], Any]:
    """Reads a question of one matrix of one row of that many finite numbers."""
    shape, data = tuple[int, int], tuple[(float,) * width]
    fields = [("name", str), ("shape", shape), ("datatype", Literal["FP32", "FP64"]), ("data", data)]
    tensor = msgspec.defstruct("Matrix", fields, forbid_unknown_fields=True, gc=False)
    optional = ("id", str | UnsetType, UNSET)
    plain = msgspec.defstruct("PlainInfer", [("inputs", tuple[(tensor,)]), optional], forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(plain).decode
