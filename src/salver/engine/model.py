"""One version of a model, awake: its artifact's runtime, fed with checked requests. Knows nothing of queues or wires."""

from __future__ import annotations

import time
from itertools import chain
from operator import attrgetter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from salver.artifact.artifact import Artifact
from salver.artifact.trust import require_admitted
from salver.engine.request import Request
from salver.errors import ArtifactError, InputError
from salver.runtimes import base
from salver.types.rows import Row, RowChecker
from salver.types.signature import Columns, Output, concatenate

INLINE_CALL_S = 0.002
"""A call that takes less than this runs on the event loop itself; a hop to a thread and back would cost more."""

_PROBE_ROWS = 32
_rows = attrgetter("rows")


class Model:
    """A loaded version. `predict` may be called by one thread at a time."""

    def __init__(self, artifact: Artifact, version: int = 1) -> None:
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.name = artifact.manifest.name
        self.version = version
        self.signature = artifact.manifest.signature
        self.checker = RowChecker(self.signature)
        self.call_s = 0.0  # of a batch of a few rows, measured at load
        self._matrix = self.manifest.runtime.layout == "matrix"
        require_admitted(artifact)
        self._runtime = base.load(self.manifest.runtime, self.signature, artifact.folder)
        try:
            self._answer_golden_rows()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Model {self.name}@{self.version} {self.manifest.runtime.kind} call={self.call_s * 1e6:.0f}µs>"

    def is_short(self, rows: int) -> bool:
        """Whether a call with that many rows is expected to be short enough for the event loop."""
        if self.manifest.runtime.kind == "native":
            return False  # another process answers, and may never do so
        return self.call_s * max(1.0, rows / _PROBE_ROWS) < INLINE_CALL_S

    def predict(self, requests: list[Request]) -> Columns:
        """The outputs for all rows of `requests`, in order. Raises what the runtime raises."""
        rows = list(map(_rows, requests))
        if all(rows):
            return self.predict_rows(list(chain.from_iterable(cast(list[list[Row]], rows))))
        parts = [self._fed(request) for request in requests if request.count]
        return self._runtime.predict(concatenate(parts)) if parts else self._nothing(requests[0].columns)

    def predict_rows(self, rows: list[Row]) -> Columns:
        """The outputs for checked rows, one at least. Raises what the runtime raises."""
        return self._runtime.predict(self._from_rows(rows))

    def close(self) -> None:
        self._runtime.close()

    def _nothing(self, columns: Columns | None = None) -> Columns:
        """The outputs for no rows. A runtime is never asked for none: where only it knows their shape, for a row of zeros."""
        outputs = self.signature.outputs
        if not columns or not any({-1, -2} & set(output.shape) for output in outputs):
            return {output.name: np.empty((0, *(max(size, 0) for size in output.shape))) for output in outputs}
        zeros = {
            name: np.full((1, *values.shape[1:]), "" if values.dtype == object else 0, values.dtype)
            for name, values in columns.items()
        }
        return {name: array[:0] for name, array in self._runtime.predict(zeros).items()}

    def _fed(self, request: Request) -> Columns:
        if request.rows is not None:
            return self._from_rows(request.rows)
        assert request.columns is not None
        return {"X": self.checker.code(request.columns)} if self._matrix else request.columns

    def _from_rows(self, rows: list[Row]) -> Columns:
        return {"X": self.checker.matrix(rows)} if self._matrix else self.checker.columns(rows)

    def _answer_golden_rows(self) -> None:
        """Answer the golden rows as at training time, and measure what a call costs. Raises ArtifactError."""
        golden = self.artifact.golden
        try:
            rows = [self.checker.check(row, index) for index, row in enumerate(golden.rows)]
        except InputError as error:
            raise ArtifactError(f"{self.name}: its golden rows do not fit its own signature: {error}") from error
        if not rows:
            raise ArtifactError(f"{self.name}: it has no golden rows, so nothing shows that it answers as it was trained to")
        got = self._runtime.predict(self._from_rows(rows))
        for output in self.signature.outputs:
            want, answer = golden.outputs.get(output.name), got.get(output.name)
            if want is None or answer is None or not _agrees(output, want, answer, golden.tolerance):
                raise ArtifactError(f"{self.name}: its golden rows get another {output.name} here than at training time")
        probe = (rows * _PROBE_ROWS)[:_PROBE_ROWS]
        times: list[float] = []
        for _ in range(5):
            start = time.perf_counter()
            self._runtime.predict(self._from_rows(probe))
            times.append(time.perf_counter() - start)
        self.call_s = min(times)


def _agrees(output: Output, want: list[Any], got: NDArray[Any], tolerance: float) -> bool:
    if output.classes is not None or got.dtype.kind not in "fc":
        return got.tolist() == want
    expected = _finite(np.array(want, dtype=np.float64))
    if expected.shape != got.shape:
        return False
    return bool(np.allclose(_finite(got.astype(np.float64)), expected, rtol=tolerance, atol=tolerance, equal_nan=True))


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN for infinities too: JSON has null for all of them."""
    return np.where(np.isfinite(values), values, np.nan)
