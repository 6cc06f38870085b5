"""Following the route of a model: what it asks for is woken here, and who answers is said anew when that is ready.

Who answers is decided by `engine/routing.py`, as in a server: a name goes over to another version only when that is ready.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from salver.embedded.model import Awake
from salver.engine.routing import Followed, Routing, settle
from salver.errors import ArtifactError, SalverError, StoreError
from salver.registry.registry import Registry
from salver.registry.route import Route
from salver.types.reference import Reference
from salver.types.successor import obstacle

logger = logging.getLogger("salver")

Install = Callable[[Routing, Mapping[int, Awake]], None]


class Following:
    """Looks every `every_s` seconds. A version that can't be woken is told to the log, and tried again with the next route."""

    def __init__(
        self, registry: Registry, wanted: Reference, wake: Callable[[int], Awake], install: Install, every_s: float
    ) -> None:
        """`install` is told who answers, with all versions that may have to; what it is no longer given has been let go."""
        self._registry, self._wanted = registry, wanted
        self._wake, self._install = wake, install
        self._every_s = every_s
        self._followed = Followed.of([wanted])
        self._route = Route()
        self._routing = Routing()
        self._awake: dict[int, Awake] = {}
        self._refused: dict[int, SalverError] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Return when a version answers, and follow from then on. Raises what is wrong with the one that is meant."""
        meant = self._registry.resolve(self._wanted)[1]
        self._look()
        if self._routing.default is None:
            raise self._refused.get(meant) or ArtifactError(f"{self._wanted.name}@{meant} can't be woken")
        self._thread = threading.Thread(target=self._run, name="salver-follow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when nobody takes over any more, and let all versions go."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        for awake in self._awake.values():
            awake.model.close()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self._look()
            except SalverError as error:
                logger.warning("version %s goes on answering: %s", self._routing.default, error.message)

    def _look(self) -> None:
        name = self._wanted.name
        route = self._registry.newer(name, self._route) if self._route.number else self._registry.route(name)
        if route.number != self._route.number:
            self._refused.clear()
        self._route = route
        latest = None if route.named(route.default) else max(self._registry.versions(name), default=None)
        while True:
            goal = settle(route, self._followed, latest, self._awake.keys(), self._refused.keys(), self._routing)
            missing = goal.needed - self._awake.keys() - self._refused.keys()
            if not missing or self._stopped.is_set():
                break
            for version in sorted(missing):
                self._try(version)
        if goal.routing != self._routing or goal.needed != self._awake.keys():
            self._settle(goal.routing, goal.needed)

    def _try(self, version: int) -> None:
        try:
            self._require_fit(version)
            self._awake[version] = self._wake(version)
        except StoreError:
            raise  # it may pass
        except SalverError as error:
            self._refused[version] = error
            logger.warning("%s@%d answers nothing: %s", self._wanted.name, version, error.message)

    def _require_fit(self, version: int) -> None:
        """Raises ArtifactError when what comes for the version that answers now is not for this one."""
        default = self._routing.default
        if default is None or version in self._route.accepted or version in self._followed.versions:
            return
        signature = self._registry.manifest(self._wanted.name, version).signature
        if reason := obstacle(self._awake[default].model.signature, signature):
            raise ArtifactError(f"it can't answer what comes for version {default}: {reason}")

    def _settle(self, routing: Routing, needed: set[int]) -> None:
        kept = {version: awake for version, awake in self._awake.items() if version in needed}
        gone = [awake for version, awake in self._awake.items() if version not in needed]
        self._install(routing, kept)
        self._awake, self._routing = kept, routing
        for awake in gone:
            awake.model.close()
