"""The inverse of the normal distribution function, which ONNX has no operator for.

Algorithm AS 241 (PPND16) of M. J. Wichura, "The percentage points of the normal distribution", Applied Statistics 37 (1988),
with a relative error of about 1e-16.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from salver.lower.arithmetic import add, apply, div, mul, sub, where
from salver.lower.graph import Graph, Value

_BOUND = 1e-7 - np.spacing(1)
"""Where scikit-learn's QuantileTransformer clips: BOUNDS_THRESHOLD less one spacing."""

_A = (
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
)  # fmt: skip
_B = (
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
)  # fmt: skip
_C = (
    1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
    1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
)  # fmt: skip
_D = (
    1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
)  # fmt: skip
_E = (
    6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
    2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
)  # fmt: skip
_F = (
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
)  # fmt: skip


def inverse_normal(g: Graph, p: Value) -> Value:
    """The quantile of each probability in [0, 1], clipped as QuantileTransformer clips it."""
    p = apply(g, "Min", apply(g, "Max", p, _BOUND), 1.0 - _BOUND)
    q = sub(g, p, 0.5)
    central = mul(g, q, _ratio(g, sub(g, 0.180625, mul(g, q, q)), _A, _B))
    tail = where(g, apply(g, "Less", q, 0.0), p, sub(g, 1.0, p))
    r = apply(g, "Sqrt", apply(g, "Neg", apply(g, "Log", tail)))
    near, far = _ratio(g, sub(g, r, 1.6), _C, _D), _ratio(g, sub(g, r, 5.0), _E, _F)
    outer = where(g, apply(g, "LessOrEqual", r, 5.0), near, far)
    signed = where(g, apply(g, "Less", q, 0.0), apply(g, "Neg", outer), outer)
    return where(g, apply(g, "LessOrEqual", apply(g, "Abs", q), 0.425), central, signed)


def _ratio(g: Graph, x: Value, above: Sequence[float], below: Sequence[float]) -> Value:
    return div(g, _polynomial(g, x, above), _polynomial(g, x, below))


def _polynomial(g: Graph, x: Value, coefficients: Sequence[float]) -> Value:
    """c0 + c1·x + c2·x² + …"""
    made = mul(g, x, coefficients[-1])
    for coefficient in reversed(coefficients[1:-1]):
        made = mul(g, add(g, made, coefficient), x)
    return add(g, made, coefficients[0])
