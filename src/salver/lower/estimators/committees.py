"""Estimators that ask several others and take a mean, a vote or a last opinion: voting, bagging, boosting, stacking."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import apply, column, div, first_largest, matmul, mul, one_hot, summed, total
from salver.lower.converters import Outputs, predict, predictor, transformer
from salver.lower.estimators.heads import chosen_by, labels, response, scaled, softmax
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, find_landmarks, landmarks_of


def _weights(model: Any) -> Any:
    """One weight an estimator that was not dropped, None when all are alike."""
    if model.weights is None:
        return None
    kept = [part != "drop" if isinstance(part, str) else True for _, part in model.estimators]
    return np.asarray([w for w, k in zip(model.weights, kept, strict=True) if k], dtype=np.float64)


def _mean(g: Graph, parts: list[Value], weights: Any) -> Value:
    """numpy's average of the parts."""
    if weights is None:
        return div(g, summed(g, parts), float(len(parts)))
    weighted = [mul(g, part, float(w)) for part, w in zip(parts, weights, strict=True)]
    return div(g, summed(g, weighted), float(np.sum(weights)))


@predictor("sklearn", "VotingClassifier")
def voting(model: Any, x: Value, g: Graph) -> Outputs:
    answers = [predict(part, x, g) for part in model.estimators_]
    weights = _weights(model)
    if model.voting == "soft":
        return chosen_by(g, _mean(g, [_probabilities(a) for a in answers], weights))
    classes = len(model.classes_)
    shares = [1.0] * len(answers) if weights is None else weights
    votes = [scaled(g, one_hot(g, a["prediction"], classes), float(w)) for a, w in zip(answers, shares, strict=True)]
    return {"prediction": first_largest(g, summed(g, votes))}


def _probabilities(outputs: Outputs) -> Value:
    if "probabilities" not in outputs:
        raise LoweringError("a part of it has no probabilities")
    return outputs["probabilities"]


@predictor("sklearn", "VotingRegressor")
def voting_numbers(model: Any, x: Value, g: Graph) -> Outputs:
    return {"prediction": _mean(g, [predict(part, x, g)["prediction"] for part in model.estimators_], _weights(model))}


@predictor("sklearn", "BaggingClassifier")
def bagging(model: Any, x: Value, g: Graph) -> Outputs:
    classes = int(model.n_classes_)
    parts: list[Value] = []
    for part, features in zip(model.estimators_, model.estimators_features_, strict=True):
        outputs = predict(part, g.columns(x, np.asarray(features).tolist()), g)
        # A part that met only some of the classes knows them by their numbers.
        known: list[int] = np.asarray(part.classes_, dtype=int).tolist()
        places = np.eye(classes)[known]
        made = _probabilities(outputs) if hasattr(part, "predict_proba") else None
        voted = one_hot(g, outputs["prediction"], len(part.classes_)) if made is None else made
        parts.append(voted if len(places) == classes else matmul(g, voted, places))
    return chosen_by(g, _mean(g, parts, None))


@predictor("sklearn", "BaggingRegressor")
def bagging_numbers(model: Any, x: Value, g: Graph) -> Outputs:
    parts = [
        predict(part, g.columns(x, np.asarray(features).tolist()), g)["prediction"]
        for part, features in zip(model.estimators_, model.estimators_features_, strict=True)
    ]
    return {"prediction": _mean(g, parts, None)}


@predictor("sklearn", "AdaBoostClassifier")
def boosted(model: Any, x: Value, g: Graph) -> Outputs:
    if getattr(model, "algorithm", "SAMME") == "SAMME.R":
        raise LoweringError("AdaBoostClassifier with the old algorithm SAMME.R")
    classes = int(model.n_classes_)
    if classes == 1:
        raise LoweringError("a classifier of one class")
    parts: list[Value] = []
    for part, weight in zip(model.estimators_, model.estimator_weights_, strict=False):
        places = np.searchsorted(model.classes_, part.classes_)
        table = np.full((len(places), classes), -weight / (classes - 1))
        table[np.arange(len(places)), places] = weight
        parts.append(g.op("Gather", g.const(table), predict(part, x, g)["prediction"], width=classes))
    scores = div(g, summed(g, parts), float(model.estimator_weights_.sum()))
    if classes > 2:
        probabilities = softmax(g, div(g, scores, float(classes - 1)))
        return {"prediction": first_largest(g, scores), "probabilities": probabilities, "scores": scores}
    both = mul(g, scores, np.array([-1.0, 1.0]))
    flat = g.flat(total(g, both))
    half = div(g, column(g, flat), 2.0)
    probabilities = softmax(g, g.concat([apply(g, "Neg", half), half]))
    return {"prediction": labels(g, flat), "probabilities": probabilities, "scores": flat}


