"""A live PyTorch module → the file of a program that answers as it does, for any number of rows."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from salver.errors import ModelFileError
from salver.frameworks.pytorch import NOTES, Notes
from salver.frameworks.pytorch_onnx import quiet
from salver.tables import read
from salver.types.signature import Label

_ROWS = 32  # of the sample that are kept in the file as examples
_VALUES = 2_000_000  # at most, in all of them


def write(module: Any, path: Path, sample: Any, *, classes: Sequence[Label] | None = None) -> None:
    """Export `module`, as it answers in eval mode, to the .pt2 file `path`.

    `sample` is what the module is called with: a tensor or array, a tuple of them, a dict of them by the name of `forward`'s
    parameter, or a table (a DataFrame, an Arrow table, a list of dicts), whose columns become one (rows, columns) matrix and
    name the columns. `classes` name the places of its output. Raises ModelFileError when the module can't be exported.
    """
    import torch
    from torch.utils import _pytree as pytree

    module = copy.deepcopy(module).cpu().eval()
    names, given, named = _arguments(module, sample)
    tensors = pytree.tree_leaves((given, named))
    if not tensors or any(not isinstance(t, torch.Tensor) or t.ndim < 1 for t in tensors):
        raise ModelFileError("a sample for a PyTorch module is tensors whose first axis is the rows, or a table")
    given, named = pytree.tree_map(_shortened(tensors), (given, named))
    rows = tuple({0: torch.export.Dim.AUTO} for _ in (*given, *named))
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(module, given, named, dynamic_shapes=rows)
    except Exception as error:  # whatever stands in the module's way of being traced
        raise ModelFileError(
            f"{type(module).__name__} can't be exported by torch.export ({type(error).__name__}: {str(error)[:300]}); "
            "make its forward exportable, or serve it from a class of your own (docs/own-models.md)"
        ) from error
    notes = Notes(type(module).__name__, names, tuple(classes or ()))
    with quiet():
        torch.export.save(program, str(path), extra_files={NOTES: msgspec.json.encode(notes).decode()})


def _arguments(module: Any, sample: Any) -> tuple[tuple[str, ...], tuple[Any, ...], dict[str, Any]]:
    """The names of a table's columns, and what `forward` is called with, by position and by name."""
    import torch

    floats = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)

    def tensor(values: Any) -> Any:
        made = values.detach().cpu() if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))
        return made.to(floats) if made.is_floating_point() else made

    if isinstance(sample, torch.Tensor | np.ndarray):
        return (), (tensor(sample),), {}
    if isinstance(sample, tuple):
        return (), tuple(tensor(values) for values in sample), {}
    if isinstance(sample, Mapping) and any(isinstance(values, torch.Tensor | np.ndarray) for values in sample.values()):
        return (), (), {str(name): tensor(values) for name, values in sample.items()}
    columns = read(sample)
    if any(values.dtype == object for values in columns.values()):
        raise ModelFileError("a PyTorch module takes numbers; give it a table without text, or a class of your own around it")
    matrix = np.stack([np.asarray(values, dtype=np.float64) for values in columns.values()], axis=1)
    return tuple(columns), (torch.from_numpy(matrix).to(floats),), {}


def _shortened(tensors: list[Any]) -> Any:
    """A function that leaves as many rows of a tensor as are kept; at least two, since one would be taken for a constant."""
    values = sum(t[:1].numel() for t in tensors)
    rows = max(2, min(_ROWS, _VALUES // max(values, 1)))
    return lambda t: t[:rows].clone() if len(t) > 1 else t.repeat(2, *[1] * (t.ndim - 1))
