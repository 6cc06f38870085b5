"""LightGBM's own files, as its library wrote them."""

from __future__ import annotations

import lightgbm
import numpy as np
import pandas as pd
import pytest

from salver.errors import ModelFileError
from salver.frameworks import files

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(200, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
_FEW = {"n_estimators": 5, "num_leaves": 5, "n_jobs": 1, "verbose": -1}


def _columns(trained, rows=X):
    return {name: rows[:, i] for i, name in enumerate(trained.signature.names)}


@pytest.mark.parametrize("suffix", [".txt", ".lgb"])
def test_a_binary_file_answers_with_the_probability(tmp_path, suffix):
    model = lightgbm.LGBMClassifier(**_FEW).fit(X, Y)
    model.booster_.save_model(tmp_path / f"model{suffix}")
    trained = files.read(tmp_path / f"model{suffix}")
    assert trained.signature.task == "regression"
    assert not trained.signature.named
    np.testing.assert_array_equal(trained.predict(_columns(trained))["prediction"], model.predict_proba(X)[:, 1])


def test_a_file_holds_the_best_rounds_only(tmp_path):
    model = lightgbm.LGBMRegressor(**_FEW | {"n_estimators": 60}, learning_rate=1)
    stop = lightgbm.early_stopping(2, verbose=False)
    model.fit(X[:100], X[:100, 0] ** 2, eval_X=X[100:], eval_y=X[100:, 0] ** 2, callbacks=[stop])
    assert model.best_iteration_ < 60
    model.booster_.save_model(tmp_path / "model.txt")
    trained = files.read(tmp_path / "model.txt")
    np.testing.assert_array_equal(trained.predict(_columns(trained))["prediction"], model.predict(X))


def test_categories_and_names_come_back_from_a_file(tmp_path):
    codes = _RNG.integers(0, 4, len(X))
    colours = ["red", "blue", "teal", "grey"]
    frame = pd.DataFrame({"amount": X[:, 0], "colour": pd.Categorical.from_codes(codes, colours)})
    model = lightgbm.LGBMRegressor(**_FEW).fit(frame, X[:, 0] + codes)
    model.booster_.save_model(tmp_path / "model.txt")
    trained = files.read(tmp_path / "model.txt")
    amount, colour = trained.signature.columns
    assert trained.signature.named
    assert (amount.name, amount.dtype, amount.nullable, amount.infinite) == ("amount", "float64", True, True)
    assert (colour.dtype, colour.categories, colour.nullable, colour.unseen) == ("category", tuple(colours), True, True)
    strange = np.asarray(frame["colour"], dtype=object)
    strange[:2] = [None, "a category never seen"]
    both_missing = frame.assign(colour=frame["colour"].where(np.arange(len(frame)) > 1))
    answer = trained.predict({"amount": X[:, 0], "colour": strange})["prediction"]
    np.testing.assert_array_equal(answer, model.predict(both_missing))


def test_an_estimators_labels_are_its_own():
    model = lightgbm.LGBMClassifier(**_FEW).fit(X, np.array(["no", "yes"])[Y])
    trained = files.adapt(model)
    assert trained.signature.prediction.classes == ("no", "yes")
    answer = trained.predict(_columns(trained))["prediction"]
    np.testing.assert_array_equal(np.array(["no", "yes"])[answer], model.predict(X))


def test_categories_that_belong_to_no_known_column_are_refused():
    frame = pd.DataFrame({"a": pd.Categorical.from_codes(Y, ["x", "y"]), "b": pd.Categorical.from_codes(Y, [1, 2])})
    model = lightgbm.LGBMRegressor(**_FEW).fit(frame, X[:, 0], categorical_feature=[0])
    with pytest.raises(ModelFileError, match="2 columns of categories and 1 categorical"):
        files.adapt(model)


def test_what_is_no_model_is_said_so(tmp_path):
    (tmp_path / "model.txt").write_text("some text\n")
    with pytest.raises(ModelFileError, match="not a LightGBM model"):
        files.read(tmp_path / "model.txt")


def test_an_estimator_that_was_not_fitted_is_refused():
    with pytest.raises(ModelFileError, match="not a fitted"):
        files.adapt(lightgbm.LGBMClassifier())
