"""A model that misbehaves on demand: its one column says how."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

OK, RAISE, DIE, EXIT, FEWER, SLOW = 0, 11, 12, 13, 14, 15  # a model is asked 0, 1 and 2 when it is read
SECRET = "s3cr3t-row"


class Failing(RegressorMixin, BaseEstimator):
    """Fitted by being made; adds a half to its column."""

    n_features_in_ = 1

    def predict(self, X: Any) -> Any:
        wanted = np.asarray(X)[:, 0]
        if (wanted == RAISE).any():
            raise ValueError(f"{SECRET} can't be read")
        if (wanted == DIE).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (wanted == EXIT).any():
            os._exit(3)
        if (wanted == SLOW).any():
            time.sleep(0.5)
        return wanted[wanted != FEWER] + 0.5


class Unloadable:
    """A model whose process ends while it is read."""

    def __reduce__(self) -> Any:
        return os._exit, (4,)


class Unreadable:
    """A model that raises while it is read."""

    def __reduce__(self) -> Any:
        return _raise, ()


def _raise() -> None:
    raise RuntimeError("no such thing")
