"""The loop: what is there is taken, scored, logged, sent, and only then done with. A step that fails is made again.

There is one batch at a time, so what waits waits in the broker: a slow sink slows the source, and memory stays as it is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.config import store_folder
from salver.embedded.model import Awake
from salver.engine.model import Model
from salver.engine.trial import order_of
from salver.errors import LogUnavailable, Unreachable
from salver.log.labels import acceptor
from salver.log.policy import Policies
from salver.log.settings import read_settings
from salver.log.writer import Writer, open_writer
from salver.registry.registry import Registry
from salver.runtimes.restarts import Restarts
from salver.stream.contract import Sink, Source
from salver.stream.counts import Counts, Totals, exposed
from salver.stream.following import Following
from salver.stream.labels import Labelling
from salver.stream.places import GROUP, beside, open_sink, open_source, place
from salver.stream.scoring import Scoring
from salver.stream.shadows import Shadows
from salver.types.reference import Reference

logger = logging.getLogger("salver")

BATCH = 1024
"""Messages at most that are scored together."""

WAIT_S = 0.5
LONGEST_S = 10.0  # between two tries
DRAIN_S = 15.0  # after it is told to stop, for what is under way
_LAG_S = 1.0
_POLICY = Policy()
_Done = TypeVar("_Done")


class Stopped(Exception):
    """It was told to stop, and what is under way can't be finished: it comes again."""


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
) -> Totals:
    """Score the messages of `source` into `sink`, both by URL, until `stop` is set, or with `until_empty` until none is left.

    Each message has its answer at least once; one that comes twice has the same id. Those of one key stay in order. What can't
    be scored goes to `dead_letter`, by default beside the sink. Raises ConfigError and what a registry raises.
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
            accept = acceptor(registry.manifest(*registry.resolve(wanted)).signature, from_text=True)
            _start_labels(stack, labels, group, Labelling(where, wanted.name, accept), counts, stop, until_empty)
        try:
            Loop(*opened, scoring, writer, counts, steady, batch).run(stop, until_empty)
        except Stopped:
            logger.warning("stopped before what was under way could be sent; it comes again")
    return counts.totals()


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


def _follow(stack: ExitStack, registry: Registry, wanted: Reference, policy: Policy, scoring: Scoring, follow_s: float) -> None:
    """Have the versions answer that are meant, and follow the route from now on."""

    def wake(version: int) -> Awake:
        return Awake(Model(policy.admit(open_artifact(registry.fetch(wanted.name, version))), version))

    following = Following(registry, wanted, wake, scoring.install, follow_s)
    stack.callback(following.stop)
    following.start()


class Steady:
    """Makes a call again, with longer and longer waits, until it is no longer Unreachable."""

    def __init__(self, counts: Counts, stop: threading.Event) -> None:
        self._counts = counts
        self._stop = stop

    def call(self, side: str, ask: Callable[[], _Done]) -> _Done:
        """What `ask` gives. Raises Stopped when it is told to stop and that does not come to be soon."""
        waits = Restarts(longest_s=LONGEST_S)
        give_up_s = float("inf")
        while True:
            try:
                done = ask()
                self._counts.waiting[side] = 0
                return done
            except (Unreachable, LogUnavailable) as error:
                self._counts.retries[side] += 1
                if not self._counts.waiting[side]:
                    logger.warning("%s: %s; tried again until it can be", side, error.message)
                self._counts.waiting[side] = 1
            now_s = time.monotonic()
            if self._stop.is_set():
                give_up_s = min(give_up_s, now_s + DRAIN_S)
                if now_s >= give_up_s:
                    raise Stopped
            self._stop.wait(max(waits.ended(now_s), 0.05)) if not self._stop.is_set() else time.sleep(0.1)


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

    def run(self, stop: threading.Event, until_empty: bool) -> None:
        """Until it is told to stop: then what is under way is finished first. Raises Stopped."""
        while not stop.is_set():
            if self._step(until_empty) and (until_empty or self._source.ended):
                return

    def _step(self, until_empty: bool) -> bool:
        """One batch; whether there was nothing."""
        counts, steady, source = self._counts, self._steady, self._source
        messages = steady.call("source", lambda: source.take(self._batch, WAIT_S))
        self._look()
        if not messages:
            return not until_empty or not steady.call("source", source.lag)  # others of the group may be at the rest
        made = self._scoring(messages)
        if self._writer is not None and made.lines:
            lines, writer = made.lines, self._writer
            steady.call("log", lambda: writer.append(lines))
        if made.answers:
            steady.call("sink", lambda: self._sink.put(made.answers))
        if made.dead:
            steady.call("dead_letter", lambda: self._dead.put([message for message, _ in made.dead]))
        steady.call("source", lambda: source.done(messages))
        counts.scored += len(made.answers)
        counts.answered.update(made.versions)
        counts.dead.update(code for _, code in made.dead)
        counts.version = self._scoring.version
        counts.batch_rows.observe(len(messages))
        return False

    def _look(self) -> None:
        if time.monotonic() >= self._lag_s:
            self._lag_s = time.monotonic() + _LAG_S
            self._counts.lag = self._steady.call("source", self._source.lag)


def _opened(
    stack: ExitStack, steady: Steady, source: Callable[[], Source], sink: Callable[[], Sink], dead: Callable[[], Sink]
) -> tuple[Source, Sink, Sink]:
    made = steady.call("source", source)
    stack.callback(made.close)
    places = steady.call("sink", sink), steady.call("dead_letter", dead)
    for one in places:
        stack.callback(one.close)
    return made, *places


def _start_labels(
    stack: ExitStack,
    url: str,
    group: str,
    labelling: Labelling,
    counts: Counts,
    stop: threading.Event,
    until_empty: bool,
) -> None:
    """Take labels in a thread of their own, until the stream ends."""
    ended = threading.Event()
    steady = Steady(counts, stop)

    def step(source: Source) -> bool:
        """One batch; whether there was nothing."""
        messages = steady.call("labels", lambda: source.take(BATCH, WAIT_S))
        if messages:
            taken, wrong = steady.call("labels", lambda: labelling(messages))
            steady.call("labels", lambda: source.done(messages))
            counts.labels += taken
            for reason, count in wrong.items():
                logger.warning("%d labels were not taken: %s", count, reason)
        return not messages and (not until_empty or not steady.call("labels", source.lag))

    def work() -> None:
        source = steady.call("labels", lambda: open_source(place(url, group)))
        try:
            while not stop.is_set() and not (step(source) and (source.ended or (until_empty and ended.is_set()))):
                pass
        except Stopped:
            return
        finally:
            source.close()
            labelling.close()

    thread = threading.Thread(target=work, name="salver-labels", daemon=True)
    thread.start()

    def finish() -> None:
        ended.set()
        thread.join(DRAIN_S)

    stack.callback(finish)
