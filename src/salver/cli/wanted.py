"""What `salver serve` is asked to serve: model files, folders of artifacts, versions in the registry."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from salver.artifact.artifact import Artifact, open_artifact
from salver.artifact.cache import cached_folder
from salver.artifact.manifest import FILENAME
from salver.errors import ConfigError, InputError, ModelFileError, NotFound
from salver.types.reference import Reference, model_name

if TYPE_CHECKING:
    from salver.registry.registry import Registry


class Wanted(NamedTuple):
    """A model to serve: from `file` (a model file or the folder of an artifact), or without one from the registry."""

    name: str
    version: int
    file: Path | None


def wanted_models(arguments: list[str], registry: Registry) -> list[Wanted]:
    """What the arguments mean; every model of the registry when there are none.

    Raises ConfigError when two models have the same name, ModelFileError or NotFound when there is no such model.
    """
    if not arguments:
        everything = [Wanted(*registry.resolve(name), None) for name in registry.models()]
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
    if path.is_file() or (path / FILENAME).is_file():
        name = (
            Reference.parse(given).name if named else model_name(path.name.partition(".")[0] if path.is_file() else path.name)
        )
        return Wanted(name, 1, path)
    try:
        if named:
            raise ModelFileError(f"no model file at {path}")
        return Wanted(*registry.resolve(Reference.parse(text)), None)
    except (InputError, NotFound) as error:
        if isinstance(error, InputError) or error.code == "unknown_model":
            raise ModelFileError(f"no model file at {path}, and no model of that name in {registry.store.url}") from None
        raise


async def find_artifact(wanted: Wanted, registry: Registry, store: Path) -> Artifact:
    """From the registry, the folder or the cache, or lowered now in a process of its own. Raises SalverError."""
    name, version, file = wanted
    if file is None:
        return await asyncio.to_thread(lambda: open_artifact(registry.fetch(name, version)))
    if (file / FILENAME).is_file():
        return open_artifact(file)
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
