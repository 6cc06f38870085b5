"""The life of a model's versions in a server, as a table of states and transitions. Pure: events come in, steps come out.

    wanted → trying → loading → ready → draining → gone
                 ↘        ↘
                  refused (for good, until something changes) or waiting (what failed may pass)

A version is first tried in a process of its own, then loaded beside the one that answers. Nothing is drained that answers.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from salver.engine.routing import Followed, Routing, settle
from salver.registry.route import Route

State = Literal["absent", "trying", "loading", "ready", "draining", "leaving", "refused", "waiting"]
Event = Literal["wanted", "unwanted", "tried", "loaded", "failed", "missed", "drained", "changed", "due"]
Do = Literal["try", "load", "abandon", "drain"]

TRANSITIONS: dict[tuple[State, Event], tuple[State, Do | None]] = {
    ("absent", "wanted"): ("trying", "try"),
    ("trying", "tried"): ("loading", "load"),
    ("trying", "failed"): ("refused", None),
    ("trying", "missed"): ("waiting", None),  # the store could not be reached, say
    ("trying", "unwanted"): ("leaving", "abandon"),
    ("loading", "loaded"): ("ready", None),
    ("loading", "failed"): ("refused", None),
    ("loading", "missed"): ("waiting", None),
    ("loading", "unwanted"): ("leaving", None),  # what loads can't be stopped
    ("leaving", "tried"): ("absent", None),
    ("leaving", "loaded"): ("draining", "drain"),
    ("leaving", "failed"): ("absent", None),
    ("leaving", "missed"): ("absent", None),
    ("ready", "unwanted"): ("draining", "drain"),
    ("draining", "drained"): ("absent", None),
    ("refused", "changed"): ("absent", None),  # a refused version is remembered until then, lest it be tried again
    ("waiting", "unwanted"): ("absent", None),
    ("waiting", "changed"): ("absent", None),
    ("waiting", "due"): ("trying", "try"),
}
"""What each event does to a version, and what is to be done then. What is not here changes nothing."""

_LONGEST_S = 60.0


class Step(NamedTuple):
    """Something to be done; when it is, `heard` is told."""

    do: Do
    version: int


class Status(msgspec.Struct):
    """Where a version is. `why` says what refused it."""

    state: State = "absent"
    why: str = ""
    misses: int = 0
    due_s: float = 0.0


class Lifecycle:
    """The versions of one model. `routing` is who answers after each event; it holds for whatever is done next."""

    def __init__(self, followed: Followed) -> None:
        self.followed = followed
        self.route = Route()
        self.routing = Routing()
        self.versions: dict[int, Status] = {}
        self._latest: int | None = None

    def __repr__(self) -> str:
        return f"<Lifecycle { {version: status.state for version, status in self.versions.items()} }>"

    def adopt(self, version: int) -> None:
        """A version that is ready already, since the server started with it."""
        self.versions[version] = Status("ready")

    def follow(self, route: Route, latest: int | None, now_s: float) -> list[Step]:
        """The route in force is this one; `latest` is the highest version there is."""
        if route.number != self.route.number:
            for version in [*self.versions]:
                self._event(version, "changed", now_s)
        self.route, self._latest = route, latest
        return self._settle(now_s)

    def heard(self, version: int, event: Event, now_s: float, why: str = "") -> list[Step]:
        """What became of a step: tried, loaded, drained, failed or missed, with the reason; or what is kept of it changed."""
        steps = self._event(version, event, now_s, why)
        return steps + self._settle(now_s)

    def tick(self, now_s: float) -> list[Step]:
        """Time went by."""
        due = [version for version, status in self.versions.items() if status.state == "waiting" and now_s >= status.due_s]
        return [step for version in due for step in self._event(version, "due", now_s)]

    def close(self) -> list[Step]:
        """The model is served no more."""
        self.followed, self.route = Followed(), Route()
        return self._settle(0.0)

    def in_state(self, *states: State) -> set[int]:
        return {version for version, status in self.versions.items() if status.state in states}

    def _settle(self, now_s: float) -> list[Step]:
        """Who answers now, and what is to be done for it."""
        steps: list[Step] = []
        while True:
            refused = self.in_state("refused")
            self.routing, needed = settle(
                self.route, self.followed, self._latest, self.in_state("ready"), refused, self.routing
            )
            made = [step for version in sorted(needed - refused) for step in self._event(version, "wanted", now_s)]
            for version in sorted(self.versions.keys() - needed):
                made += self._event(version, "unwanted", now_s)
            if not made:
                return steps
            steps += made

    def _event(self, version: int, event: Event, now_s: float, why: str = "") -> list[Step]:
        status = self.versions.setdefault(version, Status())
        state, do = TRANSITIONS.get((status.state, event), (status.state, None))
        status.state = state
        if event in ("failed", "missed"):
            status.why = why
            status.misses += 1
            status.due_s = now_s + min(_LONGEST_S, 2.0 ** (status.misses - 1))
        elif state in ("loading", "ready"):
            status.why = ""
        if state == "absent":
            del self.versions[version]
        return [Step(do, version)] if do else []
