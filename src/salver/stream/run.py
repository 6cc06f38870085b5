"""The loop: what is there is taken, scored, logged, sent, and only then done with. A step that fails is made again.

There is one batch at a time, and where a sink sends by itself another is scored meanwhile. So what waits waits in the broker:
a slow sink slows the source, and memory stays as it is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.config import store_folder
from salver.embedded.model import Awake
from salver.engine.model import Model
from salver.engine.trial import order_of
from salver.errors import Unreachable
from salver.log.labels import acceptor
from salver.log.policy import Policies
from salver.log.settings import read_settings
from salver.log.writer import Writer, open_writer
from salver.registry.registry import Registry
from salver.stream.contract import Message, Sink, Source
from salver.stream.counts import Counts, Totals, exposed
from salver.stream.following import Following
from salver.stream.labels import Labelling, Labels
from salver.stream.places import GROUP, beside, open_sink, open_source, place
from salver.stream.scoring import Scored, Scoring
from salver.stream.shadows import Shadows
from salver.stream.steady import Steady, Stopped
from salver.types.reference import Reference

logger = logging.getLogger("salver")

BATCH = 1024
"""Messages at most that are scored together."""

WAIT_S = 0.5
_LAG_S = 1.0
_POLICY = Policy()
_Done = TypeVar("_Done")


def stream(
    reference: str,
    source: str,
    sink: str,
    *,
    labels: str | None = None,
    dead_letter: str | None = None,
    group: str = GROUP,
    key: str | None = None,
    store: str | Path | None = None,
    log: bool | str | Path = True,
    batch: int = BATCH,
    follow_s: float = 5.0,
    until_empty: bool = False,
    metrics: tuple[str, int] | None = None,
    policy: Policy = _POLICY,
    stop: threading.Event | None = None,
    counts: Counts | None = None,
    started: Callable[[], object] | None = None,
) -> Totals:
    """Score the messages of `source` into `sink`, both by URL, until `stop` is set, or with `until_empty` until none is left.

    Each message has its answer at least once; one that comes twice has the same id. Those of one key stay in order. What can't
    be scored goes to `dead_letter`, by default beside the sink. `started` is called once all is open, before the first message.
    Raises ConfigError and what a registry raises.
    """
    stop, counts, registry, wanted = stop or threading.Event(), counts or Counts(), Registry(store), Reference.parse(reference)
    where = _log_folder(log, store)
    with ExitStack() as stack:
        steady, at, to = Steady(counts, stop), place(source, group), place(sink, group)
        dead = place(dead_letter, group) if dead_letter else beside(to)
        writer, policies = _log(stack, where)
        counts.shadows = Shadows(lambda version: order_of(registry.store.url, wanted.name, version, policy, where))
        stack.callback(counts.shadows.close)
        scoring = Scoring(at.name, key, policies, counts.shadows)
        _follow(stack, registry, wanted, policy, scoring, follow_s)
        if metrics is not None:
            stack.enter_context(exposed(counts, wanted.name, *metrics))
        opened = _opened(stack, steady, lambda: open_source(at), lambda: open_sink(to), lambda: open_sink(dead))
        if labels is not None and where is not None:
            take = _labelling(registry, wanted, where)
            stack.callback(Labels(place(labels, group), take, counts, stop, until_empty).finish)
        _run(Loop(*opened, scoring, writer, counts, steady, batch), stop, until_empty, started)
    return counts.totals()


def _run(loop: Loop, stop: threading.Event, until_empty: bool, started: Callable[[], object] | None) -> None:
    if started is not None:
        started()
    try:
        loop.run(stop, until_empty)
    except Stopped:
        logger.warning("stopped before what was under way could be sent; it comes again")


def _log_folder(log: bool | str | Path, store: str | Path | None) -> Path | None:
    """The folder that is named, the store's own, or none."""
    if not isinstance(log, bool):
        return Path(log).expanduser()
    return store_folder(None if store is None else str(store)) / "log" if log else None


def _log(stack: ExitStack, where: Path | None) -> tuple[Writer | None, Policies | None]:
    """What writes the log, and what it is to keep."""
    if where is None:
        return None, None
    settings = read_settings(where)
    writer = open_writer(where, settings)
    stack.callback(writer.close)
    return writer, Policies(where, settings)


