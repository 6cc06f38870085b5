"""What became of a model, in a few lines for people."""

from __future__ import annotations

from salver.artifact.described import how_served
from salver.artifact.manifest import Manifest


def report(manifest: Manifest) -> str:
    """How it is served and why, how that was proven, how good it is, what it takes."""
    lines = how_served(manifest)
    if manifest.metrics:
        lines.append(", ".join(f"{name} {value:.4g}" for name, value in manifest.metrics.items()))
    columns = manifest.signature.columns
    kinds = {"numbers": sum(column.is_number for column in columns)}
    kinds |= {"categories": sum(column.dtype == "category" for column in columns)}
    kinds |= {"texts": sum(column.dtype == "string" for column in columns)}
    lines.append(f"{len(columns)} columns: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count))
    lines.append(f"{_size(manifest.size_bytes)}, digest {manifest.digest[:12]}")
    return "\n".join(f"  {line}" for line in lines)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
