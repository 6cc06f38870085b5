"""A model file → an artifact folder. Runs where the training libraries are."""

from __future__ import annotations

import platform
import shutil
import time
from pathlib import Path

from salver.artifact.artifact import atomic_folder, describe_files, write_golden, write_manifest
from salver.artifact.manifest import Manifest, RuntimeSpec
from salver.frameworks.files import read
from salver.lower.compile import lower


def publish(file: Path, name: str, destination: Path) -> None:
    """Read the model in `file`, lower it with proof, and write the artifact `destination`, whole or not at all.

    Raises ModelFileError when the file is no model that can be read here.
    """
    trained = read(file)
    with atomic_folder(destination) as folder:
        # Reading a pickle by its suffix: the copy keeps the name that says how it is read.
        original = RuntimeSpec("native", f"model/{file.name}", "columns")
        lowered = lower(trained, folder, original)
        if lowered.spec == original:
            (folder / "model").mkdir()
            shutil.copyfile(file, folder / original.file)
        write_golden(folder, lowered.golden)
        manifest = Manifest(
            name=name,
            signature=trained.signature,
            framework=trained.framework,
            runtime=lowered.spec,
            lowering=lowered.lowering,
            files=describe_files(folder),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            python=platform.python_version(),
        )
        write_manifest(folder, manifest)
