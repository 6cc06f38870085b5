"""Naive Bayes and discriminant analysis: classifiers that compare joint log-likelihoods, one a class."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.lower.arithmetic import add, affine, apply, dense, div, matmul, mul, number, sub, total
from salver.lower.converters import Outputs, predictor, transformer
from salver.lower.estimators.heads import labels, logistic, normal_likelihoods, softmax
from salver.lower.estimators.linear import raw
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of


@predictor("sklearn", "GaussianNB", numbers=True)
def gaussian(model: Any, x: Value, g: Graph) -> Outputs:
    parts: list[Value] = []
    for mean, variance, prior in zip(model.theta_, model.var_, model.class_prior_, strict=True):
        off = sub(g, x, mean)
        distance = total(g, div(g, mul(g, off, off), variance))
        constant = -0.5 * np.sum(np.log(2.0 * np.pi * variance))
        with np.errstate(divide="ignore"):
            parts.append(add(g, sub(g, constant, mul(g, distance, 0.5)), np.log(prior)))
    return normal_likelihoods(g, g.concat(parts))


@landmarks_of("sklearn", "GaussianNB")
def gaussian_landmarks(model: Any, landmarks: Landmarks) -> None:
    landmarks.add_rows(model.theta_)
    for i in range(model.theta_.shape[1]):
        spread = 2.0 * np.sqrt(model.var_[:, i])
        landmarks.add(i, np.concatenate([model.theta_[:, i] - spread, model.theta_[:, i] + spread]))


@predictor("sklearn", "MultinomialNB", numbers=True)
def multinomial(model: Any, x: Value, g: Graph) -> Outputs:
    return normal_likelihoods(g, affine(g, x, model.feature_log_prob_.T, model.class_log_prior_))


@predictor("sklearn", "ComplementNB", numbers=True)
def complement(model: Any, x: Value, g: Graph) -> Outputs:
    return normal_likelihoods(g, matmul(g, x, model.feature_log_prob_.T))


@predictor("sklearn", "BernoulliNB", numbers=True)
def bernoulli(model: Any, x: Value, g: Graph) -> Outputs:
    if model.binarize is not None:
        x = number(g, apply(g, "Greater", x, model.binarize))
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    scores = affine(g, x, (model.feature_log_prob_ - absent).T, model.class_log_prior_ + absent.sum(axis=1))
    return normal_likelihoods(g, scores)


@landmarks_of("sklearn", "BernoulliNB")
def bernoulli_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i in range(len(landmarks.values)):
        landmarks.add(i, [0.0, 1.0] if model.binarize is None else [model.binarize - 1, model.binarize, model.binarize + 1])


@landmarks_of("sklearn", "MultinomialNB", "ComplementNB")
def counts_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i in range(len(landmarks.values)):
        landmarks.add(i, np.arange(6))
        landmarks.limit(i, 0.0, None)


@predictor("sklearn", "CategoricalNB", numbers=True)
def categorical(model: Any, x: Value, g: Graph) -> Outputs:
    """A table of log-probabilities a column. The columns hold the categories' numbers."""
    scores: Value | None = None
    for i, table in enumerate(model.feature_log_prob_):
        index = g.flat(g.cast(g.columns(x, [i]), np.int64))
        part = g.op("Gather", g.const(np.asarray(table, dtype=np.float64).T), index, width=len(table))
        scores = part if scores is None else add(g, scores, part)
    assert scores is not None
    return normal_likelihoods(g, add(g, scores, model.class_log_prior_))


@predictor("sklearn", "LinearDiscriminantAnalysis", numbers=True)
def linear_discriminant(model: Any, x: Value, g: Graph) -> Outputs:
    scores = raw(model, x, g)
    probabilities = softmax(g, scores) if scores.width else logistic(g, scores)
    return {"prediction": labels(g, scores), "probabilities": probabilities, "scores": scores}


@transformer("sklearn", "LinearDiscriminantAnalysis", numbers=True)
def discriminant_axes(model: Any, x: Value, g: Graph) -> Value:
    x = sub(g, x, model.xbar_) if model.solver == "svd" else x
    return matmul(g, x, model.scalings_[:, : model._max_components])


@predictor("sklearn", "QuadraticDiscriminantAnalysis", numbers=True)
def quadratic_discriminant(model: Any, x: Value, g: Graph) -> Outputs:
    parts: list[Value] = []
    for rotation, scaling, mean in zip(model.rotations_, model.scalings_, model.means_, strict=True):
        turned = matmul(g, sub(g, x, mean), dense(rotation) * (scaling**-0.5))
        parts.append(total(g, mul(g, turned, turned)))
    sizes = np.array([np.sum(np.log(scaling)) for scaling in model.scalings_])
    scores = add(g, mul(g, add(g, g.concat(parts), sizes), -0.5), np.log(model.priors_))
    made = normal_likelihoods(g, scores)
    made["scores"] = scores
    if scores.width == 2:
        made["scores"] = g.flat(sub(g, g.columns(scores, [1]), g.columns(scores, [0])))
    return made


@landmarks_of("sklearn", "QuadraticDiscriminantAnalysis", "LinearDiscriminantAnalysis")
def discriminant_landmarks(model: Any, landmarks: Landmarks) -> None:
    landmarks.add_rows(model.means_)
    for i in range(model.means_.shape[1]):
        landmarks.add(i, np.outer(model.means_[:, i], [0.5, 1.0, 1.5]))
