"""A linear model in numpy: one matrix product and a link, without a graph's overhead.

The file is an .npz of `coef` (columns, scores), `intercept` (scores,) and `link`:

    identity   numbers as they are (regression)
    softmax    multinomial probabilities
    sigmoid    binary probabilities from one score
    ovr        one-vs-rest probabilities: each score's sigmoid, normalised
    scores     the label of the largest score (of the sign, with one score), the scores themselves beside it
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.artifact.manifest import RuntimeSpec
from salver.errors import ArtifactError
from salver.types.signature import Columns, Signature

LINKS = ("identity", "softmax", "sigmoid", "ovr", "scores")


class LinearRuntime:
    def __init__(self, coef: NDArray[np.float64], intercept: NDArray[np.float64], link: str) -> None:
        self._coef = coef
        self._intercept = intercept
        self._answer = {
            "identity": self._identity,
            "softmax": self._softmax,
            "sigmoid": self._sigmoid,
            "ovr": self._ovr,
            "scores": self._scores,
        }[link]
        self._one = coef.shape[1] == 1

    def predict(self, inputs: Columns) -> Columns:
        raw = np.dot(inputs["X"], self._coef)
        raw += self._intercept
        return self._answer(raw)

    def close(self) -> None:
        del self._coef, self._intercept

    def _identity(self, raw: NDArray[Any]) -> Columns:
        return {"prediction": raw[:, 0] if self._one else raw}

    def _softmax(self, raw: NDArray[Any]) -> Columns:
        label = raw.argmax(axis=1)
        raw -= np.maximum.reduce(raw, axis=1, keepdims=True)
        np.exp(raw, out=raw)
        raw /= np.add.reduce(raw, axis=1, keepdims=True)
        return {"prediction": label, "probabilities": raw}

    def _sigmoid(self, raw: NDArray[Any]) -> Columns:
        probabilities = np.empty((len(raw), 2))
        probabilities[:, 1:] = _expit(raw)
        probabilities[:, :1] = 1 - probabilities[:, 1:]
        return {"prediction": (raw[:, 0] > 0).astype(np.int64), "probabilities": probabilities}

    def _ovr(self, raw: NDArray[Any]) -> Columns:
        probabilities = _expit(raw)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return {"prediction": raw.argmax(axis=1), "probabilities": probabilities}

    def _scores(self, raw: NDArray[Any]) -> Columns:
        if self._one:
            scores = raw[:, 0]
            return {"prediction": (scores > 0).astype(np.int64), "scores": scores}
        return {"prediction": raw.argmax(axis=1), "scores": raw}


def _expit(raw: NDArray[Any]) -> NDArray[Any]:
    # exp of a non-positive number never overflows: 1/(1+e^-|z|), or its complement.
    z = np.exp(-np.abs(raw))
    return np.where(raw >= 0, 1 / (1 + z), z / (1 + z))


def load(spec: RuntimeSpec, signature: Signature, folder: Path) -> LinearRuntime:
    """Raises ArtifactError for a file that is not what lowering writes: three plain arrays that fit."""
    try:
        coef, intercept, link = (_array(folder / spec.file, name) for name in ("coef", "intercept", "link"))
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ArtifactError(f"{spec.file} is not what was lowered: {type(error).__name__}; it is not read") from error
    fits = coef.ndim == 2 and intercept.shape == coef.shape[1:] and coef.dtype == intercept.dtype == np.float64
    if not fits or str(link) not in LINKS:
        raise ArtifactError(f"{spec.file} holds no linear model: its arrays do not fit each other; it is not used")
    return LinearRuntime(coef, intercept, str(link))


def _array(path: Path, name: str) -> NDArray[Any]:
    """One array of the file, read only when its header asks for just what is there: so no file is larger than it looks."""
    with zipfile.ZipFile(path) as stored:
        info = stored.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
            raise ValueError("a compressed array")
        with stored.open(info) as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("another version of the format")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            size_bytes = math.prod(shape) * dtype.itemsize
            if dtype.hasobject or size_bytes != info.file_size - file.tell():
                raise ValueError("objects, or another size than the header says")
            return np.frombuffer(file.read(), dtype).reshape(shape, order="F" if fortran else "C").copy()
