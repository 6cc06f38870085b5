"""Does the model, asked by its columns, answer as when its trainer asks it, with rows in a table of the trainer's own?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from salver.frameworks.base import Trained
from salver.lower.proof import largest_difference
from salver.types.signature import Columns


def disagreeing(model: Any, data: Any, trained: Trained, columns: Columns) -> int | None:
    """In how many rows the answers differ; None where the model does not take such a table itself.

    `model` is as it was in the training script, `data` as it is there, `columns` the same rows as they will be sent. A model
    that was trained on pandas' tables may say something else to polars' missing values: either answer will do.
    """
    counts = [_differing(model, table, trained, columns) for table in _forms(data)]
    return min((count for count in counts if count is not None), default=None)


def _forms(data: Any) -> Iterator[Any]:
    yield data
    if type(data).__module__.partition(".")[0] == "polars" and find_spec("pandas") and find_spec("pyarrow"):
        yield data.to_pandas()


def _differing(model: Any, data: Any, trained: Trained, columns: Columns) -> int | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = np.asarray(_asked(model, data))
    except Exception:  # a list of dicts is a table to us, and none to most libraries
        return None
    output = trained.signature.prediction
    got = trained.predict(columns)[output.name]
    if output.classes is not None and not output.is_multilabel:
        labels = np.array([output.classes[i] for i in got.tolist()], dtype=object)
        return sum(a != b for a, b in zip(labels.tolist(), wanted.ravel().tolist(), strict=True))
    if wanted.dtype.kind not in "fiub":
        return int((wanted != got).reshape(len(got), -1).any(axis=1).sum())
    if wanted.size != got.size or output.is_multilabel:
        return None
    wanted = wanted.reshape(got.shape)
    return sum(not largest_difference(a, b) <= trained.tolerance for a, b in zip(wanted, got, strict=True))


def _asked(model: Any, data: Any) -> Any:
    if type(model).__module__.startswith("xgboost") and type(model).__name__ == "Booster":
        import xgboost

        return model.predict(xgboost.DMatrix(data, enable_categorical=True))
    made = model.predict(data) if hasattr(model, "predict") else model.transform(data)
    return made.toarray() if hasattr(made, "toarray") else made
