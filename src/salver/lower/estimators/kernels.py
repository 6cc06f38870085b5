"""Support vector machines, kernel ridge and Gaussian processes: weighted kernels between a row and the rows remembered."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import (
    add,
    affine,
    apply,
    dense,
    div,
    first_largest,
    matmul,
    mul,
    number,
    same_for_all,
    squared_distances,
    sub,
    summed,
)
from salver.lower.converters import Outputs, predictor, transformer
from salver.lower.estimators.coupling import coupled
from salver.lower.estimators.linear import inliers
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of


def kernel(g: Graph, x: Value, points: Any, name: Any, gamma: float, coef0: float, degree: float) -> Value:
    """The kernel of each row with each point, (rows, points), as libsvm and scikit-learn's pairwise kernels define it."""
    points = dense(points)
    if name == "rbf":
        return apply(g, "Exp", mul(g, squared_distances(g, x, points), -gamma))
    if name not in ("linear", "poly", "polynomial", "sigmoid", "cosine"):
        raise LoweringError(f"kernel {name if isinstance(name, str) else 'of its own code'}")
    if name == "cosine":
        raise LoweringError("cosine kernel")
    product = matmul(g, x, points.T)
    if name == "linear":
        return product
    inner = add(g, mul(g, product, gamma), coef0)
    return apply(g, "Tanh", inner) if name == "sigmoid" else apply(g, "Pow", inner, degree)


def _kernel_of(model: Any, x: Value, g: Graph) -> Value:
    return kernel(g, x, model.support_vectors_, model.kernel, model._gamma, model.coef0, model.degree)


@predictor("sklearn", "SVR", "NuSVR", numbers=True)
def support_regressor(model: Any, x: Value, g: Graph) -> Outputs:
    return {"prediction": g.flat(affine(g, _kernel_of(model, x, g), dense(model.dual_coef_).T, model.intercept_))}


@predictor("sklearn", "OneClassSVM", numbers=True)
def one_class(model: Any, x: Value, g: Graph) -> Outputs:
    scores = g.flat(affine(g, _kernel_of(model, x, g), dense(model.dual_coef_).T, model.intercept_))
    return {"prediction": g.cast(apply(g, "Greater", scores, 0.0), np.int64), "scores": scores}


@predictor("sklearn", "SVC", "NuSVC", numbers=True)
def support_classifier(model: Any, x: Value, g: Graph) -> Outputs:
    classes = len(model.classes_)
    weights, offsets = _pairs(model)
    # As libsvm has it: above 0 is a vote for the first class of the pair.
    decisions = affine(g, _kernel_of(model, x, g), weights, offsets)
    made: Outputs = {}
    if classes == 2:
        made["scores"] = g.flat(apply(g, "Neg", decisions))
        made["prediction"] = g.flat(g.cast(apply(g, "LessOrEqual", decisions, 0.0), np.int64))
    else:
        ovr = one_against_rest(g, number(g, apply(g, "Less", decisions, 0.0)), apply(g, "Neg", decisions), classes)
        made["scores"] = ovr if model.decision_function_shape == "ovr" else decisions
        made["prediction"] = first_largest(g, ovr if model.break_ties else _votes(g, decisions, classes))
    if model.probability is True:
        made["probabilities"] = coupled(g, decisions, model.probA_, model.probB_, classes)
    return made


def _pairs(model: Any) -> tuple[Any, Any]:
    """Weights (support vectors, pairs) and offsets (pairs,) with libsvm's signs, for the pairs (0, 1), (0, 2), …"""
    dual, offsets = dense(model.dual_coef_), np.ravel(model.intercept_)
    counts = np.asarray(model.n_support_)
    ends = np.cumsum(counts)
    if len(counts) == 2:
        return -dual.T, -offsets  # scikit-learn shows the binary ones with the other sign
    columns: list[Any] = []
    for i in range(len(counts)):
        for j in range(i + 1, len(counts)):
            weight = np.zeros(dual.shape[1])
            of_i, of_j = slice(ends[i] - counts[i], ends[i]), slice(ends[j] - counts[j], ends[j])
            weight[of_i], weight[of_j] = dual[j - 1, of_i], dual[i, of_j]
            columns.append(weight)
    return np.stack(columns, axis=1), offsets


def _places(classes: int) -> tuple[Any, Any]:
    """(pairs, classes): 1 where the class is the first of the pair, and where it is the second."""
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    first, second = np.zeros((len(pairs), classes)), np.zeros((len(pairs), classes))
    for k, (i, j) in enumerate(pairs):
        first[k, i], second[k, j] = 1.0, 1.0
    return first, second


def _votes(g: Graph, decisions: Value, classes: int) -> Value:
    """How many pairs each class wins; 0 is a vote for the second."""
    first, second = _places(classes)
    won = number(g, apply(g, "Greater", decisions, 0.0))
    return affine(g, won, first - second, second.sum(axis=0))


