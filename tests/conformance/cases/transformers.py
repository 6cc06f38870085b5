"""Transformers: by themselves, in pipelines, in unions and column by column."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import decomposition, preprocessing
from sklearn.cluster import FeatureAgglomeration
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection
from sklearn.svm import SVC

from tests.conformance.case import Case
from tests.conformance.tables import binary, counts, customers, fit, holes, numbers, several, two_words, whole, words

_SEED = {"random_state": 0}
_FOLDS = KFold(3, shuffle=True, random_state=0)


def _alone(name: str, model: Any, table: Any = several, **served: Any) -> Case:
    def make() -> tuple[Any, Any]:
        X, y = table()
        return model.fit(X, y), X

    return Case(name, make, **served)


def _before(model: Any, last: Any = None, table: Any = several) -> tuple[Any, Any]:
    return fit(make_pipeline(model, LogisticRegression(max_iter=2000) if last is None else last), table())


def _positive() -> tuple[Any, Any]:
    X, y = numbers()
    return np.exp(X), y


def _with_holes() -> tuple[Any, Any]:
    X, y = several()
    return holes(X), y


def _shifted(X: Any) -> Any:
    return X + 1


_SCALERS = [
    _alone("StandardScaler", StandardScaler()),
    _alone("StandardScaler with holes", StandardScaler(), _with_holes),
    _alone("MinMaxScaler", preprocessing.MinMaxScaler()),
    _alone("MinMaxScaler clip", preprocessing.MinMaxScaler((-1, 1), clip=True)),
    _alone("MaxAbsScaler", preprocessing.MaxAbsScaler()),
    _alone("RobustScaler", preprocessing.RobustScaler()),
    *(_alone(f"Normalizer {norm}", preprocessing.Normalizer(norm)) for norm in ("l1", "l2", "max")),
    _alone("Binarizer", preprocessing.Binarizer(threshold=0.5)),
    _alone("PowerTransformer yeo-johnson", PowerTransformer()),
    _alone("PowerTransformer box-cox", PowerTransformer("box-cox"), _positive),
    _alone("QuantileTransformer uniform", QuantileTransformer(n_quantiles=50)),
    _alone("QuantileTransformer normal", QuantileTransformer(n_quantiles=50, output_distribution="normal")),
    *(
        Case(f"FunctionTransformer {f.__name__}", lambda f=f: _before(FunctionTransformer(f), Ridge(), _positive))
        for f in (np.log, np.log1p, np.sqrt, np.square, np.log10, np.abs)
    ),
    Case("FunctionTransformer identity", lambda: _before(FunctionTransformer(), Ridge(), numbers)),
    Case(
        "FunctionTransformer own code",
        lambda: _before(FunctionTransformer(_shifted), Ridge(), numbers),
        lowered=False,
        note="a function of its own code",
    ),
]

_BASES = [
    *(
        _alone(f"KBinsDiscretizer {how}", KBinsDiscretizer(4, encode=how, strategy="uniform"))
        for how in ("ordinal", "onehot", "onehot-dense")
    ),
    _alone("PolynomialFeatures", PolynomialFeatures(3)),
    _alone("PolynomialFeatures interactions", PolynomialFeatures((2, 3), interaction_only=True, include_bias=False)),
    *(
        _alone(f"SplineTransformer {how}", SplineTransformer(5, extrapolation=how))
        for how in ("constant", "linear", "continue", "periodic", "error")
    ),
    _alone("SplineTransformer quantiles", SplineTransformer(4, degree=2, knots="quantile", include_bias=False)),
]

_IMPUTERS = [
    *(
        Case(f"SimpleImputer {how}", lambda how=how: _before(SimpleImputer(strategy=how), table=_with_holes))
        for how in ("mean", "median", "most_frequent", "constant")
    ),
    Case("SimpleImputer with indicator", lambda: _before(SimpleImputer(add_indicator=True), table=_with_holes)),
    Case("SimpleImputer of zeros", lambda: _before(SimpleImputer(missing_values=0), table=whole)),
    _alone("MissingIndicator", MissingIndicator(error_on_new=False), _with_holes),
    Case(
        "KNNImputer",
        lambda: _before(KNNImputer(), table=_with_holes),
        lowered=False,
        note="no lowering yet",
    ),
]

_ENCODERS = [
    _alone("OneHotEncoder of numbers", OneHotEncoder(), whole),
    _alone("OneHotEncoder of numbers ignoring", OneHotEncoder(handle_unknown="ignore"), whole),
    _alone("OneHotEncoder drop", OneHotEncoder(drop="first"), whole),
    _alone("OneHotEncoder rare", OneHotEncoder(min_frequency=45, handle_unknown="infrequent_if_exist"), whole),
    _alone("OrdinalEncoder of numbers", OrdinalEncoder(), whole),
    _alone("TargetEncoder of numbers", TargetEncoder(target_type="multiclass", cv=_FOLDS), whole),
]

_PROJECTIONS = [
    _alone("PCA", decomposition.PCA(3)),
    _alone("PCA whiten", decomposition.PCA(3, whiten=True)),
    _alone("IncrementalPCA", decomposition.IncrementalPCA(3)),
    _alone("TruncatedSVD", decomposition.TruncatedSVD(3, **_SEED)),
    _alone("FastICA", decomposition.FastICA(3, max_iter=1000, **_SEED)),
    _alone("FactorAnalysis", decomposition.FactorAnalysis(2, **_SEED)),
    _alone("GaussianRandomProjection", GaussianRandomProjection(3, **_SEED)),
    _alone("RBFSampler", RBFSampler(gamma=0.1, n_components=20, **_SEED)),
    _alone("Nystroem", Nystroem(gamma=0.1, n_components=20, **_SEED)),
    _alone("FeatureAgglomeration", FeatureAgglomeration(2)),
    Case("LinearDiscriminantAnalysis as a step", lambda: _before(LinearDiscriminantAnalysis())),
]

_SELECTORS = [
    Case("VarianceThreshold", lambda: _before(VarianceThreshold(0.5))),
    Case("SelectKBest", lambda: _before(SelectKBest(k=2))),
    Case("SelectPercentile", lambda: _before(SelectPercentile(percentile=50))),
    Case("SelectFromModel", lambda: _before(SelectFromModel(LogisticRegression()))),
    Case("SequentialFeatureSelector", lambda: _before(SequentialFeatureSelector(Ridge(), n_features_to_select=2, cv=2))),
    Case("RFE", lambda: fit(RFE(LogisticRegression(), n_features_to_select=2), words())),
]


def _encoded(*text: Any) -> Any:
    """Numbers filled and scaled; text through the given steps."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["age", "income"]),
            ("text", make_pipeline(*text), ["city", "plan"]),
        ],
        remainder="passthrough",
    )


