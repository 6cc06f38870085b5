"""What a model answered, as columns of a table: one a class, so that any tool can read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.batch import arrow
from salver.engine.batch import values_of
from salver.types.signature import Columns, Output, Signature


def names_of(signature: Signature) -> dict[str, list[str]]:
    """The columns of each output: its own name, or one for each of its values."""
    return {output.name: _names(output, signature) for output in signature.outputs}


def _names(output: Output, signature: Signature) -> list[str]:
    if len(output.shape) != 1 or output.shape[0] < 1 or output.classes is not None:
        return [output.name]
    classes = signature.prediction.classes
    if output.name == "probabilities" and classes is not None and len(classes) == output.shape[0]:
        return [f"probability_{label}" for label in classes]
    return [f"{output.name}_{i}" for i in range(output.shape[0])]


def columns_of(signature: Signature, arrays: Columns) -> dict[str, arrow.Array]:
    """The outputs' arrays as Arrow columns, classes by their names."""
    import pyarrow

    made: dict[str, arrow.Array] = {}
    for output in signature.outputs:
        array, names = arrays[output.name], _names(output, signature)
        if output.classes is not None and not output.is_multilabel:
            made[output.name] = _classes(output.classes).take(pyarrow.array(array.astype(np.int64)))
        elif names != [output.name]:
            made.update({name: pyarrow.array(np.ascontiguousarray(array[:, i])) for i, name in enumerate(names)})
        elif array.ndim == 1 and output.classes is None:
            made[output.name] = pyarrow.array(array if array.dtype != object else array.tolist())
        else:
            made[output.name] = pyarrow.array(values_of(output, array))
    return made


def _classes(classes: tuple[Any, ...]) -> arrow.Array:
    """The classes themselves; as text where they are not of one kind."""
    import pyarrow

    kinds = {type(label) for label in classes}
    return pyarrow.array(list(classes) if len(kinds) == 1 else [str(label) for label in classes])
