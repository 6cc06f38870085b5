"""The scikit-learn adapter: what a fitted model takes and gives, asked of the model itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import CategoricalNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

from salver.errors import ModelFileError
from salver.frameworks.sklearn import SklearnModel, adapt
from salver.types.signature import Column, Output
from tests.conformance.tables import customers, several, switches, two_labels, words


def _fitted(model: Any, data: Any) -> SklearnModel:
    return adapt(model.fit(*data))


def _columns(trained: SklearnModel) -> dict[str, Column]:
    return {column.name: column for column in trained.signature.columns}


def _on_text(*steps: Any, columns: tuple[str, ...] = ("city",)) -> SklearnModel:
    return _fitted(make_pipeline(ColumnTransformer([("text", make_pipeline(*steps), list(columns))]), _line()), customers())


def _line() -> Any:
    return LogisticRegression(max_iter=1000)


def test_a_classifier_with_probabilities() -> None:
    trained = _fitted(_line(), words())
    assert trained.signature.task == "classification"
    assert trained.signature.outputs == (
        Output("prediction", "int64", classes=("ash", "beech", "cedar", "oak")),
        Output("probabilities", "float64", (4,)),
    )
    assert trained.signature.names == ["x0", "x1", "x2", "x3", "x4"] and not trained.signature.named
    assert trained.framework.model == "LogisticRegression"


def test_a_classifier_without_probabilities_gives_scores() -> None:
    trained = _fitted(make_pipeline(StandardScaler(), SVC()), words())
    assert [output.name for output in trained.signature.outputs] == ["prediction", "scores"]
    assert trained.framework.model == "Pipeline(StandardScaler, SVC)"


@pytest.mark.parametrize(("data", "classes"), [(two_labels, ((0, 1, 2), (0, 1))), (switches, ((0, 1),) * 3)])
def test_several_labels_a_row(data: Any, classes: Any) -> None:
    trained = _fitted(MultiOutputClassifier(_line()), data())
    assert trained.signature.outputs == (Output("prediction", "int64", (len(classes),), classes),)


def test_clusters_outliers_and_transformers() -> None:
    X, y = several()
    assert _fitted(KMeans(3, n_init=1), (X,)).signature.outputs == (Output("prediction", "int64"),)
    assert _fitted(IsolationForest(n_estimators=3), (X,)).signature.prediction.classes == (-1, 1)
    assert _fitted(StandardScaler(), (X, y)).signature.outputs == (Output("prediction", "float64", (5,)),)
    assert _fitted(LinearRegression(), (X, X[:, :2])).signature.outputs == (Output("prediction", "float64", (2,)),)


def test_legal_values_are_those_the_model_answers() -> None:
    X, y = several()
    line = _columns(_fitted(_line(), (X, y)))["x0"]
    assert not line.nullable and not line.infinite
    filled = _columns(_fitted(make_pipeline(SimpleImputer(), _line()), (X, y)))["x0"]
    assert filled.nullable and not filled.infinite
    boosted = _columns(_fitted(HistGradientBoostingClassifier(max_iter=2), (X, y)))["x0"]
    assert boosted.nullable and boosted.infinite
    assert _columns(_fitted(RandomForestClassifier(2), (X, y)))["x0"].dtype == "float32"


def test_unseen_categories_are_legal_where_every_encoder_takes_them() -> None:
    column = _columns(_on_text(OneHotEncoder(handle_unknown="ignore")))["city"]
    assert column == Column("city", "category", nullable=True, categories=("Bonn", "Köln", "Trier", "Ulm"), unseen=True)
    assert not _columns(_on_text(OneHotEncoder()))["city"].unseen


def test_what_an_imputer_fills_in_is_a_category_too() -> None:
    fill = SimpleImputer(strategy="constant", fill_value="unknown")
    known = _columns(_on_text(fill, OneHotEncoder(handle_unknown="ignore")))["city"].categories
    assert known is not None and "unknown" in known


def test_a_column_that_nothing_uses_takes_anything() -> None:
    trained = _on_text(OneHotEncoder(), columns=("plan",))
    dropped = _columns(trained)["city"]
    assert dropped.categories == () and dropped.unseen and dropped.nullable


def test_numbers_that_only_some_values_of_are_taken_are_categories() -> None:
    X = np.array([[1, 2], [3, 2], [1, 5]] * 5)
    assert _columns(_fitted(OneHotEncoder(), (X,)))["x0"].categories == (1, 3)
    assert _columns(_fitted(OneHotEncoder(handle_unknown="ignore"), (X,)))["x0"].dtype == "float64"
    assert _columns(_fitted(CategoricalNB(), (X, X[:, 0])))["x1"].categories == (0, 1, 2, 3, 4, 5)


def test_a_frame_is_fed_as_a_frame() -> None:
    trained = _on_text(SimpleImputer(strategy="most_frequent"), OrdinalEncoder())
    assert trained.signature.named
    rows = {name: np.array([None, "x", "y"], dtype=object) for name in trained.signature.names}
    rows["city"] = np.array(["Bonn", "Ulm", None], dtype=object)
    assert trained.predict(rows)["prediction"].shape == (3,)


def test_categories_of_a_frame_as_the_booster_knows_them() -> None:
    frame = pd.DataFrame({"kind": pd.Categorical(["b", "a", "b", None] * 10), "size": np.arange(40.0)})
    trained = _fitted(HistGradientBoostingClassifier(max_iter=2), (frame, np.arange(40) % 2))
    assert _columns(trained)["kind"] == Column("kind", "category", nullable=True, categories=("a", "b"), unseen=True)


def test_free_text() -> None:
    trained = _fitted(make_pipeline(TfidfVectorizer(), _line()), (["a cat", "a dog"] * 5, ["cat", "dog"] * 5))
    assert trained.signature.columns == (Column("text", "string"),)
    assert trained.predict({"text": np.array(["my dog"], dtype=object)})["prediction"].tolist() == [1]


def test_a_model_trained_in_float32_is_held_to_its_own_precision() -> None:
    X, y = several()
    single = _fitted(KMeans(2, n_init=1), (X.astype(np.float32),))
    assert single.tolerance == 1e-5
    assert _columns(single)["x0"].dtype == "float32"
    assert _fitted(_line(), (X, y)).tolerance == 1e-9


def test_a_model_that_is_not_fitted_is_refused() -> None:
    with pytest.raises(ModelFileError, match="is it fitted"):
        adapt(LogisticRegression())


def test_everything_inside_answers_in_one_thread() -> None:
    forest = RandomForestClassifier(3, n_jobs=2)
    bags = BaggingClassifier(RandomForestClassifier(2, n_jobs=-1), 2, n_jobs=2)
    votes = VotingClassifier([("forest", forest), ("bags", bags)], voting="soft", n_jobs=2)
    model = _fitted(make_pipeline(StandardScaler(), votes), several()).model
    inside = model[-1].estimators_
    parts = [model[-1], *inside, *inside[1].estimators_, inside[1].estimator_]
    assert [part.n_jobs for part in parts] == [1] * len(parts)


def test_a_sum_over_trees_is_the_same_each_time() -> None:
    X, y = several()
    trained = _fitted(RandomForestClassifier(60, n_jobs=2, random_state=0), (X, y))
    rows = {name: X[:, i] for i, name in enumerate(trained.signature.names)}
    first = trained.predict(rows)["probabilities"]
    assert all(np.array_equal(trained.predict(rows)["probabilities"], first) for _ in range(5))
