"""A linear model in numpy: one matrix product and a link, without a graph's overhead.

The file is an .npz of `coef` (columns, scores), `intercept` (scores,) and `link`:

    identity   numbers as they are (regression)
    softmax    multinomial probabilities
    sigmoid    binary probabilities from one score
    ovr        one-vs-rest probabilities: each score's sigmoid, normalised
    scores     the label of the largest score (of the sign, with one score), the scores themselves beside it
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.artifact.manifest import RuntimeSpec
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
    with np.load(folder / spec.file, allow_pickle=False) as stored:
        return LinearRuntime(stored["coef"], stored["intercept"], str(stored["link"]))