def _customers(*text: Any, last: Any = None) -> tuple[Any, Any]:
    return fit(make_pipeline(_encoded(*text), last or LogisticRegression(max_iter=2000)), customers())


def _filled() -> Any:
    return SimpleImputer(strategy="constant", fill_value="unknown")


_FRAMES = [
    Case("DataFrame one-hot", lambda: _customers(_filled(), OneHotEncoder(handle_unknown="ignore"))),
    Case("DataFrame one-hot strict", lambda: _customers(SimpleImputer(strategy="most_frequent"), OneHotEncoder())),
    Case("DataFrame one-hot with missing", lambda: _customers(OneHotEncoder())),
    Case(
        "DataFrame one-hot rare",
        lambda: _customers(OneHotEncoder(min_frequency=0.1, handle_unknown="infrequent_if_exist")),
    ),
    Case("DataFrame one-hot dropping", lambda: _customers(OneHotEncoder(drop="if_binary", handle_unknown="ignore"))),
    Case(
        "DataFrame ordinal",
        lambda: _customers(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)),
    ),
    Case("DataFrame target-encoded", lambda: _customers(TargetEncoder(cv=_FOLDS), last=SVC())),
    Case("DataFrame one-hot with numbers", lambda: _all_encoded(OneHotEncoder(handle_unknown="ignore"))),
    Case(
        "DataFrame one-hot with numbers rare",
        lambda: _all_encoded(OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist")),
    ),
    Case(
        "DataFrame ordinal with numbers",
        lambda: _all_encoded(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)),
    ),
    Case("DataFrame target-encoded with numbers", lambda: _all_encoded(TargetEncoder(cv=_FOLDS))),
    Case("DataFrame by selector", lambda: _by_selector()),
    Case("DataFrame by mask and slice", lambda: _by_place()),
    Case("DataFrame of numbers", lambda: _of_numbers()),
    Case("FeatureUnion", lambda: fit(make_pipeline(_union(), LogisticRegression(max_iter=2000)), several())),
    Case("Pipeline of transformers", lambda: fit(make_pipeline(StandardScaler(), PolynomialFeatures(2)), several())),
    Case("Pipeline with passthrough", lambda: fit(make_pipeline("passthrough", StandardScaler(), SVC()), two_words())),
    Case("Pipeline to counts", lambda: fit(make_pipeline(StandardScaler(), LinearRegression()), counts())),
    Case(
        "text",
        lambda: _of_text(make_pipeline(TfidfVectorizer(), LogisticRegression())),
        lowered=False,
        note="free text",
    ),
    Case("text and numbers", lambda: _text_and_numbers(), lowered=False, note="free text"),
]


