"""Transformers that multiply by a matrix, and the networks that do it more than once."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import above, add, affine, apply, column, dense, div, matmul, mul, pair, sub
from salver.lower.converters import Outputs, predictor, transformer
from salver.lower.estimators.heads import softmax
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of


@transformer("sklearn", "PCA", "IncrementalPCA", numbers=True)
def principal(model: Any, x: Value, g: Graph) -> Value:
    axes = dense(model.components_).T
    made = sub(g, matmul(g, x, axes), np.ravel(model.mean_ @ axes)) if model.mean_ is not None else matmul(g, x, axes)
    if not model.whiten:
        return made
    scale = np.sqrt(model.explained_variance_)
    return div(g, made, np.maximum(scale, np.finfo(np.float64).eps))


@transformer("sklearn", "TruncatedSVD", "GaussianRandomProjection", "SparseRandomProjection", numbers=True)
@transformer("sklearn", "NeighborhoodComponentsAnalysis", numbers=True)
def projection(model: Any, x: Value, g: Graph) -> Value:
    return matmul(g, x, dense(model.components_).T)


@transformer("sklearn", "FastICA", numbers=True)
def independent(model: Any, x: Value, g: Graph) -> Value:
    x = sub(g, x, model.mean_) if model.whiten else x
    return matmul(g, x, model.components_.T)


@transformer("sklearn", "FactorAnalysis", numbers=True)
def factors(model: Any, x: Value, g: Graph) -> Value:
    axes = dense(model.components_)
    weighted = axes / model.noise_variance_
    covariance = np.linalg.inv(np.eye(len(axes)) + weighted @ axes.T)
    return matmul(g, matmul(g, sub(g, x, model.mean_), weighted.T), covariance)


@transformer("sklearn", "PLSRegression", "PLSCanonical", "CCA", "PLSSVD", numbers=True)
def partial_scores(model: Any, x: Value, g: Graph) -> Value:
    scaled = div(g, sub(g, x, model._x_mean), model._x_std)
    return matmul(g, scaled, model.x_weights_ if type(model).__name__ == "PLSSVD" else model.x_rotations_)


@predictor("sklearn", "PLSRegression", "PLSCanonical", "CCA", numbers=True)
def partial_regression(model: Any, x: Value, g: Graph) -> Outputs:
    made = affine(g, sub(g, x, model._x_mean), model.coef_.T, model.intercept_)
    return {"prediction": g.flat(made) if getattr(model, "_predict_1d", False) else made}


@landmarks_of("sklearn", "PCA", "IncrementalPCA", "FastICA", "FactorAnalysis")
def centred_landmarks(model: Any, landmarks: Landmarks) -> None:
    if getattr(model, "mean_", None) is not None:
        for i, mean in enumerate(model.mean_):
            landmarks.add(i, [mean - 1.0, mean, mean + 1.0])


@landmarks_of("sklearn", "PLSRegression", "PLSCanonical", "CCA")
def partial_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i, (mean, spread) in enumerate(zip(model._x_mean, model._x_std, strict=True)):
        landmarks.add(i, [mean - spread, mean, mean + spread])


@landmarks_of("sklearn", "NMF", "MiniBatchNMF", "LatentDirichletAllocation")
def positive_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i in range(len(landmarks.values)):
        landmarks.limit(i, 0.0, None)


@transformer("sklearn", "FeatureAgglomeration", numbers=True)
def agglomeration(model: Any, x: Value, g: Graph) -> Value:
    if model.pooling_func is not np.mean:
        raise LoweringError("FeatureAgglomeration pools by code of its own")
    groups = np.unique(model.labels_)
    table = (np.asarray(model.labels_)[:, None] == groups).astype(np.float64)
    return matmul(g, x, table / table.sum(axis=0))


@transformer("sklearn", "RBFSampler", numbers=True)
def random_fourier(model: Any, x: Value, g: Graph) -> Value:
    waves = apply(g, "Cos", affine(g, x, model.random_weights_, model.random_offset_))
    return mul(g, waves, np.sqrt(2.0 / model.n_components))


_ACTIVATIONS = {"logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


def _forward(model: Any, x: Value, g: Graph) -> Value:
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    for k, (weights, biases) in enumerate(layers):
        x = add(g, matmul(g, x, weights), np.asarray(biases, dtype=np.float64))
        kind = model.activation if k < len(layers) - 1 else model.out_activation_
        if kind in _ACTIVATIONS:
            x = apply(g, _ACTIVATIONS[kind], x)
        elif kind == "softmax":
            x = softmax(g, x)
        elif kind != "identity":
            raise LoweringError(f"activation {kind!r}")
    return x


@predictor("sklearn", "MLPRegressor", numbers=True)
def perceptron_regressor(model: Any, x: Value, g: Graph) -> Outputs:
    made = _forward(model, x, g)
    return {"prediction": g.flat(made) if made.width == 1 else made}


@predictor("sklearn", "MLPClassifier", numbers=True)
def perceptron_classifier(model: Any, x: Value, g: Graph) -> Outputs:
    made = _forward(model, x, g)
    if model.out_activation_ == "softmax":
        return {"prediction": g.op("ArgMax", made, axis=1, keepdims=0), "probabilities": made}
    if made.width == 1:
        return {"prediction": g.flat(above(g, made, 0.5)), "probabilities": pair(g, column(g, made))}
    return {"prediction": above(g, made, 0.5), "probabilities": made}
