"""Support vectors, neighbours, Bayes, mixtures, networks and kernels."""

from __future__ import annotations

from sklearn import naive_bayes as nb
from sklearn.cluster import AffinityPropagation, Birch, BisectingKMeans, KMeans, MeanShift, MiniBatchKMeans
from sklearn.covariance import EllipticEnvelope
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Matern, RationalQuadratic, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    NearestCentroid,
    RadiusNeighborsClassifier,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from tests.conformance.case import Case
from tests.conformance.tables import (
    binary,
    fit,
    iris,
    numbers,
    several,
    switches,
    two_labels,
    two_words,
    whole,
    words,
)

_SEED = {"random_state": 0}

_VECTORS = [
    *(Case(f"SVC {k}", lambda k=k: fit(SVC(kernel=k), words())) for k in ("linear", "poly", "rbf", "sigmoid")),
    Case("SVC binary", lambda: fit(SVC(), two_words())),
    Case("SVC ovo", lambda: fit(SVC(decision_function_shape="ovo"), several())),
    Case("SVC break_ties", lambda: fit(SVC(break_ties=True), several())),
    Case("SVC probabilities", lambda: fit(SVC(probability=True, **_SEED), words())),
    Case("SVC probabilities binary", lambda: fit(SVC(probability=True, **_SEED), two_words())),
    Case("NuSVC probabilities", lambda: fit(NuSVC(nu=0.1, probability=True, **_SEED), iris())),
    Case("SVC own kernel", lambda: fit(SVC(kernel=_product), binary()), lowered=False, note="a kernel of its own code"),
    Case("NuSVC", lambda: fit(NuSVC(nu=0.2), several())),
    Case("SVR", lambda: fit(SVR(C=100.0), numbers())),
    Case("NuSVR poly", lambda: fit(NuSVR(kernel="poly", degree=2, coef0=1.0), numbers())),
    Case("OneClassSVM", lambda: fit(OneClassSVM(nu=0.1), binary())),
    Case("KernelRidge rbf", lambda: fit(KernelRidge(kernel="rbf"), numbers())),
    Case("KernelRidge polynomial two targets", lambda: fit(KernelRidge(kernel="polynomial"), numbers(targets=2))),
]

_BAYES = [
    Case("GaussianNB binary", lambda: fit(nb.GaussianNB(), two_words())),
    Case("GaussianNB multiclass", lambda: fit(nb.GaussianNB(), iris())),
    Case("MultinomialNB", lambda: fit(nb.MultinomialNB(), whole())),
    Case("ComplementNB", lambda: fit(nb.ComplementNB(), whole())),
    Case("BernoulliNB", lambda: fit(nb.BernoulliNB(), several())),
    Case("BernoulliNB of zeros and ones", lambda: fit(nb.BernoulliNB(binarize=None), whole(levels=2))),
    Case("CategoricalNB", lambda: fit(nb.CategoricalNB(), whole())),
    Case("QuadraticDiscriminantAnalysis", lambda: fit(QuadraticDiscriminantAnalysis(), words())),
    Case("QuadraticDiscriminantAnalysis binary", lambda: fit(QuadraticDiscriminantAnalysis(), several(classes=2))),
]

_NEIGHBORS = [
    Case("KNeighborsClassifier", lambda: fit(KNeighborsClassifier(), words())),
    Case("KNeighborsClassifier by distance", lambda: fit(KNeighborsClassifier(weights="distance"), several())),
    Case("KNeighborsClassifier manhattan", lambda: fit(KNeighborsClassifier(3, metric="manhattan"), several())),
    Case("KNeighborsClassifier chebyshev", lambda: fit(KNeighborsClassifier(3, metric="chebyshev"), several())),
    Case("KNeighborsClassifier minkowski 3", lambda: fit(KNeighborsClassifier(3, p=3), several())),
    Case("KNeighborsClassifier brute", lambda: fit(KNeighborsClassifier(4, algorithm="brute"), several())),
    Case("KNeighborsClassifier two labels", lambda: fit(KNeighborsClassifier(), two_labels())),
    Case(
        "KNeighborsClassifier with ties",
        lambda: fit(KNeighborsClassifier(), whole()),
        lowered=False,
        note="equally distant neighbours, whose order its search tree decides",
    ),
    Case("KNeighborsRegressor", lambda: fit(KNeighborsRegressor(), numbers())),
    Case("KNeighborsRegressor by distance", lambda: fit(KNeighborsRegressor(weights="distance"), numbers(targets=2))),
    Case(
        "RadiusNeighborsClassifier",
        lambda: fit(RadiusNeighborsClassifier(2.0, outlier_label=0), several()),
        lowered=False,
        note="no lowering yet",
    ),
    Case("NearestCentroid", lambda: fit(NearestCentroid(), several())),
    Case("NearestCentroid binary", lambda: fit(NearestCentroid(), two_words())),
    Case("NearestCentroid priors", lambda: fit(NearestCentroid(priors=(0.1, 0.2, 0.3, 0.4)), several())),
    Case("NearestCentroid manhattan", lambda: fit(NearestCentroid(metric="manhattan"), several())),
    Case("LocalOutlierFactor", lambda: fit(LocalOutlierFactor(novelty=True), binary())),
]

