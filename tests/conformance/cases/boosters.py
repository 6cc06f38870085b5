"""XGBoost, LightGBM and CatBoost, by their own interfaces and by scikit-learn's."""

from __future__ import annotations

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from catboost import CatBoost, CatBoostClassifier, CatBoostRanker, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRanker, LGBMRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from xgboost import XGBClassifier, XGBRanker, XGBRegressor, XGBRFClassifier, XGBRFRegressor

from tests.conformance.case import Case


def _table(rows: int = 300):
    rng = np.random.default_rng(0)
    X = rng.normal(0, [0.01, 1, 1, 100, 3], (rows, 5))
    X[:, 2] = np.rint(2 * X[:, 2])
    return X, 50 * X[:, 0] + X[:, 1] * X[:, 2] + X[:, 3] / 50 + rng.normal(0, 0.3, rows)


def _holes():
    X, y = _table()
    X[np.random.default_rng(1).random(X.shape) < 0.15] = np.nan
    return X, y


def _positive():
    X, y = _table()
    return X, np.exp(y / y.std() / 2)


def _classes(k: int, table=_table):
    X, y = table()
    return X, np.searchsorted(np.quantile(y, np.linspace(0, 1, k + 1)[1:-1]), y)


def _several():
    X, y = _table()
    return X, np.stack([y, X[:, 1] - y, np.abs(y)], axis=1)


def _frame():
    """Two categorical columns with holes; text categories not in sorted order, others numbers."""
    rng = np.random.default_rng(2)
    X, y = _table()
    colour = rng.integers(0, 9, len(X))
    size = rng.integers(0, 40, len(X))
    names = ["teal", "red", "blue", "grey", "pink", "lime", "aqua", "gold", "plum", "never"]
    holes = rng.random(len(X)) < 0.1
    frame = pd.DataFrame(
        {
            "amount": X[:, 1],
            "colour": pd.Categorical.from_codes(np.where(holes, -1, colour), names),
            "size": pd.Categorical.from_codes(size, [(i * 37) % 71 for i in range(41)]),
            "count": X[:, 2],
        }
    )
    return frame, y + 2 * (colour % 3) + (size % 5)


def _fit(model, data, **options):
    X, y = data
    return model.fit(X, y, **options), X


def _stopped(model, data, **options):
    X, y = data
    half = len(X) // 2
    return model.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], **options), X


def _weights():
    return np.random.default_rng(4).uniform(0, 3, 300)


_FEW = {"n_estimators": 12, "max_depth": 4, "n_jobs": 1}


def _xgb(params, data, rounds: int = 12, **options):
    X, y = data
    matrix = xgboost.DMatrix(X, y, enable_categorical=True, **options)
    return xgboost.train({"nthread": 1, "max_depth": 4, **params}, matrix, rounds), X


def _ranked():
    X, y = _classes(4)
    return XGBRanker(**_FEW).fit(X, y, qid=np.repeat(np.arange(30), 10)), X


def _binary_cases():
    yield Case("XGBClassifier binary", lambda: _fit(XGBClassifier(**_FEW), _classes(2)))
    yield Case("XGBClassifier multiclass", lambda: _fit(XGBClassifier(**_FEW), _classes(4)))
    yield Case("XGBClassifier missing", lambda: _fit(XGBClassifier(**_FEW), _classes(3, _holes)))
    yield Case("XGBClassifier missing as a number", lambda: _fit(XGBClassifier(missing=0, **_FEW), _classes(2)))
    yield Case("XGBClassifier categories", lambda: _fit(XGBClassifier(enable_categorical=True, **_FEW), _classes(2, _frame)))
    yield Case(
        "XGBClassifier categories one by one",
        lambda: _fit(XGBClassifier(enable_categorical=True, max_cat_to_onehot=50, **_FEW), _classes(3, _frame)),
    )
    yield Case(
        "XGBClassifier multilabel", lambda: _fit(XGBClassifier(**_FEW), (_table()[0], (_several()[1] > [0, 0, 2]).astype(int)))
    )
    yield Case(
        "XGBClassifier early stopping",
        lambda: _stopped(
            XGBClassifier(**{**_FEW, "n_estimators": 30}, early_stopping_rounds=2, learning_rate=1), _classes(2), verbose=False
        ),
    )
    yield Case(
        "XGBClassifier parallel trees", lambda: _fit(XGBClassifier(num_parallel_tree=3, subsample=0.5, **_FEW), _classes(3))
    )
    yield Case("XGBClassifier base score", lambda: _fit(XGBClassifier(base_score=0.9, **_FEW), _classes(2)))
    yield Case("XGBClassifier weighted", lambda: _fit(XGBClassifier(**_FEW), _classes(2), sample_weight=_weights()))
    yield Case("XGBClassifier dart", lambda: _fit(XGBClassifier(booster="dart", rate_drop=0.3, **_FEW), _classes(3)))
    yield Case("XGBClassifier one tree", lambda: _fit(XGBClassifier(**{**_FEW, "n_estimators": 1}), _classes(2)))
    yield Case("XGBClassifier stumps without a split", lambda: _fit(XGBClassifier(gamma=1e9, **_FEW), _classes(3)))
    yield Case("XGBRFClassifier", lambda: _fit(XGBRFClassifier(**_FEW), _classes(2)))
    yield Case(
        "XGBClassifier linear",
        lambda: _fit(XGBClassifier(booster="gblinear", n_estimators=3), _classes(2)),
        lowered=False,
        note="the linear booster",
    )


