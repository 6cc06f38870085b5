"""Customers, for the examples: numbers, categories, missing values, and whether each stayed."""

import numpy as np
import pandas as pd


def people(count: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": np.where(draw.random(count) < 0.1, np.nan, draw.integers(18, 80, count)),
            "spend": draw.gamma(2.0, 50.0, count).round(2),
            "plan": pd.Categorical(draw.choice(["basic", "pro", "team"], count), categories=["team", "basic", "pro"]),
        }
    )
    stayed = (frame["spend"] + 60 * (frame["plan"] == "pro") + draw.normal(0, 20, count)) > 110
    return frame, stayed.map({True: "stays", False: "leaves"})