_NETWORKS = [
    *(
        Case(f"MLPClassifier {a}", lambda a=a: fit(MLPClassifier((8,), a, solver="lbfgs", max_iter=40, tol=1e9), words()))
        for a in ("identity", "logistic", "tanh", "relu")
    ),
    Case("MLPClassifier binary", lambda: fit(MLPClassifier((6, 4), solver="lbfgs", tol=1e9, **_SEED), two_words())),
    Case("MLPClassifier multilabel", lambda: fit(MLPClassifier((6,), solver="lbfgs", tol=1e9, **_SEED), switches())),
    Case("MLPRegressor", lambda: fit(MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", tol=1e9, **_SEED), numbers())),
    Case(
        "MLPRegressor two targets",
        lambda: fit(MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", tol=1e9, **_SEED), numbers(targets=2)),
    ),
    Case("MLPRegressor float32", lambda: _float32()),
]

_PROCESSES = [
    Case(
        "GaussianProcessRegressor", lambda: fit(GaussianProcessRegressor(RBF(2.0) + WhiteKernel(), optimizer=None), numbers())
    ),
    Case(
        "GaussianProcessRegressor product",
        lambda: fit(
            GaussianProcessRegressor(
                ConstantKernel(2.0) * Matern(3.0, nu=1.5) + DotProduct() + RationalQuadratic() + WhiteKernel(),
                normalize_y=True,
                optimizer=None,
            ),
            numbers(targets=2),
        ),
    ),
    Case(
        "GaussianProcessClassifier",
        lambda: fit(GaussianProcessClassifier(RBF(2.0), optimizer=None), binary()),
        lowered=False,
        note="needs erf in double precision, which ONNX Runtime lacks",
    ),
]

_CLUSTERS = [
    Case("KMeans", lambda: fit(KMeans(4, n_init=1, **_SEED), several())),
    Case("KMeans float32", lambda: fit(KMeans(4, n_init=1, **_SEED), (several()[0].astype("float32"), None))),
    Case("MiniBatchKMeans", lambda: fit(MiniBatchKMeans(4, n_init=1, **_SEED), several())),
    Case("MeanShift", lambda: fit(MeanShift(bandwidth=3.0), several())),
    Case("AffinityPropagation", lambda: fit(AffinityPropagation(**_SEED), several(60))),
    Case("Birch", lambda: fit(Birch(n_clusters=3), several())),
    Case("BisectingKMeans", lambda: fit(BisectingKMeans(4, **_SEED), several())),
    *(
        Case(f"GaussianMixture {kind}", lambda kind=kind: fit(GaussianMixture(3, covariance_type=kind, **_SEED), several()))
        for kind in ("full", "tied", "diag", "spherical")
    ),
    Case("BayesianGaussianMixture", lambda: fit(BayesianGaussianMixture(n_components=2, max_iter=500, **_SEED), iris())),
    Case("EllipticEnvelope", lambda: fit(EllipticEnvelope(**_SEED), several())),
    Case("PLSRegression", lambda: fit(PLSRegression(2), numbers())),
    Case("PLSRegression two targets", lambda: fit(PLSRegression(2), numbers(targets=2))),
]

CASES = [*_VECTORS, *_BAYES, *_NEIGHBORS, *_NETWORKS, *_PROCESSES, *_CLUSTERS]


def _product(a, b):
    return a @ b.T


def _float32():
    X, y = numbers()
    X, y = X.astype("float32"), y.astype("float32")
    return MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", tol=1e9, **_SEED).fit(X, y), X
