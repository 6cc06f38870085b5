"""Linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import linear_model as lm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.svm import LinearSVC, LinearSVR

from tests.conformance.case import Case
from tests.conformance.tables import binary, counts, fit, iris, numbers, several, switches, two_words, words

_REGRESSORS = [
    lm.LinearRegression(),
    lm.Ridge(),
    lm.RidgeCV(),
    lm.Lasso(),
    lm.LassoCV(cv=3),
    lm.ElasticNet(),
    lm.ElasticNetCV(cv=3),
    lm.Lars(),
    lm.LassoLars(),
    lm.LassoLarsIC(),
    lm.OrthogonalMatchingPursuit(),
    lm.HuberRegressor(max_iter=500),
    lm.TheilSenRegressor(max_subpopulation=50, random_state=0),
    lm.RANSACRegressor(random_state=0),
    lm.BayesianRidge(),
    lm.ARDRegression(),
    lm.SGDRegressor(random_state=0),
    lm.QuantileRegressor(alpha=0.01),
    LinearSVR(random_state=0, max_iter=20_000),
    DummyRegressor(),
]


def _name(model: Any) -> str:
    return type(model).__name__


CASES = [
    Case("LogisticRegression multinomial", lambda: fit(lm.LogisticRegression(max_iter=1000), iris())),
    Case("LogisticRegression binary", lambda: fit(lm.LogisticRegression(), two_words())),
    Case("LogisticRegression liblinear", lambda: fit(lm.LogisticRegression(solver="liblinear"), binary())),
    Case("LogisticRegression of words", lambda: fit(lm.LogisticRegression(max_iter=1000), words())),
    Case(
        "LogisticRegressionCV",
        lambda: fit(
            lm.LogisticRegressionCV(
                Cs=2, cv=3, max_iter=500, l1_ratios=(0.0,), use_legacy_attributes=False, scoring="accuracy"
            ),
            several(),
        ),
    ),
    Case("RidgeClassifier binary", lambda: fit(lm.RidgeClassifier(), binary())),
    Case("RidgeClassifier multiclass", lambda: fit(lm.RidgeClassifier(), words())),
    Case("RidgeClassifierCV", lambda: fit(lm.RidgeClassifierCV(), several())),
    Case("RidgeClassifier multilabel", lambda: fit(lm.RidgeClassifier(), switches())),
    Case("SGDClassifier hinge", lambda: fit(lm.SGDClassifier(random_state=0), several())),
    Case("SGDClassifier log_loss", lambda: fit(lm.SGDClassifier(loss="log_loss", random_state=0), several())),
    Case("SGDClassifier log_loss binary", lambda: fit(lm.SGDClassifier(loss="log_loss", random_state=0), binary())),
    Case("SGDClassifier modified_huber", lambda: fit(lm.SGDClassifier(loss="modified_huber", random_state=0), several())),
    Case(
        "SGDClassifier modified_huber binary",
        lambda: fit(lm.SGDClassifier(loss="modified_huber", random_state=0), binary()),
    ),
    Case("Perceptron", lambda: fit(lm.Perceptron(random_state=0), several())),
    Case("LinearSVC binary", lambda: fit(LinearSVC(random_state=0), binary())),
    Case("LinearSVC multiclass", lambda: fit(LinearSVC(random_state=0, max_iter=5000), words())),
    Case("SGDOneClassSVM", lambda: fit(lm.SGDOneClassSVM(random_state=0), binary())),
    Case("LinearDiscriminantAnalysis binary", lambda: fit(LinearDiscriminantAnalysis(), binary())),
    Case("LinearDiscriminantAnalysis multiclass", lambda: fit(LinearDiscriminantAnalysis(), words())),
    Case("DummyClassifier prior", lambda: fit(DummyClassifier(), words())),
    *(Case(_name(model), lambda model=model: fit(model, numbers())) for model in _REGRESSORS),
    Case("LinearRegression two targets", lambda: fit(lm.LinearRegression(), numbers(targets=2))),
    Case("Ridge two targets", lambda: fit(lm.Ridge(), numbers(targets=2))),
    Case("MultiTaskLasso", lambda: fit(lm.MultiTaskLasso(), numbers(targets=3))),
    Case("PoissonRegressor", lambda: fit(lm.PoissonRegressor(max_iter=1000), counts())),
    Case("GammaRegressor", lambda: fit(lm.GammaRegressor(max_iter=1000), counts())),
    Case("TweedieRegressor log", lambda: fit(lm.TweedieRegressor(power=1.5, max_iter=1000), counts())),
    Case("TweedieRegressor identity", lambda: fit(lm.TweedieRegressor(power=0, max_iter=1000), counts())),
    Case("IsotonicRegression", lambda: _isotonic("clip")),
    Case(
        "IsotonicRegression nan",
        lambda: _isotonic("nan"),
        lowered=False,
        note="answers NaN beyond the range it was trained on",
    ),
]


def _isotonic(beyond: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = np.sort(rng.uniform(0, 10, 80))
    return IsotonicRegression(out_of_bounds=beyond).fit(X, X + rng.normal(0, 1, 80)), X[:, None]
