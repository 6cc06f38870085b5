"""Following the registry: what a route asks for is tried, loaded, put in force, and what it no longer asks for is let go.

Policy is elsewhere (`engine/lifecycle.py`, `engine/routing.py`); here is what it is fed with and what is done about it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.config import trusted_file
from salver.engine.background import in_background, return_memory
from salver.engine.engine import Engine
from salver.engine.lifecycle import Event, Lifecycle, Step
from salver.engine.model import Model
from salver.engine.routing import Followed
from salver.engine.shadow import Shadow
from salver.engine.trial import Passed, attempt, order_of, refusal
from salver.engine.trying import answer
from salver.errors import ArtifactError, SalverError, StoreError
from salver.registry.registry import Registry
from salver.registry.route import Route
from salver.types.successor import obstacle

logger = logging.getLogger("salver")

AT_ONCE = 2
"""Versions that are tried at the same time; one that hangs does not keep the others waiting."""

_EVERYTHING = Followed(default=True)


class Follower:
    """Keeps what an engine serves what the registry's routes say."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        policy: Policy,
        log: Path | None,
        followed: Mapping[str, Followed] | None,
        every_s: float = 2.0,
    ) -> None:
        """`followed` says what of each model is served; None follows all models of the store, new ones too."""
        engine.registry = registry
        self._engine = engine
        self._registry = registry
        self._policy = policy
        self._log = log
        self._followed = followed
        self.every_s = every_s
        self._passed: dict[tuple[str, int], Passed] = {}
        self._trials: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._trying = asyncio.Semaphore(AT_ONCE)
        self._loading = asyncio.Lock()
        self._kept: dict[tuple[str, int], Any] = {}  # of refused versions: what would have to change
        self._reached = True

    def __repr__(self) -> str:
        return f"<Follower of {self._registry!r} every {self.every_s} s>"

    @property
    def follows(self) -> bool:
        """Whether there is anything to look for."""
        return self._followed is None or bool(self._followed)

    async def run(self) -> None:
        """Look, every so often, until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(self.every_s)
        finally:
            for task in self._tasks:
                task.cancel()
            for shadows in self._engine.shadows.values():
                for shadow in shadows:
                    shadow.close()

    async def look(self) -> None:
        """Look once: one small read a model where nothing has changed."""
        lives = self._engine.lifecycles
        known = {name: life.route for name, life in lives.items()}
        try:
            seen = await asyncio.to_thread(self._seen, known)
            self._reached = True
        except SalverError as error:
            if self._reached:
                logger.error("the registry can't be read; what is served goes on: %s", error.message)
            self._reached = False
            seen = {}
        now_s = time.monotonic()
        for name, (route, latest) in seen.items():
            life = lives.get(name)
            if life is None:
                life = self._begun(name, _EVERYTHING if self._followed is None else self._followed[name])
            self._apply(name, life.follow(route, latest, now_s))
        for name, life in [*lives.items()]:
            self._apply(name, life.tick(now_s))
            for version in life.in_state("refused"):
                if await asyncio.to_thread(self._changed, name, version):
                    self._hear(name, version, "changed")

    async def adopt(self, name: str, followed: Followed) -> None:
        """Begin with the versions of a model that the engine has already."""
        route, latest = (await asyncio.to_thread(self._seen, {}, [name]))[name]
        self._apply(name, self._begun(name, followed).follow(route, latest, time.monotonic()))

    def _begun(self, name: str, followed: Followed) -> Lifecycle:
        life = self._engine.lifecycles[name] = Lifecycle(followed)
        for version in self._engine.lanes.get(name, {}):
            life.adopt(version)
        return life

    async def catch_up(self) -> None:
        """Return when all that routes ask for now is in force, or refused."""
        await self.look()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _seen(self, known: Mapping[str, Route], names: Sequence[str] | None = None) -> dict[str, tuple[Route, int | None]]:
        """The routes that are others than before, of these models or all that are followed. Runs in a thread."""
        if names is None:
            names = self._registry.store.children("models") if self._followed is None else [*self._followed]
        seen: dict[str, tuple[Route, int | None]] = {}
        for name in set(names) - self._engine.unloaded:
            before = known.get(name)
            route = self._registry.route(name) if before is None else self._registry.newer(name, before)
            if before is None or route.number != before.number or not route.aliases:
                versions = [] if route.named(route.default) else self._registry.versions(name)
                seen[name] = route, max(versions, default=None)
        return seen

    def _changed(self, name: str, version: int) -> bool:
        """Whether what is kept of a refused version, or of whom to trust, is not what it was when it was refused."""
        try:
            names = frozenset(self._registry.store.names(f"models/{name}/versions/{version}"))
            trusted = trusted_file().stat().st_mtime_ns if trusted_file().exists() else 0
        except (StoreError, OSError):
            return False
        kept = self._kept.setdefault((name, version), (names, trusted))
        return kept != (names, trusted)

    def _apply(self, name: str, steps: list[Step]) -> None:
        """Put the routing in force, then do what is to be done."""
        life = self._engine.lifecycles[name]
        before = self._engine.routings.get(name)
        if life.routing.versions and before != life.routing:
            self._engine.route(name, life.routing)
            if before:
                fields = {"event": "route", "model": name, "route": life.route.number}
                logger.warning("%s: %s", name, described(life), extra={"fields": fields})
            self._shadow(name, life.routing.shadows, before.shadows if before else ())
        does: dict[str, Callable[[str, int], Coroutine[Any, Any, None]]]
        does = {"try": self._try, "load": self._load, "drain": self._drain}
        for do, version in steps:
            if do == "abandon":
                self._trials[name, version].cancel()
                continue
            task = asyncio.get_running_loop().create_task(does[do](name, version))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if do == "try":
                self._trials[name, version] = task

    def _shadow(self, name: str, versions: tuple[int, ...], before: tuple[int, ...]) -> None:
        """Start and end shadows."""
        if versions == before:
            return
        had = {shadow.version: shadow for shadow in self._engine.shadows.get(name, [])}
        for version in had.keys() - {*versions}:
            had.pop(version).close()
        for version in versions:
            if version not in had:
                had[version] = Shadow(order_of(self._registry.store.url, name, version, self._policy, self._log))
        self._engine.shadow(name, [*had.values()])

    def _hear(self, name: str, version: int, event: Event, why: str = "") -> None:
        life = self._engine.lifecycles.get(name)
        if life is None:  # somebody let the model go meanwhile
            return
        before = life.versions[version].state if version in life.versions else "absent"
        steps = life.heard(version, event, time.monotonic(), why)
        if event == "failed" and before != "leaving":
            self._engine.refusals[name] += 1
            self._kept.pop((name, version), None)
            fields = {"event": "refused", "model": name, "version": version, "why": why}
            logger.error("%s@%d is refused and takes no request: %s", name, version, why, extra={"fields": fields})
        elif event == "missed" and before != "leaving":
            logger.error("%s@%d can't be fetched now, it is tried again: %s", name, version, why)
        self._apply(name, steps)

    async def _try(self, name: str, version: int) -> None:
        try:
            async with self._trying:
                await asyncio.to_thread(self._require_fit, name, version)
                self._passed[name, version] = await attempt(self._registry.store.url, name, version, self._policy, self._log)
        except asyncio.CancelledError:
            self._hear(name, version, "failed", "it is not wanted any more")
        except StoreError as error:
            self._hear(name, version, "missed", error.message)
        except Exception as error:
            self._hear(name, version, "failed", refusal(error))
        else:
            self._hear(name, version, "tried")
        finally:
            self._trials.pop((name, version), None)

    def _require_fit(self, name: str, version: int) -> None:
        """Raises ArtifactError when those who ask the version that answers now could not ask this one."""
        life = self._engine.lifecycles[name]
        default = life.routing.default
        if default is None or version in life.route.accepted or version in life.followed.versions:
            return
        lane = self._engine.lanes.get(name, {}).get(default)
        signature = self._registry.manifest(name, version).signature
        if lane and (reason := obstacle(lane.model.signature, signature)):
            raise ArtifactError(f"it can't answer those who ask version {default}: {reason}")

    async def _load(self, name: str, version: int) -> None:
        passed = self._passed.pop((name, version))

        def wake() -> Model:
            model = Model(self._policy.admit(open_artifact(passed.folder)), version)
            try:
                answer(model, passed.rows or model.artifact.golden.rows)
            except BaseException:
                model.close()
                raise
            return model

        try:
            async with self._loading:
                self._engine.take(await in_background(wake))
        except Exception as error:
            self._hear(name, version, "failed", refusal(error))
        else:
            self._hear(name, version, "loaded")

    async def _drain(self, name: str, version: int) -> None:
        try:
            await self._engine.retire(name, version)
            await in_background(return_memory)
        finally:
            self._hear(name, version, "drained")


def described(life: Lifecycle) -> str:
    """Who answers, in a line."""
    routing = life.routing
    told = [f"version {routing.default} answers"]
    told += [f"{share.percent:g} % by version {share.version}" for share in routing.shares]
    told += [f"version {shadow} is asked too" for shadow in routing.shadows]
    by = f" ({life.route.by}: {life.route.why})" if life.route.why else f" ({life.route.by})" if life.route.by else ""
    return ", ".join(told) + by