@predictor("sklearn", "AdaBoostRegressor")
def boosted_numbers(model: Any, x: Value, g: Graph) -> Outputs:
    """The weighted median of the parts' answers."""
    count = len(model.estimators_)
    answers = g.concat([column(g, predict(part, x, g)["prediction"]) for part in model.estimators_])
    values, order = g.ops("TopK", answers, g.const([count], np.int64), outputs=2, width=count, axis=1, largest=0, sorted=1)
    weights = g.op("Gather", g.const(np.asarray(model.estimator_weights_[:count])), order, width=count)
    reached = g.op("CumSum", weights, g.const(1, np.int64), width=count)
    half = mul(g, g.columns(reached, [count - 1]), 0.5)
    enough = g.cast(apply(g, "GreaterOrEqual", reached, half), np.int32)
    place = g.op("ArgMax", enough, axis=1, keepdims=1, width=1)
    return {"prediction": g.flat(g.op("GatherElements", values, place, axis=1, width=1))}


@predictor("sklearn", "StackingClassifier", "StackingRegressor")
def stacking(model: Any, x: Value, g: Graph) -> Outputs:
    return predict(model.final_estimator_, stacked(model, x, g), g)


@transformer("sklearn", "StackingClassifier", "StackingRegressor")
def stacked(model: Any, x: Value, g: Graph) -> Value:
    """What the last estimator is given: the answers of the others side by side."""
    methods = [m for m in model.stack_method_ if m is not None]
    binary = np.ndim(getattr(model, "classes_", [])) == 1 and np.size(getattr(model, "classes_", ())) == 2
    parts: list[Value] = []
    for part, method in zip(model.estimators_, methods, strict=True):
        made, _ = response(part, predict(part, x, g), [method], g)
        made = column(g, made)
        parts.append(g.columns(made, [1]) if method == "predict_proba" and binary else made)
    if model.passthrough:
        parts.append(g.numbers(x))
    return g.concat(parts)


@predictor("sklearn", "TransformedTargetRegressor")
def transformed_target(model: Any, x: Value, g: Graph) -> Outputs:
    from salver.lower.estimators.scalers import inverse

    answer = predict(model.regressor_, x, g)["prediction"]
    made = inverse(model.transformer_, column(g, answer), g)
    return {"prediction": g.flat(made) if model._training_dim == 1 and made.width == 1 else made}


@landmarks_of("sklearn", "VotingClassifier", "VotingRegressor", "AdaBoostClassifier", "AdaBoostRegressor")
@landmarks_of("sklearn", "StackingClassifier", "StackingRegressor")
def member_landmarks(model: Any, landmarks: Landmarks) -> None:
    for part in model.estimators_:
        find_landmarks(part, landmarks)


@landmarks_of("sklearn", "BaggingClassifier", "BaggingRegressor")
def bagging_landmarks(model: Any, landmarks: Landmarks) -> None:
    for part, features in zip(model.estimators_, model.estimators_features_, strict=True):
        found = Landmarks(len(features))
        find_landmarks(part, found)
        landmarks.stepwise |= found.stepwise
        for i, k in enumerate(np.asarray(features).tolist()):
            landmarks.add(k, found.values[i])
        if len(features) == len(landmarks.values):
            landmarks.rows.extend(found.rows)


@landmarks_of("sklearn", "TransformedTargetRegressor")
def target_landmarks(model: Any, landmarks: Landmarks) -> None:
    find_landmarks(model.regressor_, landmarks)
