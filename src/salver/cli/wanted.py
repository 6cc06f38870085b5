"""What `salver serve` is asked to serve: model files, folders of artifacts, versions in the registry."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from salver.artifact.artifact import Artifact, open_artifact, read_manifest
from salver.artifact.cache import cached_folder
from salver.artifact.manifest import FILENAME
from salver.artifact.trust import Policy
from salver.errors import ConfigError, InputError, ModelFileError, NotFound
from salver.frameworks import sources
from salver.types.reference import Reference, model_name

if TYPE_CHECKING:
    from salver.registry.registry import Registry


class Wanted(NamedTuple):
    """A model to serve: from `file` (a model file or the folder of an artifact), or without one from the registry.

    `reference` is how it was asked for there, and what is followed.
    """

    name: str
    version: int
    file: Path | None
    reference: Reference | None = None


def wanted_models(arguments: list[str], registry: Registry) -> list[Wanted]:
    """What the arguments mean; every model of the registry when there are none.

    Raises ConfigError when two models have the same name, ModelFileError or NotFound when there is no such model.
    """
    if not arguments:
        everything = [Wanted(*registry.resolve(name), None, Reference(name)) for name in registry.models()]
        if not everything:
            raise ConfigError(f"there are no models in {registry.store.url}; name a model file, or save a model first")
        return everything
    wanted: list[Wanted] = []
    for argument in arguments:
        one = _wanted(argument, registry)
        if one not in wanted:
            wanted.append(one)
    files = {one.name: one.file for one in wanted if one.file}
    for one in wanted:
        if one.name in files and one.file != files[one.name]:  # several versions out of the registry are one model
            raise ConfigError(f"two models are called '{one.name}'; name one of them: other={files[one.name]}")
    return wanted


def _wanted(argument: str, registry: Registry) -> Wanted:
    given, named, text = argument.rpartition("=")
    path = Path(text).expanduser()
    if (path / FILENAME).is_file():  # a version's folder is called by its number: the model itself knows its name
        return Wanted(Reference.parse(given or read_manifest(path).name).name, 1, path)
    if sources.is_source(path) or sources.is_address(text):
        name = Reference.parse(given).name if named else model_name(sources.stem(path))
        return Wanted(name, 1, path)
    try:
        if named:
            raise ModelFileError(f"no model file at {path}")
        reference = Reference.parse(text)
        return Wanted(*registry.resolve(reference), None, reference)
    except (InputError, NotFound) as error:
        if isinstance(error, InputError) or error.code == "unknown_model":
            raise ModelFileError(f"no model file at {path}, and no model of that name in {registry.store.url}") from None
        raise


def is_by_hand(wanted: Wanted) -> bool:
    """Whether it is a model file that somebody names here and now."""
    return wanted.file is not None and not (wanted.file / FILENAME).is_file()


async def find_artifact(wanted: Wanted, registry: Registry, store: Path, policy: Policy) -> Artifact:
    """From the registry, a folder or the cache, or lowered now in its own process; let in by `policy`. Raises SalverError."""
    by_hand = is_by_hand(wanted)
    if wanted.file is not None and by_hand:
        policy.admit_file(wanted.file)
    artifact = await _found(wanted, registry, store)
    await asyncio.to_thread(policy.admit, artifact, by_hand=by_hand)
    return artifact


async def _found(wanted: Wanted, registry: Registry, store: Path) -> Artifact:
    name, version, file, _ = wanted
    if file is None:
        return await asyncio.to_thread(lambda: open_artifact(registry.fetch(name, version)))
    if (file / FILENAME).is_file():
        artifact = await asyncio.to_thread(open_artifact, file)
        artifact.manifest = msgspec.structs.replace(artifact.manifest, name=name)
        return artifact
    if not sources.is_address(str(file)):
        return await _made(name, file, store)
    with TemporaryDirectory(prefix="salver-") as scratch:  # where it leads may change, so it is asked at each start
        print(f"  {name}: fetching {file}", flush=True)
        fetched = await _run("salver.frameworks.mlflow", str(file), scratch)
        return await _made(name, Path(fetched.decode().splitlines()[-1]), store)


async def _made(name: str, file: Path, store: Path) -> Artifact:
    folder = cached_folder(store, await asyncio.to_thread(sources.digest, file), name)
    if not folder.is_dir():
        print(f"  {name}: lowering {file.name} and proving the result; the next start will be instant", flush=True)
        await _run("salver.lower", str(file), name, str(folder))
    return await asyncio.to_thread(open_artifact, folder)


async def _run(module: str, *arguments: str) -> bytes:
    """What `python -m MODULE FILE …` prints. Raises ModelFileError, with its message, when it refuses the file."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdin=DEVNULL, stdout=PIPE)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:  # told to stop meanwhile
            process.kill()
    if process.returncode == 0:
        return said
    try:
        refusal = json.loads(said)
    except ValueError:
        raise ModelFileError(f"reading {Path(arguments[0]).name} failed; what its library said stands above") from None
    raise ModelFileError(refusal["message"])
