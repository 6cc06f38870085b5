"""Estimators that make one question of several: one against the rest, pair by pair, output by output, link by link.

And those that only choose or calibrate what another estimator answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import (
    above,
    add,
    apply,
    column,
    div,
    first_largest,
    interpolate,
    mul,
    nearest,
    number,
    pair,
    same_for_all,
    total,
    where,
)
from salver.lower.converters import Outputs, predict, predictor, transform, transformer
from salver.lower.estimators.heads import binary_response, chosen_by, class_numbers, response, softmax
from salver.lower.estimators.kernels import one_against_rest
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, find_landmarks, landmarks_of


def _asked(part: Any, x: Value, g: Graph) -> Outputs:
    """A binary estimator's outputs; scikit-learn puts a constant in place of one that had but one class to learn."""
    if type(part).__name__ != "_ConstantPredictor":
        return predict(part, x, g)
    constant = float(np.ravel(part.y_)[0])
    made = same_for_all(g, x, [constant])
    return {"prediction": g.cast(g.flat(made), np.int64), "scores": g.flat(made), "probabilities": pair(g, made)}


def _threshold(part: Any) -> float:
    return 0.0 if hasattr(part, "decision_function") and hasattr(part, "classes_") else 0.5


@predictor("sklearn", "OneVsRestClassifier")
def one_vs_rest(model: Any, x: Value, g: Graph) -> Outputs:
    answers = [_asked(part, x, g) for part in model.estimators_]
    scores = g.concat([binary_response(p, a, g) for p, a in zip(model.estimators_, answers, strict=True)])
    made: Outputs = {}
    if model.label_binarizer_.y_type_ == "multiclass":
        made["prediction"] = first_largest(g, scores)
    else:
        positive = above(g, scores, _threshold(model.estimators_[0]))
        made["prediction"] = positive if model.multilabel_ else g.flat(positive)
    if hasattr(model, "decision_function"):
        made["scores"] = g.flat(scores) if scores.width == 1 else scores
    if hasattr(model, "predict_proba") and all("probabilities" in answer for answer in answers):
        positive = g.concat([g.columns(answer["probabilities"], [1]) for answer in answers])
        positive = pair(g, positive) if positive.width == 1 else positive
        made["probabilities"] = positive if model.multilabel_ else _normed(g, positive)
    return made


def _normed(g: Graph, positive: Value) -> Value:
    sums = total(g, positive)
    return div(g, positive, where(g, apply(g, "Equal", sums, 0.0), 1.0, sums))


@predictor("sklearn", "OneVsOneClassifier")
def one_vs_one(model: Any, x: Value, g: Graph) -> Outputs:
    if model.pairwise_indices_ is not None:
        raise LoweringError("OneVsOneClassifier over a precomputed kernel")
    answers = [_asked(part, x, g) for part in model.estimators_]
    wins = g.concat([column(g, number(g, answer["prediction"])) for answer in answers])
    confidences = g.concat([binary_response(p, a, g) for p, a in zip(model.estimators_, answers, strict=True)])
    scores = one_against_rest(g, wins, confidences, len(model.classes_))
    if len(model.classes_) > 2:
        return {"prediction": first_largest(g, scores), "scores": scores}
    flat = g.flat(g.columns(scores, [1]))
    return {"prediction": above(g, flat, _threshold(model.estimators_[0])), "scores": flat}


@predictor("sklearn", "OutputCodeClassifier")
def output_code(model: Any, x: Value, g: Graph) -> Outputs:
    answers = g.concat([binary_response(part, _asked(part, x, g), g) for part in model.estimators_])
    return {"prediction": nearest(g, answers, model.code_book_)}


@predictor("sklearn", "MultiOutputClassifier", "MultiOutputRegressor")
def many_outputs(model: Any, x: Value, g: Graph) -> Outputs:
    return {"prediction": g.concat([column(g, predict(part, x, g)["prediction"]) for part in model.estimators_])}


@predictor("sklearn", "ClassifierChain", "RegressorChain")
def chain(model: Any, x: Value, g: Graph) -> Outputs:
    """Each link is given the input and what the links before it answered."""
    x = g.numbers(x)
    methods = getattr(model, "chain_method_", "predict")
    answers: list[Value] = []
    for part in model.estimators_:
        outputs = predict(part, x, g)
        answers.append(column(g, outputs["prediction"]))
        told = class_numbers(part, outputs, g) if methods == "predict" else binary_response_of(part, outputs, methods, g)
        x = g.concat([x, column(g, told)])
    inverse = np.argsort(np.asarray(model.order_))
    return {"prediction": g.concat([answers[int(k)] for k in inverse])}


def binary_response_of(part: Any, outputs: Outputs, method: str, g: Graph) -> Value:
    made, _ = response(part, outputs, [method], g)
    return g.columns(made, [1]) if method == "predict_proba" and made.width == 2 else made


@predictor("sklearn", "CalibratedClassifierCV")
def calibrated(model: Any, x: Value, g: Graph) -> Outputs:
    parts = [_calibrated(part, x, g) for part in model.calibrated_classifiers_]
    mean = parts[0]
    for part in parts[1:]:
        mean = add(g, mean, part)
    return chosen_by(g, div(g, mean, float(len(parts))))