def one_against_rest(g: Graph, predictions: Value, confidences: Value, classes: int) -> Value:
    """Votes of the pairs, plus less than half a vote for confidence: sklearn.utils.multiclass._ovr_decision_function.

    `predictions` is 1 where the second class of a pair wins, (rows, pairs); so is `confidences` positive.
    """
    first, second = _places(classes)
    votes = affine(g, predictions, second - first, first.sum(axis=0))
    sums = matmul(g, confidences, second - first)
    return add(g, votes, div(g, sums, mul(g, add(g, apply(g, "Abs", sums), 1.0), 3.0)))


@landmarks_of("sklearn", "SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM")
def support_landmarks(model: Any, landmarks: Landmarks) -> None:
    vectors = dense(model.support_vectors_)
    landmarks.add_rows(vectors)
    for i in range(vectors.shape[1]):
        landmarks.add(i, vectors[:, i])


@predictor("sklearn", "KernelRidge", numbers=True)
def kernel_ridge(model: Any, x: Value, g: Graph) -> Outputs:
    gamma = 1.0 / model.n_features_in_ if model.gamma is None else model.gamma
    made = kernel(g, x, model.X_fit_, model.kernel, gamma, model.coef0, model.degree)
    weights = dense(model.dual_coef_)
    value = matmul(g, made, weights.reshape(len(weights), -1))
    return {"prediction": g.flat(value) if weights.ndim == 1 else value}


@landmarks_of("sklearn", "KernelRidge")
def ridge_landmarks(model: Any, landmarks: Landmarks) -> None:
    landmarks.add_rows(dense(model.X_fit_))


@transformer("sklearn", "Nystroem", numbers=True)
def nystroem(model: Any, x: Value, g: Graph) -> Value:
    gamma = 1.0 / model.n_features_in_ if model.gamma is None else model.gamma
    coef0 = 1.0 if model.coef0 is None else model.coef0
    degree = 3 if model.degree is None else model.degree
    made = kernel(g, x, model.components_, model.kernel, gamma, coef0, degree)
    return matmul(g, made, model.normalization_.T)


@predictor("sklearn", "GaussianProcessRegressor", numbers=True)
def gaussian_process(model: Any, x: Value, g: Graph) -> Outputs:
    made = _covariance(g, model.kernel_, x, np.asarray(model.X_train_, dtype=np.float64))
    weights = dense(model.alpha_)
    mean = matmul(g, made, weights.reshape(len(weights), -1))
    value = add(g, mul(g, mean, np.ravel(model._y_train_std)), np.ravel(model._y_train_mean))
    return {"prediction": value if mean.width > 1 else g.flat(value)}


def _covariance(g: Graph, kernel: Any, x: Value, points: Any) -> Value:
    """A kernel object of sklearn.gaussian_process between the rows and the training rows."""
    kind = type(kernel).__name__
    if kind in ("Sum", "Product"):
        k1, k2 = _covariance(g, kernel.k1, x, points), _covariance(g, kernel.k2, x, points)
        return add(g, k1, k2) if kind == "Sum" else mul(g, k1, k2)
    if kind in ("ConstantKernel", "WhiteKernel"):
        # White noise is shared by no two rows, even equal ones.
        constant = kernel.constant_value if kind == "ConstantKernel" else 0.0
        return same_for_all(g, x, np.full(len(points), constant))
    if kind == "DotProduct":
        return add(g, matmul(g, x, points.T), kernel.sigma_0**2)
    if kind not in ("RBF", "Matern", "RationalQuadratic"):
        raise LoweringError(f"kernel {kind}")
    squares = squared_distances(g, div(g, x, kernel.length_scale), points / kernel.length_scale)
    if kind == "RationalQuadratic":
        base = add(g, div(g, squares, 2.0 * kernel.alpha), 1.0)
        return apply(g, "Pow", base, -kernel.alpha)
    return _matern(g, squares, np.inf if kind == "RBF" else kernel.nu)


def _matern(g: Graph, squares: Value, nu: float) -> Value:
    if nu == np.inf:
        return apply(g, "Exp", mul(g, squares, -0.5))
    if nu not in (0.5, 1.5, 2.5):
        raise LoweringError(f"Matern kernel with nu={nu}")
    scaled = mul(g, apply(g, "Sqrt", squares), np.sqrt(2.0 * nu))
    decay = apply(g, "Exp", apply(g, "Neg", scaled))
    if nu == 0.5:
        return decay
    terms = [add(g, scaled, 1.0)] + ([div(g, mul(g, scaled, scaled), 3.0)] if nu == 2.5 else [])
    return mul(g, summed(g, terms), decay)


@landmarks_of("sklearn", "GaussianProcessRegressor")
def process_landmarks(model: Any, landmarks: Landmarks) -> None:
    landmarks.add_rows(dense(model.X_train_))


@predictor("sklearn", "EllipticEnvelope", numbers=True)
def envelope(model: Any, x: Value, g: Graph) -> Outputs:
    off = sub(g, x, model.location_)
    turned = mul(g, matmul(g, off, model.get_precision()), off)
    distance = g.op("ReduceSum", turned, g.const([1], np.int64), keepdims=0)
    scores = sub(g, apply(g, "Neg", distance), model.offset_)
    return {"prediction": inliers(g, scores), "scores": scores}
