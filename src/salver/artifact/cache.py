"""Artifacts made from model files, kept by the digest of those: the second start of the same file is instant."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from salver.version import __version__


def cached_folder(store: Path, digest: str, name: str) -> Path:
    """Where the artifact of the model with that digest is kept under `name`.

    Another Salver may lower otherwise, so its version is in the key; so is whether it could write graphs at all, since what
    is not lowered for want of a package is lowered once the package is there.
    """
    graphs = "" if find_spec("onnx") else "-without-onnx"
    return store / "cache" / f"{digest[:32]}-{__version__}{graphs}" / name
