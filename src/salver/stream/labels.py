"""Labels that come as messages, into the log: `{"id": …, "label": …}`, or `key` for the caller's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from salver.errors import SalverError
from salver.log.labels import Accept, Given, LabelWriter, check, keeper
from salver.log.settings import read_settings
from salver.stream.contract import Message, Source, legible
from salver.stream.counts import Counts
from salver.stream.places import Place, open_source
from salver.stream.steady import DRAIN_S, Steady, Stopped

logger = logging.getLogger("salver")

_BATCH = 1024
_WAIT_S = 0.5


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
                one.key = None if message.key is None else legible(message.key)
            given.append(one)
        checked = check(given, self._model, self._accept, self._keep, "stream")
        self._writer.append(checked.labels)
        reasons: dict[str, Any] = {**wrong, **checked.wrong}
        return len(checked.labels), reasons

    def close(self) -> None:
        self._writer.close()


class Labels:
    """Takes labels in a thread of its own while a stream runs. What they can't go on after ends the stream too."""

    def __init__(self, at: Place, labelling: Labelling, counts: Counts, stop: threading.Event, until_empty: bool) -> None:
        self._at, self._labelling = at, labelling
        self._counts, self._steady = counts, Steady(counts, stop)
        self._stop, self._until_empty = stop, until_empty
        self._answered = threading.Event()  # no more answers come that labels could belong to
        self._failure: SalverError | None = None
        self._thread = threading.Thread(target=self._run, name="salver-labels", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Return when what is under way is done; with `until_empty`, when all is that is there. Raises what went wrong."""
        self._answered.set()
        while self._until_empty and self._thread.is_alive() and not self._stop.is_set():
            self._thread.join(_WAIT_S)
        self._thread.join(DRAIN_S)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            source = self._steady.call("labels", lambda: open_source(self._at))
            try:
                while not self._is_over(source, self._step(source)):
                    pass
            finally:
                source.close()
        except Stopped:
            pass
        except SalverError as error:
            self._failure = error
            self._stop.set()
        finally:
            self._labelling.close()

    def _is_over(self, source: Source, is_empty: bool) -> bool:
        if self._stop.is_set():
            return True
        if self._answered.is_set():
            return is_empty or not self._until_empty
        return is_empty and source.ended

    def _step(self, source: Source) -> bool:
        """One batch; whether there was nothing."""
        call, counts = self._steady.call, self._counts
        messages = call("labels", lambda: source.take(_BATCH, _WAIT_S))
        if messages:
            taken, wrong = call("labels", lambda: self._labelling(messages))
            call("labels", lambda: source.done(messages))
            counts.labels += taken
            for reason, count in wrong.items():
                logger.warning("%d labels were not taken: %s", count, reason)
        return not messages and (not self._until_empty or not call("labels", source.lag))
