"""`salver serve`: model files → lowered artifacts → a listening server."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import TYPE_CHECKING

from salver.artifact.artifact import Artifact, open_artifact
from salver.artifact.cache import cached_folder
from salver.artifact.manifest import FILENAME
from salver.cli.options import add_store
from salver.config import store_folder
from salver.errors import ConfigError, ModelFileError
from salver.log.segment import SegmentWriter
from salver.types.reference import Reference, model_name
from salver.version import __version__

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.engine.lane import Lane
    from salver.server.run import Server

_PASTED = 4000  # characters of a curl line's body


def add(commands: Commands) -> None:
    serving = commands.add_parser("serve", help="serve models over HTTP", description="Serve models over HTTP.")
    serving.add_argument("models", nargs="+", metavar="[NAME=]FILE", help="a model file, or the folder of an artifact")
    serving.add_argument("--host", default="127.0.0.1", help="the address to listen on (default %(default)s)")
    serving.add_argument("--port", type=int, default=8080, help="the port to listen on (default %(default)s)")
    add_store(serving)
    serving.add_argument("--log", metavar="FOLDER", help="where predictions are logged (default: log/ in the store)")
    serving.add_argument("--no-log", action="store_true", help="do not log predictions")
    serving.set_defaults(run=serve)


def serve(given: argparse.Namespace) -> int:
    """Serve until told to stop. Raises SalverError when a model can't be served."""
    from salver.engine.engine import Engine
    from salver.server.described import how_served
    from salver.server.run import Server

    files = _named(given.models)
    store = store_folder(given.store)
    log = None if given.no_log else SegmentWriter(Path(given.log) if given.log else store / "log")
    engine = Engine(log.append if log else None)
    for name in files:
        engine.expect(name)

    async def load(server: Server) -> None:
        print(f"Salver {__version__}", flush=True)
        lanes = [await engine.load(await find_artifact(name, file, store)) for name, file in files.items()]
        for lane in lanes:
            print(f"\n  {lane.model.name}: " + "\n    ".join(how_served(lane.model.manifest)), flush=True)
        print(f"\n{_where(given, log, lanes[0], len(lanes) > 1)}", flush=True)

    server = Server(engine, log, given.host, given.port, load)
    server.run()
    if log:
        log.close()
    if server.failure:
        raise server.failure
    return 0


async def find_artifact(name: str, file: Path, store: Path) -> Artifact:
    """The artifact of a model file: from the cache, or lowered now in a process of its own. Raises SalverError."""
    if (file / FILENAME).is_file():
        return open_artifact(file)
    if not file.is_file():
        raise ModelFileError(f"no model file at {file}")
    folder = cached_folder(store, file, name)
    if not folder.is_dir():
        print(f"  {name}: lowering {file.name} and proving the result; the next start will be instant", flush=True)
        await _lower(file, name, folder)
    return await asyncio.to_thread(open_artifact, folder)


async def _lower(file: Path, name: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "salver.lower", str(file), name, str(folder), stdin=DEVNULL, stdout=PIPE
    )  # fmt: skip
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:  # told to stop meanwhile
            process.kill()
    if process.returncode == 0:
        return
    try:
        refusal = json.loads(said)
    except ValueError:
        raise ModelFileError(f"reading {file.name} failed; what its library said stands above") from None
    raise ModelFileError(refusal["message"])


def _named(models: list[str]) -> dict[str, Path]:
    """[NAME=]FILE arguments by name. Raises ConfigError when two have the same."""
    named: dict[str, Path] = {}
    for model in models:
        name, given, file = model.rpartition("=")
        path = Path(file).expanduser()
        name = Reference.parse(name).name if given else model_name(path.name.partition(".")[0] if path.is_file() else path.name)
        if name in named:
            raise ConfigError(f"two models are called '{name}'; name one of them: other={path}")
        named[name] = path
    return named


def _where(given: argparse.Namespace, log: SegmentWriter | None, lane: Lane, several: bool) -> str:
    host = "localhost" if given.host in ("127.0.0.1", "0.0.0.0") else given.host
    url = f"http://{host}:{given.port}"
    route = f"/models/{lane.model.name}/predict" if several else "/predict"
    body = json.dumps({"features": lane.model.artifact.golden.rows[0]}, separators=(",", ":"))
    if len(body) > _PASTED:  # a whole image: nobody pastes that
        example = lane.model.artifact.folder.parent / f"{lane.model.name}.example.json"
        example.write_text(body)
        body = f"@{example}"
    quoted = shlex.quote(body)
    return (
        f"  listening on {url}   docs {url}/docs   metrics {url}/metrics\n"
        f"  predictions are {f'logged in {log.folder}' if log else 'not logged'}\n\n"
        f"  curl -d {quoted} {host}:{given.port}{route}"
    )