def _number_cases():
    for objective in ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"):
        yield Case(
            f"XGBRegressor {objective}", lambda objective=objective: _fit(XGBRegressor(objective=objective, **_FEW), _table())
        )
    for objective in ("count:poisson", "reg:gamma", "reg:tweedie", "reg:squaredlogerror"):
        yield Case(
            f"XGBRegressor {objective}",
            lambda objective=objective: _fit(XGBRegressor(objective=objective, **_FEW), _positive()),
        )
    yield Case(
        "XGBRegressor quantiles",
        lambda: _fit(XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.9], **_FEW), _table()),
    )
    yield Case("XGBRegressor categories", lambda: _fit(XGBRegressor(enable_categorical=True, **_FEW), _frame()))
    yield Case("XGBRegressor missing", lambda: _fit(XGBRegressor(**_FEW), _holes()))
    yield Case("XGBRegressor multi-output", lambda: _fit(XGBRegressor(**_FEW), _several()))
    yield Case("XGBRegressor vector leaves", lambda: _fit(XGBRegressor(multi_strategy="multi_output_tree", **_FEW), _several()))
    yield Case("XGBRegressor dart", lambda: _fit(XGBRegressor(booster="dart", rate_drop=0.3, **_FEW), _table()))
    yield Case("XGBRegressor constant", lambda: _fit(XGBRegressor(**_FEW), (_table()[0], np.full(300, 4.5))))
    yield Case("XGBRFRegressor", lambda: _fit(XGBRFRegressor(**_FEW), _table()))
    yield Case("XGBRanker", _ranked)


def _xgb_booster_cases():
    yield Case("xgboost binary", lambda: _xgb({"objective": "binary:logistic"}, _classes(2)))
    yield Case("xgboost raw", lambda: _xgb({"objective": "binary:logitraw"}, _classes(2)))
    yield Case("xgboost hinge", lambda: _xgb({"objective": "binary:hinge"}, _classes(2)))
    yield Case("xgboost softprob", lambda: _xgb({"objective": "multi:softprob", "num_class": 3}, _classes(3, _holes)))
    yield Case("xgboost softmax", lambda: _xgb({"objective": "multi:softmax", "num_class": 3}, _classes(3)))
    yield Case("xgboost regression", lambda: _xgb({"objective": "reg:squarederror", "base_score": 3}, _table()))
    yield Case("xgboost cox", lambda: _xgb({"objective": "survival:cox"}, _positive()))
    yield Case("xgboost categories", lambda: _xgb({"objective": "reg:squarederror"}, _frame()))
    yield Case("xgboost names", lambda: _xgb({}, _table(), feature_names=["a", "b", "c", "d", "e"]))


_LEAVES = {"n_estimators": 12, "num_leaves": 8, "min_child_samples": 5, "n_jobs": 1, "verbose": -1}


def _lgb(params, data, rounds: int = 12, **options):
    X, y = data
    settings = {"num_threads": 1, "num_leaves": 8, "min_data_in_leaf": 5, "verbose": -1, **params}
    return lightgbm.train(settings, lightgbm.Dataset(X, y, **options), rounds), X


def _zeros():
    """Many zeros, and numbers that LightGBM takes for zeros."""
    X, y = _table()
    X[np.random.default_rng(5).random(X.shape) < 0.3] = 0.0
    X[:10, 1] = 1e-36
    return X, y


def _coded():
    X, y = _table()
    codes = np.random.default_rng(3).integers(0, 40, len(X))
    return np.column_stack([X[:, :2], codes, codes % 3]).astype(float), y + 3 * (codes % 3)


