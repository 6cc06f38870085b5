"""`salver.json`: everything about a model at rest except its weights. The format is described in docs/artifact.md."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from salver.types.framework import Framework
from salver.types.signature import Signature

FORMAT = 1
"""Raised by one whenever an older reader could misread a newer file."""

FILENAME = "salver.json"
GOLDEN = "golden.json"
SIGNATURE = "salver.sig"

RuntimeKind = Literal["onnx", "linear", "native", "echo"]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the artifact."""

    sha256: str
    size_bytes: int


class RuntimeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which runtime serves the model, from which file, and how it is fed.

    `layout` "matrix": one (rows, columns) float64 array named `X`, categories as codes. "columns": one array a column.
    `trusts` names the types in a .skops file that skops does not know to be harmless; no others are made.
    """

    kind: RuntimeKind
    file: str
    layout: Literal["matrix", "columns"]
    trusts: tuple[str, ...] = ()


class Attempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One way of lowering that was tried, and how it compared with the original on the same rows.

    `largest_difference` is the largest of |a - b| / max(1, |a|) over all numbers. Times are µs for one row, the median of many.
    """

    by: str  # "linear", "graph", "skl2onnx", "exported"
    proven: bool
    reason: str = ""  # why not, when not proven
    rows: int = 0
    label_flips: int = 0
    largest_difference: float = 0.0
    tolerance: float = 0.0
    row_us: float = 0.0


class Lowering(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the model came to be served as it is. `chosen` names an attempt, or is empty when the framework itself serves."""

    chosen: str
    original_row_us: float
    attempts: tuple[Attempt, ...] = ()

    @property
    def proof(self) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.by == self.chosen), None)

    @property
    def speedup(self) -> float:
        """How many times faster one row is than in the original framework; 1 when it serves itself."""
        proof = self.proof
        return self.original_row_us / proof.row_us if proof and proof.row_us else 1.0

    @property
    def reason(self) -> str:
        """Why nothing was chosen."""
        return "; ".join(f"{a.by}: {a.reason}" for a in self.attempts if a.reason)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model at rest."""

    name: str
    signature: Signature
    framework: Framework
    runtime: RuntimeSpec
    lowering: Lowering
    files: dict[str, File]
    created: str  # UTC, ISO 8601
    python: str
    description: str = ""
    tags: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    metrics: dict[str, float] = {}  # on the hold-out rows, when it was saved
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """What the model is, not when or under which name it was made: the same content has the same digest (SHA-256, hex)."""
        content = (self.signature, self.framework, self.runtime, self.files)
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Of all files but the manifest."""
        return sum(file.size_bytes for file in self.files.values())


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows with the outputs the original gave at training time; a version is ready only when it has answered them.

    Rows are as a client would send them; each output is the list of its values, one a row (indices where it has classes).
    """

    rows: list[list[object]]
    outputs: dict[str, list[object]]
    tolerance: float