def _labelling(registry: Registry, wanted: Reference, where: Path) -> Labelling:
    """What takes labels for the model into its log."""
    signature = registry.manifest(*registry.resolve(wanted)).signature
    return Labelling(where, wanted.name, acceptor(signature, from_text=True))


def _follow(stack: ExitStack, registry: Registry, wanted: Reference, policy: Policy, scoring: Scoring, follow_s: float) -> None:
    """Have the versions answer that are meant, and follow the route from now on."""

    def wake(version: int) -> Awake:
        return Awake(Model(policy.admit(open_artifact(registry.fetch(wanted.name, version))), version))

    following = Following(registry, wanted, wake, scoring.install, follow_s)
    stack.callback(following.stop)
    following.start()


class Loop:
    """Messages from a source to a sink."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        dead: Sink,
        scoring: Scoring,
        writer: Writer | None,
        counts: Counts,
        steady: Steady,
        batch: int,
    ) -> None:
        self._source, self._sink, self._dead = source, sink, dead
        self._scoring = scoring
        self._writer = writer
        self._counts = counts
        self._steady = steady
        self._batch = batch
        self._lag_s = 0.0
        self._under_way: tuple[list[Message], Scored] | None = None
        source.leaving = self._finish

    def run(self, stop: threading.Event, until_empty: bool) -> None:
        """Until it is told to stop: then what is under way is finished first. Raises Stopped."""
        while not stop.is_set():
            if self._step(until_empty) and (until_empty or self._source.ended):
                return
        self._finish()

    def _step(self, until_empty: bool) -> bool:
        """One batch; whether there was nothing, and nothing is under way."""
        source, wait_s = self._source, 0.0 if self._under_way else WAIT_S
        messages = self._call("source", lambda: source.take(self._batch, wait_s))
        self._look()
        if not messages and self._under_way:
            self._finish()
            return False
        if not messages:
            return not until_empty or not self._call("source", source.lag)  # others of the group may be at the rest
        scored = self._score(messages)
        self._finish()  # what was under way meanwhile
        with self._timed("sink"):
            self._sink.put(scored.answers)
        self._under_way = messages, scored
        if not self._sink.ahead:
            self._finish()
        return False

    def _score(self, messages: list[Message]) -> Scored:
        with self._timed("score"):
            scored = self._scoring(messages)
        if self._writer is not None and scored.lines:
            lines, writer = scored.lines, self._writer
            self._call("log", lambda: writer.append(lines))
        return scored

    def _finish(self) -> None:
        """See what is under way acknowledged, and be done with it."""
        if self._under_way is None:
            return
        messages, scored = self._under_way
        self._call("sink", self._sink.flush)
        if scored.dead:
            self._dead.put([message for message, _ in scored.dead])
            self._call("dead_letter", self._dead.flush)
        self._under_way = None
        self._call("source", lambda: self._source.done(messages))
        counts = self._counts
        counts.answered.update(scored.versions)
        counts.dead.update(code for _, code in scored.dead)
        counts.version = self._scoring.version
        counts.batch_rows.observe(len(messages))
        counts.scored += len(scored.answers)

    def _look(self) -> None:
        """Now and then, how much is left. Nothing waits for a broker that does not tell."""
        if time.monotonic() < self._lag_s:
            return
        with self._timed("source"):
            try:
                self._counts.lag = self._source.lag()
            except Unreachable as error:
                logger.info("source: how much is left is not known now: %s", error.message)
        self._lag_s = time.monotonic() + _LAG_S

    def _call(self, side: str, ask: Callable[[], _Done]) -> _Done:
        with self._timed(side):
            return self._steady.call(side, ask)

    @contextmanager
    def _timed(self, step: str) -> Generator[None]:
        started_s = time.perf_counter()
        try:
            yield
        finally:
            self._counts.seconds[step] += time.perf_counter() - started_s


def _opened(
    stack: ExitStack, steady: Steady, source: Callable[[], Source], sink: Callable[[], Sink], dead: Callable[[], Sink]
) -> tuple[Source, Sink, Sink]:
    made = steady.call("source", source)
    stack.callback(made.close)
    places = steady.call("sink", sink), steady.call("dead_letter", dead)
    for one in places:
        stack.callback(one.close)
    return made, *places