def _light_stopped():
    X, y = _classes(2)
    model = LGBMClassifier(**{**_LEAVES, "n_estimators": 30}, learning_rate=1)
    stop = lightgbm.early_stopping(2, verbose=False)
    return model.fit(X[:150], y[:150], eval_X=X[150:], eval_y=y[150:], callbacks=[stop]), X


def _light_classifier_cases():
    C = LGBMClassifier
    yield Case("LGBMClassifier binary", lambda: _fit(C(**_LEAVES), (_table()[0], np.where(_table()[1] > 0, "yes", "no"))))
    yield Case("LGBMClassifier multiclass", lambda: _fit(C(**_LEAVES), _classes(4)))
    yield Case("LGBMClassifier one against all", lambda: _fit(C(objective="multiclassova", **_LEAVES), _classes(4)))
    yield Case("LGBMClassifier missing", lambda: _fit(C(**_LEAVES), _classes(3, _holes)))
    yield Case("LGBMClassifier categories", lambda: _fit(C(min_data_per_group=5, cat_smooth=1, **_LEAVES), _classes(2, _frame)))
    yield Case("LGBMClassifier dart", lambda: _fit(C(boosting_type="dart", **_LEAVES), _classes(2)))
    yield Case(
        "LGBMClassifier forest", lambda: _fit(C(boosting_type="rf", subsample=0.5, subsample_freq=1, **_LEAVES), _classes(2))
    )
    yield Case("LGBMClassifier weighted", lambda: _fit(C(**_LEAVES), _classes(2), sample_weight=_weights()))
    yield Case("LGBMClassifier early stopping", _light_stopped)
    yield Case("LGBMClassifier no split", lambda: _fit(C(min_split_gain=1e9, **_LEAVES), _classes(3)))


def _light_number_cases():
    R = LGBMRegressor
    for objective in ("regression", "regression_l1", "huber", "fair", "quantile", "mape"):
        yield Case(f"LGBMRegressor {objective}", lambda objective=objective: _fit(R(objective=objective, **_LEAVES), _table()))
    for objective in ("poisson", "gamma", "tweedie"):
        yield Case(
            f"LGBMRegressor {objective}", lambda objective=objective: _fit(R(objective=objective, **_LEAVES), _positive())
        )
    yield Case("LGBMRegressor square root", lambda: _fit(R(reg_sqrt=True, **_LEAVES), _table()))
    yield Case("LGBMRegressor missing", lambda: _fit(R(**_LEAVES), _holes()))
    yield Case("LGBMRegressor missing as zero", lambda: _fit(R(use_missing=False, **_LEAVES), _holes()))
    yield Case("LGBMRegressor zero as missing", lambda: _fit(R(zero_as_missing=True, **_LEAVES), _zeros()))
    yield Case("LGBMRegressor categories", lambda: _fit(R(min_data_per_group=5, cat_smooth=1, **_LEAVES), _frame()))
    yield Case(
        "LGBMRegressor codes",
        lambda: _fit(R(min_data_per_group=5, cat_smooth=1, **_LEAVES), _coded(), categorical_feature=[2, 3]),
    )
    yield Case("LGBMRegressor constant", lambda: _fit(R(**_LEAVES), (_table()[0], np.full(300, 4.5))))
    yield Case(
        "LGBMRegressor linear leaves",
        lambda: _fit(R(linear_tree=True, **_LEAVES), _table()),
        lowered=False,
        note="linear models in the leaves",
    )
    yield Case("LGBMRanker", lambda: _fit(LGBMRanker(**_LEAVES), _classes(4), group=[10] * 30))


