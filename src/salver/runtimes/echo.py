"""A runtime that answers each row with its first column. For tests of whatever stands above a runtime, ours and yours.

Its file is JSON: `{"delay_s": 0.0, "fail_above": null, "on_load": ""}`; a batch takes `delay_s`, any value above `fail_above`
raises, and being loaded it may "crash", "hang" or want more "memory" than there is.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from salver.artifact.manifest import RuntimeSpec
from salver.types.signature import Columns, Signature


class Echo(msgspec.Struct, forbid_unknown_fields=True):
    delay_s: float = 0.0
    fail_above: float | None = None
    on_load: Literal["", "crash", "hang", "memory"] = ""

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
    echo = msgspec.json.decode((folder / spec.file).read_bytes(), type=Echo)
    if echo.on_load == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    while echo.on_load == "hang":
        time.sleep(1)
    if echo.on_load == "memory":
        bytearray(2**46)
    return echo
