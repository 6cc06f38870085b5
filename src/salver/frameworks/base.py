"""What a trained model in its own library looks like to the rest of Salver.

An adapter is one module of this package with `adapt(model) -> Trained`. It may import its library, inside functions only. It
is used where the training libraries are: while lowering, and in the process of a model that its own framework serves.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

from salver.types.framework import Framework
from salver.types.signature import Columns, Signature


class Trained(Protocol):
    """A trained model, its signature, and its own answers."""

    model: Any
    framework: Framework
    signature: Signature
    tolerance: float
    """How far a lowering's numbers may be from the library's own: |a - b| ≤ tolerance · max(1, |a|)."""

    def predict(self, columns: Columns) -> Columns:
        """All outputs of the signature, from arrays by column: (rows,) each, objects for categories and text (None: missing).

        Labels are int64 indices into the output's classes. Raises whatever the library raises.
        """
        ...

    def answer(self, columns: Columns) -> Any:
        """The library's own `predict` and nothing else: what a speed-up is measured against."""
        ...


class Exports(Trained, Protocol):
    """A trained model that writes its own ONNX graph."""

    def to_onnx(self) -> bytes | None:
        """A graph with the signature's outputs (labels as indices into their classes) from one input a column, under its name,
        or from one (rows, columns) matrix called `X`. None when there is none; raises LoweringError to say why not.
        """
        ...


def exports(trained: Trained) -> TypeGuard[Exports]:
    """Whether `trained` is one of those."""
    return hasattr(trained, "to_onnx")


def indices(labels: Any, classes: Any) -> Any:
    """Where each label stands in `classes`, as int64. Raises ValueError for a label that is not among them."""
    import numpy as np

    places = {label: i for i, label in enumerate(np.asarray(classes).tolist())}
    try:
        return np.array([places[label] for label in np.asarray(labels).tolist()], dtype=np.int64)
    except KeyError as error:
        raise ValueError("the model answered with a label that is not among its classes") from error
