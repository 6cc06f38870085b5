"""The native protocol of `/predict`: bytes to checked rows, outputs to bytes. Pure: no sockets, no event loop.

Both the hot path and the plain one call this, so that they can't differ.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from salver.engine.lane import Batch
from salver.engine.model import Model
from salver.errors import InputError
from salver.types.rows import Row

KEY_CHARACTERS = 256


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """The commonest question, read in one pass: one row of numbers."""

    features: list[float]
    probabilities: bool = False
    key: str | None = None


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


class Question:
    """A decoded and checked request."""

    __slots__ = ("keys", "probabilities", "rows", "single")

    def __init__(self, rows: list[Row], single: bool, probabilities: bool, keys: list[str | None] | None) -> None:
        self.rows = rows
        self.single = single
        self.probabilities = probabilities
        self.keys = keys


_decode_plain = msgspec.json.Decoder(_Plain).decode
_decode_any = msgspec.json.Decoder(_Any).decode
_encode = msgspec.json.Encoder().encode


class Codec:
    """Reads questions for one model and writes its answers."""

    def __init__(self, model: Model) -> None:
        self._model = model.name
        self._version = model.version
        self._checker = model.checker
        self._plain = model.checker.all_plain
        signature = model.signature
        self._main = [output.name for output in signature.outputs if output.name not in ("probabilities", "scores")]
        self._has_probabilities = signature.output("probabilities") is not None
        self._classes = signature.prediction.classes

    def question(self, body: bytes) -> Question:
        """Decode and check a body. Raises InputError, which says what is wrong and never repeats what was sent."""
        if self._plain:
            try:
                read = _decode_plain(body)
            except msgspec.MsgspecError:
                return self._any_question(body)  # which says what is wrong, if something is
            question = Question([self._checker.check_plain(read.features)], True, read.probabilities, _keys(read.key))
            if read.probabilities or read.key is not None:
                self._check_rest(question)
            return question
        return self._any_question(body)

    def answer(self, question: Question, batch: Batch, start: int) -> bytes:
        """The body that answers `question` with the outputs of `batch` from row `start` on."""
        outputs, ids = batch.outputs, batch.ids
        if question.single:
            one = _One(self._prediction(outputs, start), ids[start], self._model, self._version)
            if question.probabilities:
                one.probabilities, one.classes = outputs["probabilities"][start], self._classes
            return _encode(one)
        rows = range(start, start + len(question.rows))
        many = _Many(
            [self._prediction(outputs, row) for row in rows], ids[rows.start : rows.stop], self._model, self._version
        )
        if question.probabilities:
            many.probabilities, many.classes = outputs["probabilities"][rows.start : rows.stop], self._classes
        return _encode(many)

    def _prediction(self, outputs: dict[str, list[Any]], row: int) -> Any:
        if len(self._main) == 1:
            return outputs[self._main[0]][row]
        return {name: outputs[name][row] for name in self._main}

    def _any_question(self, body: bytes) -> Question:
        read = _decode(body)
        check = self._checker.check
        if not isinstance(read.features, UnsetType):
            if not isinstance(read.instances, UnsetType) or read.keys is not None:
                raise InputError('send either "features" (with "key") or "instances" (with "keys")', code="invalid_body")
            question = Question([check(read.features)], True, read.probabilities, _keys(read.key))
        elif isinstance(read.instances, list) and read.key is None:
            instances: list[Any] = read.instances
            if read.keys is not None and len(read.keys) != len(instances):
                raise InputError('"keys" has another length than "instances"', code="invalid_body")
            rows = [check(row, index) for index, row in enumerate(instances)]
            question = Question(rows, False, read.probabilities, read.keys)
        else:
            raise InputError(
                'the body must have "features" (one row) or "instances" (a list of rows): '
                "each row a list of values or an object by column name",
                code="invalid_body",
            )
        self._check_rest(question)
        return question

    def _check_rest(self, question: Question) -> None:
        if question.probabilities and not self._has_probabilities:
            raise InputError(f"model '{self._model}' gives no probabilities; leave them out", code="no_probabilities")
        if question.keys and any(key is not None and len(key) > KEY_CHARACTERS for key in question.keys):
            raise InputError(f"a key has at most {KEY_CHARACTERS} characters", code="invalid_body")


def _keys(key: str | None) -> list[str | None] | None:
    return None if key is None else [key]


def _decode(body: bytes) -> _Any:
    try:
        return _decode_any(body)
    except msgspec.ValidationError as error:
        raise InputError(f"the body does not fit: {error}", code="invalid_body") from error
    except msgspec.DecodeError:
        return _decode_lenient(body)
    except RecursionError:
        raise InputError("the body is nested too deeply", code="invalid_json") from None


def _decode_lenient(body: bytes) -> _Any:
    """As Python's own encoder writes it: bare NaN and Infinity are no JSON, but many clients send them."""
    try:
        return msgspec.convert(json.loads(body), _Any)
    except msgspec.ValidationError as error:
        raise InputError(f"the body does not fit: {error}", code="invalid_body") from error
    except json.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error.msg} at byte {error.pos}", code="invalid_json") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError("the body is not JSON in UTF-8", code="invalid_json") from error
