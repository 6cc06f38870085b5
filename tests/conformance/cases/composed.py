"""Estimators made of others."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import ensemble
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, RandomizedSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.conformance.case import Case
from tests.conformance.tables import binary, counts, fit, numbers, several, switches, two_labels, two_words, words

_SEED = {"random_state": 0}


def _logistic() -> Any:
    return LogisticRegression(max_iter=2000)


def _three() -> list[tuple[str, Any]]:
    return [("line", _logistic()), ("bayes", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=3, **_SEED))]


def _two_regressors() -> list[tuple[str, Any]]:
    return [("line", Ridge()), ("tree", DecisionTreeRegressor(max_depth=3, **_SEED))]


_COMMITTEES = [
    Case("VotingClassifier soft", lambda: fit(ensemble.VotingClassifier(_three(), voting="soft", weights=[1, 2, 1]), words())),
    Case("VotingClassifier hard", lambda: fit(ensemble.VotingClassifier(_three()), words())),
    Case("VotingClassifier hard weighted", lambda: fit(ensemble.VotingClassifier(_three(), weights=[1, 2, 2]), two_words())),
    Case("VotingRegressor", lambda: fit(ensemble.VotingRegressor(_two_regressors(), weights=[1, 3]), numbers())),
    Case("StackingClassifier", lambda: fit(ensemble.StackingClassifier(_three(), _logistic(), cv=3), words())),
    Case("StackingClassifier binary", lambda: fit(ensemble.StackingClassifier(_three(), _logistic(), cv=3), two_words())),
    Case(
        "StackingClassifier of scores with passthrough",
        lambda: fit(
            ensemble.StackingClassifier([("line", LinearSVC()), ("vectors", SVC())], _logistic(), cv=3, passthrough=True),
            several(),
        ),
    ),
    Case("StackingRegressor", lambda: fit(ensemble.StackingRegressor(_two_regressors(), Ridge(), cv=3), numbers())),
    Case("BaggingClassifier of lines", lambda: fit(ensemble.BaggingClassifier(_logistic(), 5, **_SEED), words())),
    Case(
        "BaggingClassifier of some columns",
        lambda: fit(ensemble.BaggingClassifier(max_features=3, n_estimators=8, **_SEED), several()),
    ),
    Case("BaggingClassifier of votes", lambda: fit(ensemble.BaggingClassifier(Perceptron(), 5, **_SEED), several())),
    Case("BaggingRegressor", lambda: fit(ensemble.BaggingRegressor(Ridge(), 5, max_features=0.6, **_SEED), numbers())),
    Case("BaggingRegressor of trees", lambda: fit(ensemble.BaggingRegressor(n_estimators=5, **_SEED), numbers())),
    Case("AdaBoostClassifier", lambda: fit(ensemble.AdaBoostClassifier(n_estimators=10, **_SEED), two_words())),
    Case("AdaBoostClassifier multiclass", lambda: fit(ensemble.AdaBoostClassifier(n_estimators=10, **_SEED), words())),
    Case("AdaBoostRegressor", lambda: fit(ensemble.AdaBoostRegressor(n_estimators=10, **_SEED), numbers())),
]

_DECOMPOSED = [
    Case("OneVsRestClassifier", lambda: fit(OneVsRestClassifier(_logistic()), words())),
    Case("OneVsRestClassifier of scores", lambda: fit(OneVsRestClassifier(LinearSVC()), several())),
    Case("OneVsRestClassifier of trees", lambda: fit(OneVsRestClassifier(DecisionTreeClassifier(max_depth=2)), several())),
    Case("OneVsRestClassifier binary", lambda: fit(OneVsRestClassifier(_logistic()), two_words())),
    Case("OneVsRestClassifier multilabel", lambda: fit(OneVsRestClassifier(_logistic()), switches())),
    Case("OneVsOneClassifier", lambda: fit(OneVsOneClassifier(_logistic()), words())),
    Case("OneVsOneClassifier binary", lambda: fit(OneVsOneClassifier(LinearSVC()), two_words())),
    Case("OutputCodeClassifier", lambda: fit(OutputCodeClassifier(_logistic(), **_SEED), words())),
    Case("MultiOutputClassifier", lambda: fit(MultiOutputClassifier(_logistic()), two_labels())),
    Case("MultiOutputRegressor", lambda: fit(MultiOutputRegressor(SVR()), numbers(targets=2))),
    Case("ClassifierChain", lambda: fit(ClassifierChain(_logistic(), order=[2, 0, 1]), switches())),
    Case(
        "ClassifierChain of probabilities",
        lambda: fit(ClassifierChain(_logistic(), chain_method="predict_proba"), switches()),
    ),
    Case("RegressorChain", lambda: fit(RegressorChain(Ridge(), order=[1, 0]), numbers(targets=2))),
]

_CHOSEN = [
    *(
        Case(
            f"CalibratedClassifierCV {how}", lambda how=how: fit(CalibratedClassifierCV(LinearSVC(), method=how, cv=3), words())
        )
        for how in ("sigmoid", "isotonic", "temperature")
    ),
    Case("CalibratedClassifierCV binary", lambda: fit(CalibratedClassifierCV(LinearSVC(), cv=3), two_words())),
    Case(
        "CalibratedClassifierCV of probabilities",
        lambda: fit(
            CalibratedClassifierCV(RandomForestClassifier(5, max_depth=3, **_SEED), method="isotonic", cv=2), two_words()
        ),
    ),
    Case("CalibratedClassifierCV of a frozen model", lambda: _frozen()),
    Case("TransformedTargetRegressor log", lambda: _target(func=np.log, inverse_func=np.exp)),
    Case("TransformedTargetRegressor log1p", lambda: _target(func=np.log1p, inverse_func=np.expm1)),
    Case("TransformedTargetRegressor scaled", lambda: _target(transformer=StandardScaler())),
    Case(
        "TransformedTargetRegressor quantiles",
        lambda: _target(transformer=QuantileTransformer(n_quantiles=20)),
        lowered=False,
        note="no lowering for the inverse of QuantileTransformer yet",
    ),
    Case("GridSearchCV", lambda: fit(GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 10]}, cv=2), words())),
    Case(
        "RandomizedSearchCV", lambda: fit(RandomizedSearchCV(Ridge(), {"alpha": [1, 10]}, n_iter=2, cv=2, **_SEED), numbers())
    ),
    Case("TunedThresholdClassifierCV", lambda: fit(TunedThresholdClassifierCV(_logistic(), cv=3), binary())),
    Case("FixedThresholdClassifier", lambda: fit(FixedThresholdClassifier(_logistic(), threshold=0.3), binary())),
    Case(
        "FixedThresholdClassifier of scores",
        lambda: fit(FixedThresholdClassifier(RidgeClassifier(), threshold=0.2, pos_label="no"), two_words()),
    ),
    Case("SelfTrainingClassifier", lambda: _half_told()),
]


def _frozen() -> tuple[Any, Any]:
    X, y = several()
    return fit(CalibratedClassifierCV(FrozenEstimator(GaussianNB().fit(X, y))), (X, y))


def _target(**how: Any) -> tuple[Any, Any]:
    return fit(TransformedTargetRegressor(LinearRegression(), **how), counts())


def _half_told() -> tuple[Any, Any]:
    X, y = several()
    return fit(SelfTrainingClassifier(_logistic()), (X, np.where(np.arange(len(y)) % 3 == 0, -1, y)))


CASES = [*_COMMITTEES, *_DECOMPOSED, *_CHOSEN]
