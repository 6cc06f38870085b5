"""CatBoost's own files, as its library wrote them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor

from salver.errors import ModelFileError
from salver.frameworks import files

_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(200, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
_FEW = {"iterations": 5, "depth": 3, "thread_count": 1, "verbose": 0, "allow_writing_files": False}


def _columns(trained, rows=X):
    return {name: rows[:, i] for i, name in enumerate(trained.signature.names)}


@pytest.mark.parametrize("classes", [["no", "yes"], [3, 1, 2], [False, True]])
def test_a_classifiers_file_answers_with_labels_and_probabilities(tmp_path, classes):
    labels = np.array(classes)[(X[:, 0] > 0).astype(int) + (len(classes) > 2) * (X[:, 1] > 0)]
    model = CatBoostClassifier(**_FEW).fit(X, labels)
    model.save_model(str(tmp_path / "model.cbm"))
    trained = files.read(tmp_path / "model.cbm")
    answer = trained.predict(_columns(trained))
    assert trained.signature.prediction.classes == tuple(sorted(classes))
    np.testing.assert_array_equal(np.array(sorted(classes))[answer["prediction"]], model.predict(X).ravel())
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(X))


@pytest.mark.parametrize("loss", ["RMSE", "Poisson", "Tweedie:variance_power=1.5"])
def test_a_regressors_file_answers_as_the_regressor_does(tmp_path, loss):
    model = CatBoostRegressor(loss_function=loss, **_FEW).fit(X, np.exp(X[:, 0]))
    model.save_model(str(tmp_path / "model.cbm"))
    trained = files.read(tmp_path / "model.cbm")
    np.testing.assert_array_equal(trained.predict(_columns(trained))["prediction"], model.predict(X))


def test_categories_are_text_of_any_kind(tmp_path):
    frame = pd.DataFrame({"amount": X[:, 0], "colour": np.array(["red", "blue", "teal"], dtype=object)[Y]})
    model = CatBoostClassifier(**_FEW).fit(frame, X[:, 1] > 0, cat_features=["colour"])
    model.save_model(str(tmp_path / "model.cbm"))
    trained = files.read(tmp_path / "model.cbm")
    assert [(column.name, column.dtype) for column in trained.signature.columns] == [
        ("amount", "float32"),
        ("colour", "string"),
    ]
    columns = {"amount": X[:, 0], "colour": np.asarray(frame["colour"], dtype=object)}
    np.testing.assert_array_equal(trained.predict(columns)["probabilities"], model.predict_proba(frame))


def test_what_is_no_model_is_said_so(tmp_path):
    (tmp_path / "model.cbm").write_bytes(b"some bytes")
    with pytest.raises(ModelFileError, match="not a CatBoost model"):
        files.read(tmp_path / "model.cbm")


def test_a_model_that_was_not_fitted_is_refused():
    with pytest.raises(ModelFileError, match="not a fitted"):
        files.adapt(CatBoostClassifier())
