"""What NannyML's CBPE, as it is by default, estimates of the same answers: for a column in the table of `benchmarks.public`.

`python -m benchmarks.cbpe FILE CHUNK`, in an environment with NannyML. FILE (numpy's npz) has `shares` (rows, classes),
`predicted` (places in the classes) and `truth` of the reference, and `later_shares` and `later_predicted` of the rows to be
estimated. The accuracy of each chunk goes to standard output, as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pandas as pd


def estimated(path: str, chunk: int) -> list[float]:
    """Of each chunk of so many rows."""
    import nannyml

    given = np.load(path)
    classes = given["shares"].shape[1]
    names = {k: f"p{k}" for k in range(classes)}
    binary = classes == 2
    made = nannyml.CBPE(
        metrics=["accuracy"],
        problem_type="classification_binary" if binary else "classification_multiclass",
        y_pred_proba="p1" if binary else names,  # type: ignore[arg-type]
        y_pred="predicted",
        y_true="truth",
        chunk_size=chunk,
    )
    made.fit(_frame(given["shares"], given["predicted"], names).assign(truth=given["truth"]))
    found: Any = made.estimate(_frame(given["later_shares"], given["later_predicted"], names))
    return [float(value) for value in found.filter(period="analysis").to_df()["accuracy"]["value"]]


def _frame(shares: np.ndarray, predicted: np.ndarray, names: dict[int, str]) -> pd.DataFrame:
    return pd.DataFrame({name: shares[:, k] for k, name in names.items()}).assign(predicted=predicted)


if __name__ == "__main__":
    print(json.dumps(estimated(sys.argv[1], int(sys.argv[2]))))
