"""What `salver serve` serves, by one process or by several."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import pickle
import shlex
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from salver.cli.options import policy_of, registry_of, server_settings
from salver.cli.wanted import Wanted, find_artifact, is_by_hand, wanted_models
from salver.config import store_folder, store_url
from salver.engine.engine import Engine
from salver.engine.model import Model
from salver.errors import SalverError
from salver.log.policy import Policies
from salver.log.settings import Settings, read_settings
from salver.log.writer import Writer, open_writer
from salver.server.notify import notify
from salver.server.run import Server
from salver.server.workers import Herald, Supervisor, Tell, Worker, leave_with_parent
from salver.version import __version__

if TYPE_CHECKING:
    from salver.artifact.artifact import Artifact
    from salver.registry.registry import Registry
    from salver.server.entrance import Entrance

logger = logging.getLogger("salver")

_PASTED = 4000  # characters of a curl line's body

Load = Callable[[Server], Awaitable[None]]


class Serving:
    """The models that the command line names."""

    def __init__(self, given: argparse.Namespace, listeners: list[socket.socket], grpc_listeners: list[socket.socket]) -> None:
        self._given = given
        self._listeners = listeners
        self._grpc_listeners = grpc_listeners
        self._policy = policy_of(given)
        self._as_json = server_settings(given).events.format == "json"
        self._store = store_folder(given.store)
        self._folder = None if given.no_log else Path(given.log) if given.log else self._store / "log"
        self._settings = read_settings(self._folder) if self._folder else Settings()
        self._models: list[tuple[Wanted, Artifact, Model | None]] = []  # None: each process must wake it for itself

    def alone(self) -> int:
        """One process does it all."""
        wanted = wanted_models(self._given.models, registry_of(self._given))

        async def load(server: Server) -> None:
            for one, artifact in await self._find(wanted):
                self._models.append((one, artifact, None))
            await self._take(engine)
            self._say()
            notify("READY=1")
            await self._follow(engine, server)
            self._beside(server)

        engine, log = self._engine([one.name for one in wanted])
        return self._run(engine, log, load)

    def by_workers(self, count: int) -> int:
        """A supervisor wakes the models and then forks the workers, which serve them."""
        herald = Herald(self._announce)
        said = herald.wait()
        if not said:
            return herald.code
        for wanted, folder in pickle.loads(said):  # from the process that we forked a moment ago
            self._wake(wanted, folder)
        gc.freeze()
        return Supervisor(count, self._work, self._say, self._let_go).run() if herald.dismiss() else 0

    def _let_go(self) -> None:
        """The sockets belong to the workers: what connects after the last of them let go is refused."""
        for one in [*self._listeners, *self._grpc_listeners]:
            one.close()

    def _announce(self, tell: Tell) -> int:
        """The herald: find the artifacts, and answer health until told to stop."""
        wanted = wanted_models(self._given.models, registry_of(self._given))

        async def load(server: Server) -> None:
            server.also(leave_with_parent(server))
            tell(pickle.dumps([(one, artifact.folder) for one, artifact in await self._find(wanted)]))

        return self._run(self._engine([one.name for one in wanted], logs=False)[0], None, load)

    def _work(self, worker: Worker) -> int:
        """A worker."""

        async def load(server: Server) -> None:
            await self._take(engine)
            await self._follow(engine, server)
            if worker.place == 0:
                self._beside(server)

        engine, log = self._engine([one.name for one, _, _ in self._models])
        return self._run(engine, log, load, worker)

    async def _find(self, wanted: list[Wanted]) -> list[tuple[Wanted, Artifact]]:
        if not self._as_json:
            print(f"Salver {__version__}", flush=True)
        registry = registry_of(self._given)
        return [(one, await find_artifact(one, registry, self._store, self._policy)) for one in wanted]

    def _wake(self, wanted: Wanted, folder: Path) -> None:
        """Wake a model for all workers, where it can be shared: a native one has a process of its own."""
        from salver.artifact.artifact import open_artifact

        artifact = open_artifact(folder)
        artifact.manifest = msgspec.structs.replace(artifact.manifest, name=wanted.name)
        self._policy.admit(artifact, by_hand=is_by_hand(wanted))
        shared = artifact.manifest.runtime.kind != "native"
        self._models.append((wanted, artifact, Model(artifact, wanted.version) if shared else None))

    async def _take(self, engine: Engine) -> None:
        """Load what was found, and what the routes ask for by now."""
        registry = registry_of(self._given)
        for wanted, artifact, model in self._models:
            version = await _version_now(wanted, registry)
            if version != wanted.version:  # a worker that replaces another, after the route was changed
                newer = wanted._replace(version=version)
                await engine.load(await find_artifact(newer, registry, self._store, self._policy), version)
            elif model is None:
                await engine.load(artifact, wanted.version)
            else:
                engine.take(model)

        async def again(name: str) -> None:
            """Wake a model that was let go."""
            same = [(wanted, artifact) for wanted, artifact, _ in self._models if wanted.name == name]
            for _ in same:
                engine.expect(name)
            for wanted, artifact in same:
                await engine.load(artifact, wanted.version)

        engine.loader = again

    def _engine(self, names: list[str], logs: bool = True) -> tuple[Engine, Writer | None]:
        log = open_writer(self._folder, self._settings) if logs and self._folder else None
        engine = Engine(log.append if log else None, policies=Policies(self._folder, self._settings) if self._folder else None)
        for name in names:
            engine.expect(name)
        return engine, log

    def _run(
        self,
        engine: Engine,
        log: Writer | None,
        load: Load,
        worker: Worker | None = None,
    ) -> int:
        """A server from start to end."""
        server = Server(engine, log, self._listeners, load, self._entrance(engine), self._grpc_listeners, worker)
        server.run()
        if log:
            log.close()
        if server.failure:
            raise server.failure
        return 0

    def _entrance(self, engine: Engine) -> Entrance:
        from salver.door.audit import FOLDER, Audit
        from salver.door.keys import Keys
        from salver.server.entrance import Entrance

        settings = server_settings(self._given)
        audit = Audit(self._store / FOLDER, settings.audit.file_bytes, settings.audit.files, settings.audit.refusals_per_s)
        return Entrance(engine, settings, Keys(registry_of(self._given).store), audit)

    async def _follow(self, engine: Engine, server: Server) -> None:
        """Let routes say who answers, now and later. Each worker follows for itself. Files have no routes."""
        wanted = [one for one, _, _ in self._models]
        if self._given.models and all(one.reference is None for one in wanted):
            return
        from salver.cli import following

        registry = registry_of(self._given)
        follower = await following.begin(self._given, engine, registry, self._policy, self._folder, wanted)
        following.go_on(server, follower)

    def _beside(self, server: Server) -> None:
        """What one process does beside serving."""
        from salver.server.housekeeping import look_after

        if self._folder:
            monitored = None if self._given.no_monitor else store_url(self._given.store)
            server.also(look_after(self._folder, monitored=monitored))

    def _say(self) -> None:
        from salver.artifact.described import how_served

        if self._as_json:
            models = [f"{wanted.name}@{wanted.version}" for wanted, _, _ in self._models]
            logger.info("ready: %s", ", ".join(models), extra={"fields": {"event": "ready", "models": models}})
            return
        for wanted, artifact, _ in self._models:
            name = wanted.name if wanted.file else f"{wanted.name}@{wanted.version}"
            print(f"\n  {name}: " + "\n    ".join(how_served(artifact.manifest)), flush=True)
        several = len({wanted.name for wanted, _, _ in self._models}) > 1
        print(f"\n{_where(self._given, self._folder, self._models[0][1], several)}", flush=True)


async def _version_now(wanted: Wanted, registry: Registry) -> int:
    """The version that a model's name or alias means by now; the one that was found when nobody can say."""
    if wanted.reference is None:
        return wanted.version
    try:
        return (await asyncio.to_thread(registry.resolve, wanted.reference))[1]
    except SalverError as error:
        logger.error("%s: %s; version %d is served", wanted.name, error.message, wanted.version)
        return wanted.version


def _where(given: argparse.Namespace, log: Path | None, artifact: Artifact, several: bool) -> str:
    host = "localhost" if given.host in ("127.0.0.1", "0.0.0.0") else given.host
    url = f"{'https' if server_settings(given).tls.cert else 'http'}://{host}:{given.port}"
    grpc = "" if given.grpc_port is None else f"   gRPC {host}:{given.grpc_port}"
    route = f"/models/{artifact.manifest.name}/predict" if several else "/predict"
    body = json.dumps({"features": artifact.golden.rows[0]}, separators=(",", ":"))
    if len(body) > _PASTED:  # a whole image: nobody pastes that
        example = store_folder(given.store) / "cache" / f"{artifact.manifest.name}.example.json"
        example.parent.mkdir(parents=True, exist_ok=True)
        example.write_text(body)
        body = f"@{example}"
    quoted = shlex.quote(body)
    return (
        f"  listening on {url}   docs {url}/docs   metrics {url}/metrics{grpc}\n"
        f"  predictions are {f'logged in {log}' if log else 'not logged'}\n\n"
        f"  curl -d {quoted} {url.removeprefix('http://')}{route}"
    )
