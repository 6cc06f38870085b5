"""The model a peer serves, asked as most people write it: the row goes to `predict` as the library takes it."""

import os
from typing import Any

import joblib
import pandas as pd

_model: Any = joblib.load(os.environ["MODEL"])


def predict(features: list[float] | dict[str, Any]) -> Any:
    """The prediction for one row, as a plain Python value."""
    row = pd.DataFrame([features]) if isinstance(features, dict) else [features]
    return _model.predict(row)[0].item()
