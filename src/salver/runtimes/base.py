"""What a runtime is: a model awake.

A runtime is one module of this package, named as its kind, with one function, `load(spec, folder) -> Runtime`. It imports
its framework inside that function. It knows nothing of requests, batches, JSON or other models. To add one: write the
module, add its name to `RuntimeKind` in `salver.artifact.manifest`, and the conformance suite finds it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol

from salver.artifact.manifest import RuntimeSpec
from salver.types.signature import Columns, Signature


class Runtime(Protocol):
    """A loaded model. Used by one thread at a time."""

    def predict(self, inputs: Columns) -> Columns:
        """Outputs by name for n ≥ 1 rows, rows along the first axis of each, in the order given.

        `inputs` is `{"X": (n, columns) float64}` for layout "matrix", else an array a column. An output with classes is int64
        indices into them; numbers are float64 or as the signature says. Raises whatever the framework raises.
        """
        ...

    def close(self) -> None:
        """Give back what the model holds. Called once; no call follows."""
        ...


def load(spec: RuntimeSpec, signature: Signature, folder: Path) -> Runtime:
    """Wake the model that `spec` describes from the files in `folder`."""
    return import_module(f"salver.runtimes.{spec.kind}").load(spec, signature, folder)
