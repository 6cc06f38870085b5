"""Probabilities of pairs → probabilities of classes, step by step as libsvm does it.

T.-F. Wu, C.-J. Lin and R. C. Weng, "Probability estimates for multi-class classification by pairwise coupling", JMLR 5 (2004),
second method; svm.cpp: sigmoid_predict and multiclass_probability. libsvm stops after a test, not at the solution, so the
same steps are taken and each row stops where libsvm would. Two classes are coupled like any other number.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from salver.lower.arithmetic import add, apply, div, matmul, mul, same_for_all, sub, where
from salver.lower.graph import Graph, Value

_LEAST = 1e-7  # libsvm's min_prob
_MOST_STEPS = 100


def coupled(g: Graph, decisions: Value, slopes: Any, offsets: Any, classes: int) -> Value:
    """Class probabilities (rows, classes) from the decisions of all pairs (rows, pairs), (0, 1), (0, 2), …"""
    first = _first_wins(g, add(g, mul(g, decisions, np.ravel(slopes)), np.ravel(offsets)))
    return _Coupling(g, first, classes).solved()


def _first_wins(g: Graph, exponents: Value) -> Value:
    """The probability that the first class of each pair wins. What is not a number becomes the least, as in libsvm."""
    e = apply(g, "Exp", apply(g, "Neg", apply(g, "Abs", exponents)))
    made = div(g, where(g, apply(g, "GreaterOrEqual", exponents, 0.0), e, 1.0), add(g, e, 1.0))
    made = where(g, apply(g, "Greater", made, _LEAST), made, _LEAST)
    return where(g, apply(g, "Less", made, 1 - _LEAST), made, 1 - _LEAST)


class _Coupling:
    """Minimizes p'Qp over probabilities p by turns, class after class.

    Here a vector is (rows, classes, 1), a number (rows, 1, 1). Qp and p change by the same formula, so they are one vector of
    twice the length, `both`; `changes[t]` is what is added to it, times a number, in the turn of class t.
    """

    def __init__(self, g: Graph, first: Value, classes: int) -> None:
        self._g = g
        self._classes = classes
        pairs = list(combinations(range(classes), 2))
        second = sub(g, 1.0, first)
        beaten = g.concat([first, second])
        losers = [j for _, j in pairs] + [i for i, _ in pairs]
        diagonal = matmul(g, mul(g, beaten, beaten), np.eye(classes)[losers])
        zero_one = same_for_all(g, first, [0.0, 1.0])
        parts = g.concat([diagonal, apply(g, "Neg", mul(g, first, second)), zero_one])
        place = {pair: classes + n for n, pair in enumerate(pairs)}
        q = [[i if i == j else place[min(i, j), max(i, j)] for j in range(classes)] for i in range(classes)]
        one = (parts.width - 2 + np.eye(classes, dtype=int)).tolist()
        self._start = same_for_all(g, first, np.full(classes, 1.0 / classes))
        self._q = self._shaped(g.columns(parts, np.ravel(q).tolist()), [-1, classes, classes])
        self._changes = self._each(g.columns(parts, np.ravel(np.hstack([q, one])).tolist()))
        self._curvatures = self._each(diagonal)

    def solved(self) -> Value:
        g, k = self._g, self._classes
        state = self._tested(self._shaped(self._start, [-1, k, 1]))
        both = g.loop(max(_MOST_STEPS, k), self._going(state[2]), state, self._round)[0]
        made = self._shaped(self._half(both, 1), [-1, k])
        made.width = k
        return made

    def _round(self, state: list[Value]) -> tuple[Value, list[Value]]:
        """One turn of each class, for the rows that have not arrived."""
        g = self._g
        both, pqp, error = state
        for t in range(self._classes):
            qp = g.op("Gather", both, g.const([t], np.int64), axis=1)
            step = div(g, sub(g, pqp, qp), self._curvatures[t])
            scale = add(g, step, 1.0)
            # What libsvm adds to p'Qp, with the step's definition put in.
            pqp = div(g, add(g, pqp, div(g, mul(g, step, qp), scale)), scale)
            both = div(g, add(g, both, mul(g, self._changes[t], step)), scale)
        moved = where(g, self._is_far(error), self._half(both, 1), self._half(state[0], 1))
        following = self._tested(moved)
        return self._going(following[2]), following

    def _tested(self, p: Value) -> list[Value]:
        """Qp and p, p'Qp, and how far the row is from the solution."""
        g = self._g
        axis = g.const([1], np.int64)
        qp = g.op("MatMul", self._q, p)
        pqp = g.op("ReduceSum", mul(g, p, qp), axis, keepdims=1)
        error = g.op("ReduceMax", apply(g, "Abs", sub(g, qp, pqp)), axis, keepdims=1)
        return [g.op("Concat", qp, p, axis=1), pqp, error]

    def _is_far(self, error: Value) -> Value:
        return apply(self._g, "GreaterOrEqual", error, 0.005 / self._classes)

    def _going(self, error: Value) -> Value:
        return self._is_far(self._g.op("ReduceMax", error, keepdims=0))

    def _half(self, both: Value, which: int) -> Value:
        k = self._classes
        start, stop = (self._g.const([end], np.int64) for end in (which * k, which * k + k))
        return self._g.op("Slice", both, start, stop, self._g.const([1], np.int64))

    def _each(self, flat: Value) -> list[Value]:
        """The vectors of all classes side by side, one by one."""
        return self._g.ops(
            "Split", self._shaped(flat, [-1, flat.width, 1]), outputs=self._classes, axis=1, num_outputs=self._classes
        )

    def _shaped(self, value: Value, shape: list[int]) -> Value:
        return self._g.op("Reshape", value, self._g.const(shape, np.int64))
