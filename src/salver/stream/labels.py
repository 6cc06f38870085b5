"""Labels that come as messages, into the log: `{"id": …, "label": …}`, or `key` for the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from salver.log.labels import Accept, Given, LabelWriter, check, keeper
from salver.log.settings import read_settings
from salver.stream.contract import Message


class Labelling:
    """Puts labels in a log. What is none is counted by its reason."""

    def __init__(self, log: Path, model: str, accept: Accept) -> None:
        self._writer = LabelWriter(log)
        self._model = model
        self._accept = accept
        self._keep = keeper(log, read_settings(log), model)
        self._decode = msgspec.json.Decoder(Given).decode

    def __call__(self, messages: Sequence[Message]) -> tuple[int, dict[str, int]]:
        """How many were taken, and what was wrong with the others. Raises LogUnavailable."""
        given: list[Given] = []
        wrong: dict[str, int] = {}
        for message in messages:
            try:
                one = self._decode(message.value)
            except (msgspec.DecodeError, UnicodeDecodeError):
                wrong["the message is no label"] = wrong.get("the message is no label", 0) + 1
                continue
            if one.id is None and one.key is None:
                one.key = message.key
            given.append(one)
        checked = check(given, self._model, self._accept, self._keep, "stream")
        self._writer.append(checked.labels)
        reasons: dict[str, Any] = {**wrong, **checked.wrong}
        return len(checked.labels), reasons

    def close(self) -> None:
        self._writer.close()