def _light_booster_cases():
    yield Case("lightgbm binary", lambda: _lgb({"objective": "binary", "sigmoid": 0.7}, _classes(2)))
    yield Case("lightgbm multiclass", lambda: _lgb({"objective": "multiclass", "num_class": 3}, _classes(3, _holes)))
    yield Case("lightgbm regression", lambda: _lgb({"objective": "regression"}, _table()))
    yield Case("lightgbm cross entropy", lambda: _lgb({"objective": "cross_entropy"}, _classes(2)))
    yield Case("lightgbm cross entropy lambda", lambda: _lgb({"objective": "cross_entropy_lambda"}, _classes(2)))
    yield Case(
        "lightgbm forest",
        lambda: _lgb({"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, _table()),
    )
    yield Case("lightgbm categories", lambda: _lgb({"objective": "binary", "min_data_per_group": 5}, _classes(2, _frame)))
    yield Case("lightgbm names", lambda: _lgb({}, _table(), feature_name=["a", "b", "c", "d", "e"]))


_CAT = {"iterations": 12, "depth": 4, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
_TEXTS = "categories that the model knows by their hashes only"


def _cat_frame():
    frame, y = _frame()
    return frame.assign(colour=frame["colour"].astype(object).fillna("none"), size=frame["size"].astype(str)), y


def _cat_classifier_cases():
    C = CatBoostClassifier
    labels = {"binary": np.array(["no", "yes"]), "multiclass": np.array([7, 3, 5, 9]), "flags": np.array([False, True])}
    for name, classes in labels.items():
        yield Case(
            f"CatBoostClassifier {name}",
            lambda classes=classes: _fit(C(**_CAT), (_table()[0], classes[_classes(len(classes))[1]])),
        )
    yield Case("CatBoostClassifier missing", lambda: _fit(C(**_CAT), _classes(3, _holes)))
    yield Case("CatBoostClassifier one against all", lambda: _fit(C(loss_function="MultiClassOneVsAll", **_CAT), _classes(4)))
    yield Case(
        "CatBoostClassifier multilabel",
        lambda: _fit(C(loss_function="MultiLogloss", **_CAT), (_table()[0], (_several()[1] > [0, 0, 2]).astype(int))),
    )
    for policy in ("Depthwise", "Lossguide"):
        yield Case(f"CatBoostClassifier {policy}", lambda policy=policy: _fit(C(grow_policy=policy, **_CAT), _classes(2)))
        yield Case(
            f"CatBoostClassifier {policy} multiclass", lambda policy=policy: _fit(C(grow_policy=policy, **_CAT), _classes(4))
        )
    yield Case("CatBoostClassifier weighted", lambda: _fit(C(**_CAT), _classes(2), sample_weight=_weights()))
    yield Case(
        "CatBoostClassifier early stopping",
        lambda: _stopped(C(**{**_CAT, "iterations": 40}, learning_rate=1, od_wait=2), _classes(2)),
    )
    yield Case(
        "CatBoostClassifier categories",
        lambda: _fit(C(**_CAT), _classes(2, _cat_frame), cat_features=["colour", "size"]),
        lowered=False,
        note=_TEXTS,
    )
    yield Case(
        "CatBoostClassifier one-hot",
        lambda: _fit(C(one_hot_max_size=100, **_CAT), _classes(2, _cat_frame), cat_features=["colour", "size"]),
        lowered=False,
        note=_TEXTS,
    )


def _cat_number_cases():
    R = CatBoostRegressor
    for loss in ("RMSE", "MAE", "Quantile:alpha=0.8", "Huber:delta=1"):
        yield Case(f"CatBoostRegressor {loss}", lambda loss=loss: _fit(R(loss_function=loss, **_CAT), _table()))
    for loss in ("Poisson", "Tweedie:variance_power=1.5"):
        yield Case(f"CatBoostRegressor {loss}", lambda loss=loss: _fit(R(loss_function=loss, **_CAT), _positive()))
    for mode in ("Min", "Max"):
        yield Case(f"CatBoostRegressor missing {mode}", lambda mode=mode: _fit(R(nan_mode=mode, **_CAT), _holes()))
    yield Case("CatBoostRegressor multi-output", lambda: _fit(R(loss_function="MultiRMSE", **_CAT), _several()))
    yield Case(
        "CatBoostRegressor with uncertainty",
        lambda: _fit(R(loss_function="RMSEWithUncertainty", **_CAT), _table()),
        lowered=False,
        note="predictions that are not the sum of trees",
    )
    yield Case("CatBoostRegressor Depthwise", lambda: _fit(R(grow_policy="Depthwise", **_CAT), _holes()))
    yield Case("CatBoostRegressor one tree", lambda: _fit(R(**{**_CAT, "iterations": 1}), _table()))
    yield Case("CatBoostRanker", lambda: _fit(CatBoostRanker(**_CAT), _classes(4), group_id=np.repeat(np.arange(30), 10)))
    yield Case("CatBoost", lambda: _fit(CatBoost({"loss_function": "Logloss", **_CAT}), _classes(2)))


def _pipeline_cases():
    models = {
        "XGBClassifier": lambda: XGBClassifier(**_FEW),
        "LGBMClassifier": lambda: LGBMClassifier(**_LEAVES),
        "CatBoostClassifier": lambda: CatBoostClassifier(**_CAT),
    }
    for name, make in models.items():
        yield Case(f"{name} in a Pipeline", lambda make=make: _fit(make_pipeline(SimpleImputer(), make()), _classes(3, _holes)))


CASES = [
    *_binary_cases(),
    *_number_cases(),
    *_xgb_booster_cases(),
    *_light_classifier_cases(),
    *_light_number_cases(),
    *_light_booster_cases(),
    *_cat_classifier_cases(),
    *_cat_number_cases(),
    *_pipeline_cases(),
]
