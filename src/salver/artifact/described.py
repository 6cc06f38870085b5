"""How a model came to be served as it is, in words."""

from __future__ import annotations

from salver.artifact.manifest import Manifest

_RUNTIMES = {"linear": "numpy", "onnx": "ONNX Runtime"}


def how_served(manifest: Manifest) -> list[str]:
    """What was trained, what serves it, and the proof or why there is none: a line each."""
    framework, lowering, proof = manifest.framework, manifest.lowering, manifest.lowering.proof
    lines = [f"{framework.model} ({framework.name} {framework.version})"]
    if proof is None:
        lines.append(f"served by {framework.name} itself, {_us(lowering.original_row_us)} a row")
        return [*lines, f"not lowered: {lowering.reason}"] if lowering.reason else lines
    if not proof.rows:
        return [*lines, f"a graph already, served by ONNX Runtime as it is: {_us(proof.row_us)} a row"]
    return [
        *lines,
        f"served by {_RUNTIMES.get(manifest.runtime.kind, manifest.runtime.kind)}, proven on {proof.rows:,} rows: "
        f"{proof.label_flips} labels differ, numbers {_apart(proof.largest_difference)}",
        f"{_us(proof.row_us)} a row, {lowering.speedup:,.0f}× faster than the original's {_us(lowering.original_row_us)}",
    ]


def _apart(difference: float) -> str:
    return f"within {difference:.1e}" if difference else "are the same"


def _us(us: float) -> str:
    return f"{us:.0f} µs" if us < 1000 else f"{us / 1000:.1f} ms"
