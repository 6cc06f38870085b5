"""Models as their users train them, on rows with categories and missing values or on plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

NUMBERS = ["age", "visits", "spend"]
KINDS = ["plan", "region", "tier"]
COLUMNS = [*NUMBERS, "member", *KINDS]
PLANS, REGIONS, TIERS = ["basic", "pro", "team"], ["north", "south", "west"], [10, 20, 40]


class Case(NamedTuple):
    """A fitted model and rows that it was not trained on, as its user has them."""

    model: Any
    rows: Any  # a DataFrame
    array: bool = False  # it was trained on an array and takes the rows' values


@cache
def people(count: int, seed: int, missing: bool = True) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Rows and labels: "yes" and "no", which hang on numbers and categories alike."""
    draw = np.random.default_rng(seed)
    age, spend = draw.integers(18, 80, count).astype(float), draw.gamma(2, 50, count)
    frame = pd.DataFrame(
        {
            "age": np.where(draw.random(count) < (0.1 if missing else 0), np.nan, age),
            "visits": draw.integers(0, 40, count),
            "spend": spend,
            "member": draw.random(count) < 0.5,
            "plan": draw.choice(PLANS, count),
            "region": draw.choice(REGIONS, count),
            "tier": draw.choice(TIERS, count),
        }
    )
    likely = (
        (age > 50) * 2 + (frame["plan"] == "pro") * 2 + (frame["region"] == "west") + (frame["tier"] == 40) + frame["member"]
    )
    if missing:
        frame["region"] = frame["region"].where(draw.random(count) > 0.1, None)
    return frame, np.where(likely + draw.normal(0, 0.7, count) > 3, "yes", "no")


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """With the dtype that LightGBM and XGBoost read categories from; not in alphabetical order."""
    known = {"plan": PLANS[::-1], "region": REGIONS, "tier": TIERS[::-1]}
    return frame.assign(**{name: pd.Categorical(frame[name], categories=known[name]) for name in KINDS})


def rows(missing: bool = True) -> pd.DataFrame:
    return people(120, 7, missing)[0]


def training(missing: bool = True) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    return people(400, 1, missing)


def encoded(last: Any) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    columns = make_column_transformer(
        (SimpleImputer(), ["age"]),
        ("passthrough", ["visits", "spend", "member"]),
        (OneHotEncoder(handle_unknown="ignore"), ["plan", "tier"]),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2), ["region"]),
    )
    return make_pipeline(columns, last)


def logistic() -> Case:
    from sklearn.linear_model import LogisticRegression

    return Case(encoded(LogisticRegression(max_iter=5000)).fit(*training()), rows())


def forest() -> Case:
    from sklearn.ensemble import RandomForestRegressor

    X, y = training()
    return Case(encoded(RandomForestRegressor(10, random_state=0)).fit(X, y == "yes"), rows())


def histogram() -> Case:
    from sklearn.ensemble import HistGradientBoostingClassifier

    X, y = training()
    model = HistGradientBoostingClassifier(max_iter=20, categorical_features="from_dtype", random_state=0)
    return Case(model.fit(as_categories(X), y), as_categories(rows()))


def histogram_in_a_pipeline() -> Case:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    X, y = training()
    last = HistGradientBoostingRegressor(max_iter=20, categorical_features="from_dtype", random_state=0)
    return Case(make_pipeline(FunctionTransformer(), last).fit(as_categories(X), y == "yes"), as_categories(rows()))


def lightgbm_classifier() -> Case:
    from lightgbm import LGBMClassifier

    X, y = training()
    return Case(LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1).fit(as_categories(X), y), as_categories(rows()))


def lightgbm_booster() -> Case:
    import lightgbm

    X, y = training()
    data = lightgbm.Dataset(as_categories(X), y == "yes")
    return Case(lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 10), as_categories(rows()))


def lightgbm_in_a_pipeline() -> Case:
    from lightgbm import LGBMClassifier
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    X, y = training()
    columns = ColumnTransformer([("age", SimpleImputer(), ["age"])], remainder="passthrough", verbose_feature_names_out=False)
    model = make_pipeline(columns.set_output(transform="pandas"), LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1))
    return Case(model.fit(as_categories(X), y), as_categories(rows()))


