"""What is written of a prediction: columns dropped, hashed, cut or put in buckets, and which predictions are written at all.

Pure: records in, records out. It is compiled once a model; a model without rules has none and pays nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from salver.errors import ConfigError
from salver.log.record import Record, object_maker
from salver.log.secret import secret_of
from salver.log.settings import Bucket, ModelSettings, Rule, Settings, Truncate
from salver.log.signatures import note
from salver.types.signature import Signature

Change = Callable[[Any], Any]
HASH_DIGITS = 16
_ALL = 2**32


class Policy:
    """Turns the records of one model into those that are written.

    Raises ConfigError when a rule is for a column that the model does not have: misspelt, it would be written as it is.
    """

    def __init__(self, settings: ModelSettings, inputs: Sequence[str], outputs: Sequence[str], secret: bytes) -> None:
        self._inputs = _Changer(settings.rules("columns"), inputs, secret)
        self._outputs = _Changer(settings.rules("outputs"), outputs, secret)
        self._key = change_for(settings.key, secret)
        self._sample = settings.sample
        self._drops_key = settings.key == "drop"

    @property
    def changes_nothing(self) -> bool:
        return self._inputs.idle and self._outputs.idle and self._key is None and not self._drops_key and self._sample >= 1

    def __call__(self, records: list[Record]) -> list[Record]:
        """The records that are written, changed in place."""
        if self._sample < 1:
            records = [record for record in records if record.flags or is_sampled(record.id, self._sample)]
        for record in records:
            if self._sample < 1 and not record.flags:
                record.weight = 1 / self._sample
            if not self._inputs.idle:
                record.inputs = self._inputs(record.inputs)
            if not self._outputs.idle:
                record.outputs = self._outputs(record.outputs)
            if self._drops_key:
                record.key = None
            elif self._key is not None and record.key is not None:
                record.key = self._key(record.key)
        return records


class Policies:
    """The policy of each model that a log's settings give one."""

    def __init__(self, log: Path, settings: Settings) -> None:
        self._log = log
        self._settings = settings

    def of(self, model: str, signature: Signature) -> Policy | None:
        """A model's policy; None when all of its predictions are written as they are. Raises ConfigError."""
        settings = self._settings.of(model)
        if settings == ModelSettings():
            return None
        policy = Policy(settings, signature.names, [output.name for output in signature.outputs], secret_of(self._log))
        return None if policy.changes_nothing else policy

    def note(self, model: str, version: int, signature: Signature) -> None:
        """Leave a version's signature in the log, for those who read it."""
        note(self._log, model, version, signature)


class _Changer:
    """Applies rules to an object by column."""

    def __init__(self, rules: dict[str, Rule], names: Sequence[str], secret: bytes) -> None:
        unknown = rules.keys() - set(names)
        if unknown:
            raise ConfigError(f"log.toml has a rule for '{min(unknown)}', which the model does not have: {', '.join(names)}")
        self.idle = not rules
        self._kept = [
            (i, change_for(rules.get(name, "keep"), secret)) for i, name in enumerate(names) if rules.get(name) != "drop"
        ]
        self._make = object_maker([names[i] for i, _ in self._kept])

    def __call__(self, values: Any) -> Any:
        row = list(values.values()) if isinstance(values, dict) else msgspec.structs.astuple(values)
        return self._make(*[change(row[i]) if change else row[i] for i, change in self._kept])


def is_sampled(made_id: str, share: float) -> bool:
    """Whether a prediction is in the sample: always the same for the same id, on whatever machine it is asked."""
    return crc32(made_id.encode()) < share * _ALL


def change_for(rule: Rule, secret: bytes) -> Change | None:
    """What a rule does to a value; None when nothing. Missing values stay missing."""
    if isinstance(rule, Truncate):
        return _present(_cut(rule.truncate))
    if isinstance(rule, Bucket):
        return _present(_between(rule.bucket) if isinstance(rule.bucket, list) else _wide(rule.bucket))
    return _present(lambda value: hashed(value, secret)) if rule == "hash" else None


def hashed(value: Any, secret: bytes) -> str:
    """A keyed hash: equal for equal values, and nothing without the key."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


def _present(change: Change) -> Change:
    return lambda value: None if value is None or value != value else change(value)


def _cut(length: int) -> Change:
    def cut(value: Any) -> Any:
        if isinstance(value, str):
            return value[:length]
        if isinstance(value, float) and math.isfinite(value):
            return math.trunc(value * 10**length) / 10**length
        return value if isinstance(value, int | float) else None

    return cut


def _wide(width: float) -> Change:
    def bucket(value: Any) -> Any:
        return math.floor(value / width) * width if isinstance(value, int | float) and math.isfinite(value) else None

    return bucket


def _between(edges: list[float]) -> Change:
    ordered = sorted(edges)
    names = [f"<{ordered[0]:g}", *(f"{a:g} to {b:g}" for a, b in pairwise(ordered)), f">={ordered[-1]:g}"]

    def bucket(value: Any) -> Any:
        return names[bisect_right(ordered, value)] if isinstance(value, int | float) else None

    return bucket