def _all_encoded(encoder: Any) -> tuple[Any, Any]:
    """Text and whole numbers, some of both missing, through one encoder."""
    frame, y = customers()
    frame = frame[["city", "visits", "plan"]].astype({"visits": float})
    frame.loc[::9, "visits"] = np.nan
    steps = ColumnTransformer([("all", encoder, ["city", "visits", "plan"])])
    return fit(make_pipeline(steps, LogisticRegression(max_iter=2000)), (frame, y))


def _by_selector() -> tuple[Any, Any]:
    steps = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=object)),
            ("numbers", SimpleImputer(), make_column_selector(dtype_include=np.number)),
        ]
    )
    return fit(make_pipeline(steps, StandardScaler(), LogisticRegression()), customers())


def _by_place() -> tuple[Any, Any]:
    steps = ColumnTransformer(
        [
            ("mask", SimpleImputer(strategy="median"), [True, False, False, False, False]),
            ("slice", StandardScaler(), slice(1, 3)),
            ("gone", "drop", ["city"]),
            ("one", OrdinalEncoder(), [-1]),
        ],
        transformer_weights={"slice": 0.5},
    )
    return fit(make_pipeline(steps, LogisticRegression(max_iter=1000)), customers())


def _of_numbers() -> tuple[Any, Any]:
    import pandas as pd

    X, y = binary()
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    return fit(make_pipeline(StandardScaler(), LogisticRegression()), (frame, y))


def _union() -> Any:
    return FeatureUnion([("scaled", StandardScaler()), ("axes", decomposition.PCA(2))], transformer_weights={"axes": 2.0})


def _texts() -> tuple[Any, Any]:
    animals = ["the cat sat", "a dog ran", "cat and cat", "dog of dogs", "the dog", "one cat"]
    return np.array(animals * 4, dtype=object), np.array([0, 1, 0, 1, 1, 0] * 4)


def _of_text(model: Any) -> tuple[Any, Any]:
    return fit(model, _texts())


def _text_and_numbers() -> tuple[Any, Any]:
    import pandas as pd

    said, y = _texts()
    frame = pd.DataFrame({"said": pd.Series(said, dtype=object), "size": np.arange(len(said), dtype=float)})
    steps = ColumnTransformer([("said", CountVectorizer(), "said"), ("size", StandardScaler(), ["size"])])
    return fit(make_pipeline(steps, LogisticRegression()), (frame, y))


CASES = [*_SCALERS, *_BASES, *_IMPUTERS, *_ENCODERS, *_PROJECTIONS, *_SELECTORS, *_FRAMES]
