"""Small trained models for tests, written as their users would write them."""

from __future__ import annotations

from pathlib import Path


def iris_file(folder: Path) -> Path:
    """Logistic regression on iris: four unnamed numeric columns, classes 0, 1, 2."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    X, y = load_iris(return_X_y=True)
    file = folder / "iris_model.pkl"
    joblib.dump(LogisticRegression(max_iter=1000).fit(X, y), file)
    return file


def churn_file(folder: Path) -> Path:
    """A pipeline on a DataFrame: two numbers, of which one may be missing, and a category; classes "no" and "yes"."""
    import joblib
    import numpy as np
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    draw = np.random.default_rng(0)
    age = draw.integers(18, 80, 200).astype(float)
    rows = pd.DataFrame(
        {
            "age": np.where(draw.random(200) < 0.1, np.nan, age),
            "spend": draw.gamma(2, 50, 200),
            "plan": draw.choice(["basic", "pro"], 200),
        }
    )
    columns = make_column_transformer(
        (SimpleImputer(), ["age"]), ("passthrough", ["spend"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
    )
    model = make_pipeline(columns, RandomForestClassifier(10, random_state=0))
    file = folder / "churn.pkl"
    joblib.dump(model.fit(rows, np.where((age > 50) & (rows["plan"] == "basic"), "yes", "no")), file)
    return file


def classifier_file(folder: Path, labels: list[object]) -> Path:
    """Logistic regression on four numbers, with these classes."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(0)
    which = np.arange(60) % len(labels)
    rows = draw.normal(size=(60, 4)) + which[:, None]
    file = folder / "classifier.pkl"
    joblib.dump(LogisticRegression().fit(rows, np.array(labels)[which]), file)
    return file
