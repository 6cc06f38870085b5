"""A model file → an artifact folder. Runs where the training libraries are."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from salver.artifact.artifact import atomic_folder, describe_files, write_golden, write_manifest
from salver.artifact.manifest import Golden, Lowering, Manifest, RuntimeSpec
from salver.frameworks import sources
from salver.frameworks.files import read, skops_types
from salver.lower import onnx_file
from salver.lower.compile import lower
from salver.types.framework import Framework
from salver.types.signature import Signature


class Parts(msgspec.Struct):
    """What a manifest says of a model whose files are written."""

    signature: Signature
    framework: Framework
    runtime: RuntimeSpec
    lowering: Lowering
    golden: Golden


def publish(file: Path, name: str, destination: Path) -> None:
    """Read the model in `file`, lower it with proof, and write the artifact `destination`, whole or not at all.

    Raises ModelFileError when the file is no model that can be read here.
    """
    with atomic_folder(destination) as folder, TemporaryDirectory(prefix="salver-") as scratch:
        opened = sources.opened(file, Path(scratch))
        finish(folder, name, graph(opened, folder) if opened.suffix.lower() == ".onnx" else _trained(opened, folder))


def finish(folder: Path, name: str, parts: Parts, **about: Any) -> Manifest:
    """Write what is left of an artifact: the golden rows, and the manifest with what is to be said `about` the model."""
    write_golden(folder, parts.golden)
    manifest = Manifest(
        name=name,
        signature=parts.signature,
        framework=parts.framework,
        runtime=parts.runtime,
        lowering=parts.lowering,
        files=describe_files(folder),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        python=platform.python_version(),
        **about,
    )
    write_manifest(folder, manifest)
    return manifest


def graph(file: Path, folder: Path) -> Parts:
    """A graph that was made elsewhere is served as it is."""
    made = onnx_file.Graph(file, folder)
    return Parts(made.signature, made.framework, made.spec, made.lowering, made.golden)


def trusts_of(file: Path) -> tuple[str, ...]:
    """Who publishes a file by their own hand consents to what is in it."""
    return skops_types(file) if file.suffix.lower() == ".skops" else ()


def original_of(file: Path) -> RuntimeSpec:
    """The model served by its own library. How a file is read shows in its suffix, so the copy keeps its name."""
    return RuntimeSpec("native", f"model/{file.name}", "columns", trusts_of(file))


def _trained(file: Path, folder: Path) -> Parts:
    original = original_of(file)
    trained = read(file, original.trusts)
    lowered = lower(trained, folder, original)
    if lowered.spec == original:
        sources.keep(file, folder / "model")
    return Parts(trained.signature, trained.framework, lowered.spec, lowered.lowering, lowered.golden)
