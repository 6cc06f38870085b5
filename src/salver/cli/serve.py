"""`salver serve`: model files → lowered artifacts → a listening server."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from salver.cli.options import add_door, add_store, add_trust, add_watch, policy_of, registry_of, server_settings
from salver.cli.wanted import find_artifact, wanted_models
from salver.config import store_folder
from salver.log.policy import Policies
from salver.log.settings import read_settings
from salver.log.writer import Writer, open_writer
from salver.version import __version__

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.cli.wanted import Wanted
    from salver.engine.engine import Engine
    from salver.engine.lane import Lane
    from salver.registry.registry import Registry
    from salver.server.entrance import Entrance
    from salver.server.run import Server

_PASTED = 4000  # characters of a curl line's body
_MODELS = "[NAME=]FILE: a model file or an artifact's folder; or iris, iris@3, iris@champion from the store (default: all)"


def add(commands: Commands) -> None:
    serving = commands.add_parser("serve", help="serve models over HTTP", description="Serve models over HTTP.")
    serving.add_argument("models", nargs="*", metavar="MODEL", help=_MODELS)
    serving.add_argument("--host", default="127.0.0.1", help="the address to listen on (default %(default)s)")
    serving.add_argument("--port", type=int, default=8080, help="the port to listen on (default %(default)s)")
    serving.add_argument("--grpc-port", type=int, metavar="PORT", help="speak gRPC too, on this port (needs salver[grpc])")
    add_watch(serving)
    add_store(serving)
    serving.add_argument("--log", metavar="FOLDER", help="where predictions are logged (default: log/ in the store)")
    serving.add_argument("--no-log", action="store_true", help="do not log predictions")
    add_trust(serving)
    add_door(serving)
    serving.set_defaults(run=serve)


def serve(given: argparse.Namespace) -> int:
    """Serve until told to stop. Raises SalverError when a model can't be served."""
    from salver.artifact.described import how_served
    from salver.cli import following
    from salver.engine.engine import Engine
    from salver.server.housekeeping import look_after
    from salver.server.run import Server

    registry = registry_of(given)
    policy = policy_of(given)
    wanted = wanted_models(given.models, registry)
    store = store_folder(given.store)
    folder = Path(given.log) if given.log else store / "log"
    settings = read_settings(folder)
    log = None if given.no_log else open_writer(folder, settings)
    engine = Engine(log.append if log else None, policies=Policies(folder, settings))
    entrance = _entrance(given, engine, registry)
    for model in wanted:
        engine.expect(model.name)

    async def wake(model: Wanted) -> Lane:
        return await engine.load(await find_artifact(model, registry, store, policy), model.version)

    async def load(server: Server) -> None:
        print(f"Salver {__version__}", flush=True)
        lanes = [await wake(model) for model in wanted]
        engine.loader = _again(engine, wanted, wake)
        for lane, model in zip(lanes, wanted, strict=True):
            name = model.name if model.file else f"{model.name}@{model.version}"
            print(f"\n  {name}: " + "\n    ".join(how_served(lane.model.manifest)), flush=True)
        print(f"\n{_where(given, log, lanes[0], len(engine.states) > 1)}", flush=True)
        follower = await following.begin(given, engine, registry, policy, log.folder if log else None, wanted)
        following.go_on(server, follower)
        if log:
            server.also(look_after(log.folder))

    server = Server(engine, log, given.host, given.port, load, entrance, given.grpc_port)
    server.run()
    if log:
        log.close()
    if server.failure:
        raise server.failure
    return 0


def _again(engine: Engine, wanted: list[Wanted], wake: Callable[[Wanted], Awaitable[Lane]]) -> Callable[[str], Awaitable[None]]:
    """What wakes a model that was let go."""

    async def load(name: str) -> None:
        models = [model for model in wanted if model.name == name]
        for _ in models:
            engine.expect(name)
        for model in models:
            await wake(model)

    return load


def _entrance(given: argparse.Namespace, engine: Engine, registry: Registry) -> Entrance:
    from salver.door.audit import FOLDER, Audit
    from salver.door.keys import Keys
    from salver.server.entrance import Entrance

    store = store_folder(given.store)
    settings = server_settings(given)
    audit = Audit(store / FOLDER, settings.audit.file_bytes, settings.audit.files, settings.audit.refusals_per_s)
    entrance = Entrance(engine, settings, Keys(registry.store), audit)
    entrance.require_keys_for(given.host)
    return entrance


def _where(given: argparse.Namespace, log: Writer | None, lane: Lane, several: bool) -> str:
    host = "localhost" if given.host in ("127.0.0.1", "0.0.0.0") else given.host
    url = f"{'https' if server_settings(given).tls.cert else 'http'}://{host}:{given.port}"
    grpc = "" if given.grpc_port is None else f"   gRPC {host}:{given.grpc_port}"
    route = f"/models/{lane.model.name}/predict" if several else "/predict"
    body = json.dumps({"features": lane.model.artifact.golden.rows[0]}, separators=(",", ":"))
    if len(body) > _PASTED:  # a whole image: nobody pastes that
        example = store_folder(given.store) / "cache" / f"{lane.model.name}.example.json"
        example.parent.mkdir(parents=True, exist_ok=True)
        example.write_text(body)
        body = f"@{example}"
    quoted = shlex.quote(body)
    return (
        f"  listening on {url}   docs {url}/docs   metrics {url}/metrics{grpc}\n"
        f"  predictions are {f'logged in {log.folder}' if log else 'not logged'}\n\n"
        f"  curl -d {quoted} {url.removeprefix('http://')}{route}"
    )
