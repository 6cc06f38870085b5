"""The models a process serves, by name and version. Knows nothing of HTTP, JSON or files of models."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from salver.artifact.artifact import Artifact
from salver.engine.batcher import Limits
from salver.engine.lane import Append, Lane
from salver.engine.lifecycle import Lifecycle
from salver.engine.model import Model
from salver.engine.routing import Routing
from salver.engine.split import Split
from salver.errors import NotFound, Unavailable
from salver.log.policy import Policies
from salver.registry.registry import Registry
from salver.types.reference import Reference

if TYPE_CHECKING:
    from salver.engine.shadow import Mirror, Shadow

State = Literal["loading", "ready", "failed"]

_NO_ROUTING = Routing()


class Asked(msgspec.Struct, array_like=True, frozen=True):
    """That a model be awake or not, and when that was asked."""

    at_s: float  # time.monotonic, which all processes of a machine share
    awake: bool


class Engine:
    """Loads versions, finds the lane of a reference, and says whether everything that was asked for is ready."""

    def __init__(self, append: Append | None, limits: Limits | None = None, policies: Policies | None = None) -> None:
        self.lanes: dict[str, dict[int, Lane]] = {}
        self.states: dict[str, State] = {}
        self.routings: dict[str, Routing] = {}  # by model; only the registry's models have any
        self.registry: Registry | None = None  # where its models' routes are changed
        self.lifecycles: dict[str, Lifecycle] = {}  # by model, where its route is followed
        self.refusals: Counter[str] = Counter()  # versions that were refused, by model
        self.default_name = ""  # the model that is meant where none is named, when several are served
        self._awaited: Counter[str] = Counter()
        self.others_ready: Callable[[], bool] = lambda: True  # those that serve the same beside it, if there are any
        self.leaving = False  # it is not ready any more, and answers what still comes
        self.on_change: list[Callable[[], None]] = []  # called whenever `find` may answer otherwise than before
        self.loader: Callable[[str], Awaitable[None]] | None = None  # wakes a model of this name again; set by who can
        self.unloaded: set[str] = set()  # models that were let go, and can be woken again
        self.asked: dict[str, Asked] = {}  # what was last asked of a model, for those that serve the same beside it
        self.shadows: dict[str, list[Shadow]] = {}  # by model
        self._splits: dict[str, Split[Lane]] = {}
        self._append = append
        self._limits = limits or Limits()
        self._policies = policies

    def __repr__(self) -> str:
        return f"<Engine {self.states}>"

    @property
    def ready(self) -> bool:
        """Whether there is a model, and every one has answered its golden rows."""
        return not self.leaving and bool(self.states) and all(state == "ready" for state in self.states.values())

    @property
    def all_ready(self) -> bool:
        """Whether it is ready and so is everybody who answers in its place."""
        return self.ready and self.others_ready()

    def expect(self, name: str) -> None:
        """Say that a model of this name is about to be loaded; until it is, the engine is not ready."""
        self.states[name] = "loading"
        self.unloaded.discard(name)
        self._awaited[name] += 1

    async def load(self, artifact: Artifact, version: int = 1) -> Lane:
        """Wake an artifact, off the event loop, and take requests for it once it has answered its golden rows."""
        name = artifact.manifest.name
        self.states.setdefault(name, "loading")
        try:
            return self.take(await asyncio.to_thread(Model, artifact, version))
        except Exception:
            self.states[name] = "failed"
            raise

    def take(self, model: Model) -> Lane:
        """Take requests for a model that is awake. Raises ConfigError, and closes it, when a rule of the log does not fit."""
        name, version, signature = model.name, model.version, model.signature
        try:
            policy = self._policies.of(name, signature) if self._policies else None
        except Exception:
            model.close()
            raise
        if self._policies:
            self._policies.note(name, version, signature)
        lane = self.lanes.setdefault(name, {})[version] = Lane(model, self._append, self._limits, policy=policy)
        self._awaited[name] -= 1
        self.states[name] = "loading" if self._awaited[name] > 0 else "ready"
        self._changed()
        return lane

    def route(self, name: str, routing: Routing) -> None:
        """Say who answers for a model from now on. Requests that wait are answered where they are."""
        self.routings[name] = routing
        lanes = self.lanes[name]
        canaries = {
            share.version: lanes[share.version].by("canary") for share in routing.shares if share.version != routing.default
        }
        if canaries and routing.default is not None:
            self._splits[name] = Split(name, routing, lanes[routing.default], canaries)
        else:
            self._splits.pop(name, None)
        self._mirror(name, routing)
        self._changed()

    def shadow(self, name: str, shadows: list[Shadow]) -> None:
        """Let these be asked what the model's default and its canaries are asked, from now on and instead of others."""
        self.shadows[name] = shadows
        self._mirror(name, self.routings[name])

    def _mirror(self, name: str, routing: Routing) -> None:
        shadows = self.shadows.get(name)
        for version, lane in self.lanes[name].items():
            mirror = _mirror_of(lane, shadows) if shadows else None
            lane.mirror = mirror if version == routing.default else None
            if "canary" in lane.others:
                lane.others["canary"].mirror = mirror

    def split(self, reference: Reference | None) -> Split[Lane] | None:
        """Where `reference` leaves it open which version answers and canaries have a share: how to find it."""
        if not self._splits or (reference is not None and (reference.version is not None or reference.alias is not None)):
            return None
        return self._splits.get(self._only_name() if reference is None else reference.name)

    async def retire(self, name: str, version: int) -> None:
        """Let a version go that answers no more, once it has answered what waits."""
        lane = self.lanes.get(name, {}).pop(version, None)
        self._changed()
        if lane is not None:
            await lane.close()

    def find(self, reference: Reference | None) -> Lane:
        """The lane that answers for `reference`; None means the only model. Raises NotFound or Unavailable."""
        name = self._only_name() if reference is None else reference.name
        versions = self.lanes.get(name)
        if not versions:
            if self.states.get(name) == "loading":
                raise Unavailable(f"model '{name}' is being loaded", code="loading")
            raise NotFound(f"no model '{name}' here; GET /models lists those that are", code="unknown_model")
        routing = self.routings.get(name, _NO_ROUTING)
        if reference is None or (reference.version is None and reference.alias is None):
            return versions[routing.default if routing.default in versions else max(versions)]
        version = routing.aliases.get(reference.alias) if reference.alias else reference.version
        if version in versions:
            return versions[version]
        if self.states.get(name) == "loading":
            raise Unavailable(f"model '{name}' is being loaded", code="loading")
        which = reference.version or reference.alias
        raise NotFound(f"model '{name}' has no version or alias '{which}' here", code="unknown_version")

    async def unload(self, name: str) -> None:
        """Let every version of a model go: from now on it is unknown, and what waits is answered. Raises NotFound."""
        versions = self.lanes.pop(name, None)
        if versions is None:
            raise NotFound(f"no model '{name}' here; GET /models lists those that are", code="unknown_model")
        for known in (self.states, self.routings, self.lifecycles, self._splits):
            known.pop(name, None)
        self.unloaded.add(name)
        self._changed()
        for lane in versions.values():
            await lane.close()

    async def close(self) -> None:
        """Answer what waits, then let every model go."""
        for versions in self.lanes.values():
            for lane in versions.values():
                await lane.close()
        for known in (self.lanes, self.states, self.routings, self.lifecycles, self._splits):
            known.clear()
        self._changed()

    def _changed(self) -> None:
        for told in self.on_change:
            told()

    @property
    def short_name(self) -> str | None:
        """The model that is meant where none is named; None where that is not clear."""
        return self.default_name or (next(iter(self.states)) if len(self.states) == 1 else None)

    def _only_name(self) -> str:
        if self.short_name is not None:
            return self.short_name
        if not self.states:
            raise Unavailable("no model is loaded yet", code="loading")
        raise NotFound("several models are served; name one: POST /models/NAME/predict", code="model_not_named")


def _mirror_of(lane: Lane, shadows: list[Shadow]) -> Mirror:
    from salver.engine.shadow import Mirror  # most servers have none

    return Mirror(shadows, lane.model.signature.prediction.name)