def xgboost_classifier() -> Case:
    from xgboost import XGBClassifier

    X, y = training()
    return Case(
        XGBClassifier(n_estimators=10, enable_categorical=True, n_jobs=1).fit(as_categories(X), y == "yes"),
        as_categories(rows()),
    )


def xgboost_booster() -> Case:
    import xgboost

    X, y = training()
    data = xgboost.DMatrix(as_categories(X), y == "yes", enable_categorical=True)
    return Case(xgboost.train({"objective": "reg:squarederror"}, data, 10), as_categories(rows()))


def xgboost_in_a_pipeline() -> Case:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from xgboost import XGBRegressor

    X, y = training()
    model = make_pipeline(FunctionTransformer(), XGBRegressor(n_estimators=10, enable_categorical=True, n_jobs=1))
    return Case(model.fit(as_categories(X), y == "yes"), as_categories(rows()))


def catboost_classifier() -> Case:
    from catboost import CatBoostClassifier

    X, y = training(missing=False)
    model = CatBoostClassifier(iterations=10, verbose=0, cat_features=KINDS, allow_writing_files=False)
    return Case(model.fit(X, y), rows(missing=False))


def catboost_in_a_pipeline() -> Case:
    from catboost import CatBoostRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    X, y = training(missing=False)
    last = CatBoostRegressor(iterations=10, verbose=0, cat_features=KINDS, allow_writing_files=False)
    return Case(make_pipeline(FunctionTransformer(), last).fit(X, y == "yes"), rows(missing=False))


def own_function() -> Case:
    """A step that only its author knows, on text and whole numbers: its columns are known from the sample alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    def shown(frame: Any) -> Any:
        texts = frame["plan"].str.upper() + frame["visits"].astype(str)
        return np.stack([texts.str.len() + texts.str.startswith("P"), frame["member"].map({True: 3.0, False: -1.0})], axis=1)

    X, y = training(missing=False)
    return Case(make_pipeline(FunctionTransformer(shown), LogisticRegression()).fit(X, y), rows(missing=False))


def numbers(model: Any) -> Callable[[], Case]:
    """The same rows' numbers as an array."""

    def made() -> Case:
        X, y = training(missing=False)
        return Case(model().fit(X[NUMBERS].to_numpy(), y == "yes"), rows(missing=False)[NUMBERS], array=True)

    return made


def sklearn_linear() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=5000)


def sklearn_trees() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(10, random_state=0)


def lightgbm_numbers() -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=10, verbose=-1, n_jobs=1)


def xgboost_numbers() -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=10, n_jobs=1)


def catboost_numbers() -> Any:
    from catboost import CatBoostRegressor

    return CatBoostRegressor(iterations=10, verbose=0, allow_writing_files=False)


CASES: dict[str, Callable[[], Case]] = {
    "sklearn pipeline": logistic,
    "sklearn forest": forest,
    "sklearn histogram": histogram,
    "sklearn histogram in a pipeline": histogram_in_a_pipeline,
    "sklearn with a function": own_function,
    "lightgbm": lightgbm_classifier,
    "lightgbm booster": lightgbm_booster,
    "lightgbm in a pipeline": lightgbm_in_a_pipeline,
    "xgboost": xgboost_classifier,
    "xgboost booster": xgboost_booster,
    "xgboost in a pipeline": xgboost_in_a_pipeline,
    "catboost": catboost_classifier,
    "catboost in a pipeline": catboost_in_a_pipeline,
    "numbers: sklearn linear": numbers(sklearn_linear),
    "numbers: sklearn trees": numbers(sklearn_trees),
    "numbers: lightgbm": numbers(lightgbm_numbers),
    "numbers: xgboost": numbers(xgboost_numbers),
    "numbers: catboost": numbers(catboost_numbers),
}


def asked(case: Case) -> tuple[list[Any], Any]:
    """What the model itself says to its rows: predictions, and probabilities where it has them."""
    given = case.rows.to_numpy() if case.array else case.rows
    if type(case.model).__module__.startswith("xgboost") and type(case.model).__name__ == "Booster":
        import xgboost

        given = xgboost.DMatrix(given, enable_categorical=True)
    predictions = np.asarray(case.model.predict(given))
    proba = case.model.predict_proba(given) if hasattr(case.model, "predict_proba") else None
    return predictions.ravel().tolist(), proba
