"""A runtime that answers each row with its first column. For tests of whatever stands above a runtime, ours and yours.

Its file is JSON: `{"delay_s": 0.0, "fail_above": null}`; a batch takes `delay_s`, and any value above `fail_above` raises.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np

from salver.artifact.manifest import RuntimeSpec
from salver.types.signature import Columns, Signature


class Echo(msgspec.Struct, forbid_unknown_fields=True):
    delay_s: float = 0.0
    fail_above: float | None = None

    def predict(self, inputs: Columns) -> Columns:
        if self.delay_s:
            time.sleep(self.delay_s)
        first = np.asarray(inputs["X"][:, 0] if "X" in inputs else next(iter(inputs.values())))
        if self.fail_above is not None and (first > self.fail_above).any():
            raise ValueError("above the limit")
        return {"prediction": first}

    def close(self) -> None:
        pass


def load(spec: RuntimeSpec, signature: Signature, folder: Path) -> Echo:
    return msgspec.json.decode((folder / spec.file).read_bytes(), type=Echo)