def _calibrated(model: Any, x: Value, g: Graph) -> Value:
    inner = model.estimator
    scores, method = response(inner, predict(inner, x, g), ["decision_function", "predict_proba"], g)
    classes = len(model.classes)
    scores = column(g, scores)
    if classes == 2 and method == "predict_proba":
        scores = g.columns(scores, [1])
    if model.method == "temperature":
        return _tempered(model, scores, method, g)
    made: list[Value | None] = [None] * classes
    known: list[Any] = np.asarray(model.classes).tolist()
    places = [known.index(label) for label in np.asarray(inner.classes_).tolist()]
    for k, (place, calibrator) in enumerate(zip(places, model.calibrators, strict=False)):
        made[place + (classes == 2)] = _through(calibrator, g.columns(scores, [k]), g)
    if classes == 2:
        positive = made[1]
        assert positive is not None
        return pair(g, positive)
    zero = same_for_all(g, scores, [0.0])
    joined = g.concat([zero if part is None else part for part in made])
    sums = total(g, joined)
    empty = apply(g, "Equal", sums, 0.0)
    return where(g, empty, np.full(classes, 1.0 / classes), div(g, joined, where(g, empty, 1.0, sums)))


def _through(calibrator: Any, score: Value, g: Graph) -> Value:
    if type(calibrator).__name__ == "IsotonicRegression":
        return interpolate(g, score, calibrator.X_thresholds_, calibrator.y_thresholds_)
    if type(calibrator).__name__ != "_SigmoidCalibration":
        raise LoweringError(f"calibration by {type(calibrator).__name__}")
    raw = add(g, mul(g, score, float(calibrator.a_)), float(calibrator.b_))
    return apply(g, "Sigmoid", apply(g, "Neg", raw))


def _tempered(model: Any, scores: Value, method: str, g: Graph) -> Value:
    beta = float(model.calibrators[0].beta_)
    if method == "predict_proba":
        raise LoweringError("temperature scaling of probabilities")
    if scores.width == 1:
        scores = g.concat([apply(g, "Neg", scores), scores])
    return softmax(g, mul(g, scores, beta))


@predictor("sklearn", "FixedThresholdClassifier", "TunedThresholdClassifierCV")
def thresholded(model: Any, x: Value, g: Graph) -> Outputs:
    """A threshold of its own for the positive class; probabilities stay those of the estimator inside."""
    inner = model.estimator_ if hasattr(model, "estimator_") else model.estimator
    outputs = predict(inner, x, g)
    methods = ["predict_proba", "decision_function"] if model.response_method == "auto" else [model.response_method]
    scores, method = response(inner, outputs, methods, g)
    if type(model).__name__ == "TunedThresholdClassifierCV":
        threshold, label = model.best_threshold_, model._curve_scorer._get_pos_label()
    else:
        threshold, label = model.threshold, model.pos_label
        threshold = (0.5 if method == "predict_proba" else 0.0) if threshold == "auto" else threshold
    place = 1 if label is None else int(np.flatnonzero(np.asarray(model.classes_) == label)[0])
    if scores.width:
        scores = g.flat(g.columns(scores, [place]))
    elif place == 0:
        scores = apply(g, "Neg", scores)
    reached = g.cast(apply(g, "GreaterOrEqual", scores, float(threshold)), np.int64)
    label_index = reached if place == 1 else g.op("Sub", g.const(1, np.int64), reached)
    return {**outputs, "prediction": label_index}


@predictor("sklearn", "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV")
def searched(model: Any, x: Value, g: Graph) -> Outputs:
    return predict(model.best_estimator_, x, g)


@transformer("sklearn", "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV")
def searched_transformer(model: Any, x: Value, g: Graph) -> Value:
    return transform(model.best_estimator_, x, g)


@predictor("sklearn", "FrozenEstimator")
def frozen(model: Any, x: Value, g: Graph) -> Outputs:
    return predict(model.estimator, x, g)


@transformer("sklearn", "FrozenEstimator")
def frozen_transformer(model: Any, x: Value, g: Graph) -> Value:
    return transform(model.estimator, x, g)


@predictor("sklearn", "SelfTrainingClassifier")
def self_trained(model: Any, x: Value, g: Graph) -> Outputs:
    return predict(model.estimator_, x, g)


@landmarks_of("sklearn", "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV")
@landmarks_of("sklearn", "FrozenEstimator", "SelfTrainingClassifier", "RANSACRegressor", "FixedThresholdClassifier")
@landmarks_of("sklearn", "TunedThresholdClassifierCV")
def inner_landmarks(model: Any, landmarks: Landmarks) -> None:
    for name in ("best_estimator_", "estimator_", "estimator"):
        if hasattr(model, name):
            find_landmarks(getattr(model, name), landmarks)
            return


@landmarks_of("sklearn", "OneVsRestClassifier", "OneVsOneClassifier", "OutputCodeClassifier")
@landmarks_of("sklearn", "MultiOutputClassifier", "MultiOutputRegressor")
def part_landmarks(model: Any, landmarks: Landmarks) -> None:
    for part in model.estimators_:
        find_landmarks(part, landmarks)


@landmarks_of("sklearn", "ClassifierChain", "RegressorChain")
def chain_landmarks(model: Any, landmarks: Landmarks) -> None:
    width = len(landmarks.values)
    for k, part in enumerate(model.estimators_):
        found = Landmarks(width + k)
        find_landmarks(part, found)
        landmarks.stepwise |= found.stepwise
        for i in range(width):
            landmarks.add(i, found.values[i])


@landmarks_of("sklearn", "CalibratedClassifierCV")
def calibrated_landmarks(model: Any, landmarks: Landmarks) -> None:
    for part in model.calibrated_classifiers_:
        find_landmarks(part.estimator, landmarks)
