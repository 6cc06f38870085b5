"""XGBoost's own files, as its library wrote them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xgboost

from salver.errors import ModelFileError
from salver.frameworks import files

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(200, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
_FEW = {"n_estimators": 5, "max_depth": 3, "n_jobs": 1}


def _columns(trained, rows=X):
    return {name: rows[:, i] for i, name in enumerate(trained.signature.names)}


@pytest.mark.parametrize("suffix", [".json", ".ubj"])
def test_a_classifiers_file_answers_with_labels_and_probabilities(tmp_path, suffix):
    model = xgboost.XGBClassifier(**_FEW).fit(X, Y)
    model.save_model(tmp_path / f"model{suffix}")
    trained = files.read(tmp_path / f"model{suffix}")
    answer = trained.predict(_columns(trained))
    assert trained.signature.task == "classification"
    assert trained.signature.prediction.classes == (0, 1)
    np.testing.assert_array_equal(answer["prediction"], model.predict(X))
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(X))


def test_a_classifiers_file_stops_at_its_best_round(tmp_path):
    model = xgboost.XGBClassifier(**_FEW | {"n_estimators": 40}, early_stopping_rounds=2, learning_rate=1)
    model.fit(X[:100], Y[:100], eval_set=[(X[100:], Y[100:])], verbose=False)
    assert model.best_iteration < model.get_booster().num_boosted_rounds() - 1
    model.save_model(tmp_path / "model.json")
    trained = files.read(tmp_path / "model.json")
    np.testing.assert_array_equal(trained.predict(_columns(trained))["probabilities"], model.predict_proba(X))


def test_a_regressors_and_a_rankers_files_answer_with_numbers(tmp_path):
    ranker = xgboost.XGBRanker(**_FEW).fit(X, Y, group=[20] * 10)
    for model in (xgboost.XGBRegressor(**_FEW).fit(X, X[:, 0]), ranker):
        model.save_model(tmp_path / "model.json")
        trained = files.read(tmp_path / "model.json")
        assert trained.framework.model == type(model).__name__
        np.testing.assert_array_equal(trained.predict(_columns(trained))["prediction"], model.predict(X))


def test_a_boosters_file_answers_as_the_booster_does(tmp_path):
    parameters = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    booster = xgboost.train(parameters, xgboost.DMatrix(X, np.digitize(X[:, 0], [-0.5, 0.5])), 4)
    booster.save_model(tmp_path / "model.ubj")
    trained = files.read(tmp_path / "model.ubj")
    assert trained.signature.prediction.shape == (3,)
    assert not trained.signature.named
    np.testing.assert_array_equal(trained.predict(_columns(trained))["prediction"], booster.predict(xgboost.DMatrix(X)))


def test_categories_come_back_from_a_file(tmp_path):
    codes = _RNG.integers(0, 4, len(X))
    colours = ["red", "blue", "teal", "grey"]
    frame = pd.DataFrame({"amount": X[:, 0], "colour": pd.Categorical.from_codes(codes, colours)})
    model = xgboost.XGBRegressor(enable_categorical=True, **_FEW).fit(frame, X[:, 0] + codes)
    model.save_model(tmp_path / "model.json")
    trained = files.read(tmp_path / "model.json")
    amount, colour = trained.signature.columns
    assert (amount.name, amount.dtype, amount.nullable) == ("amount", "float32", True)
    assert (colour.dtype, colour.categories, colour.nullable, colour.unseen) == ("category", tuple(colours), True, False)
    columns = {"amount": X[:, 0], "colour": np.asarray(frame["colour"], dtype=object)}
    np.testing.assert_array_equal(trained.predict(columns)["prediction"], model.predict(frame))


def test_what_is_no_model_is_said_so(tmp_path):
    (tmp_path / "model.json").write_text('{"not": "a model"}')
    with pytest.raises(ModelFileError, match="not an XGBoost model"):
        files.read(tmp_path / "model.json")


def test_an_estimator_that_was_not_fitted_is_refused():
    with pytest.raises(ModelFileError, match="not a fitted"):
        files.adapt(xgboost.XGBClassifier())
