"""NumPy's files of one array, as SageMaker's clients send and read them. Pure.

Source: numpy.lib.format. No pickle is ever read, and no memory is taken for what the body does not have.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy

from salver.errors import InputError
from salver.types.signature import Columns

MEDIA = "application/x-npy"


def read(content: bytes, names: list[str]) -> Columns:
    """The columns of a matrix of numbers, or of one row of them. Raises InputError."""
    file = io.BytesIO(content)
    try:
        version = npy.read_magic(file)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_column, dtype = header(file)
    except (ValueError, EOFError, UnicodeDecodeError) as error:
        raise InputError("the body is no file of numpy's", code="invalid_body") from error
    rest = content[file.tell() :]
    if dtype.kind not in "fiub" or min(shape, default=0) < 0 or len(rest) != math.prod(shape) * dtype.itemsize:
        raise InputError("the body is no whole array of numbers", code="invalid_body")
    array = np.frombuffer(rest, dtype).reshape(shape, order="F" if by_column else "C")
    if array.ndim == 1:
        array = array.reshape((-1, 1) if len(names) == 1 else (1, -1))
    if array.ndim != 2 or array.shape[1] != len(names):
        raise InputError(f"the array must have {len(names)} columns", code="wrong_width")
    return {name: array[:, i] for i, name in enumerate(names)}


def write(predictions: list[Any]) -> bytes:
    """An array of them."""
    file = io.BytesIO()
    np.save(file, np.array(predictions), allow_pickle=False)
    return file.getvalue()
