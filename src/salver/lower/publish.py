"""A model file → an artifact folder. Runs where the training libraries are."""

from __future__ import annotations

import platform
import shutil
import time
from pathlib import Path

from salver.artifact.artifact import atomic_folder, describe_files, write_golden, write_manifest
from salver.artifact.manifest import Golden, Lowering, Manifest, RuntimeSpec
from salver.frameworks.files import read
from salver.lower import onnx_file
from salver.lower.compile import lower
from salver.types.framework import Framework
from salver.types.signature import Signature

_Parts = tuple[Signature, Framework, RuntimeSpec, Lowering, Golden]


def publish(file: Path, name: str, destination: Path) -> None:
    """Read the model in `file`, lower it with proof, and write the artifact `destination`, whole or not at all.

    Raises ModelFileError when the file is no model that can be read here.
    """
    with atomic_folder(destination) as folder:
        signature, framework, spec, lowering, golden = (_graph if file.suffix.lower() == ".onnx" else _trained)(file, folder)
        write_golden(folder, golden)
        manifest = Manifest(
            name=name,
            signature=signature,
            framework=framework,
            runtime=spec,
            lowering=lowering,
            files=describe_files(folder),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            python=platform.python_version(),
        )
        write_manifest(folder, manifest)


def _graph(file: Path, folder: Path) -> _Parts:
    graph = onnx_file.Graph(file, folder)
    return graph.signature, graph.framework, graph.spec, graph.lowering, graph.golden


def _trained(file: Path, folder: Path) -> _Parts:
    trained = read(file)
    # How a file is read shows in its suffix, so the copy keeps its name.
    original = RuntimeSpec("native", f"model/{file.name}", "columns")
    lowered = lower(trained, folder, original)
    if lowered.spec == original:
        (folder / "model").mkdir()
        shutil.copyfile(file, folder / original.file)
    return trained.signature, trained.framework, lowered.spec, lowered.lowering, lowered.golden
