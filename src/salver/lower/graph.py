"""Writes ONNX graphs in double precision, one operator at a time. Knows nothing of estimators.

A lowered tabular model has one input, `X` (rows, columns) float64, in the signature's order: a category is its code in the
column's `categories`, `UNSEEN` (-1) when it is not among them, and NaN when it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from salver.errors import LoweringError
from salver.types.signature import Label

OPSET = 18
ML_OPSET = 5  # the first with TreeEnsemble, which takes doubles
IR_VERSION = 10


class Value:
    """A tensor inside a graph.

    `width` is its number of columns when it is a (rows, width) matrix. `categories` tells, for each column that still holds
    category codes as the signature coded them, which categories those are.
    """

    def __init__(self, name: str, width: int = 0, categories: Sequence[tuple[Label, ...] | None] | None = None) -> None:
        self.name = name
        self.width = width
        self.categories: list[tuple[Label, ...] | None] = list(categories) if categories else [None] * width

    def __repr__(self) -> str:
        return f"<Value {self.name} width={self.width}>"


Step = tuple[Value, list[Value]]


class Graph:
    """Collects nodes and constants; `model` closes it."""

    def __init__(self, categories: Sequence[tuple[Label, ...] | None]) -> None:
        self.x = Value("X", len(categories), categories)
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._tensors: list[Any] = []
        self._count = 0

    def const(self, array: ArrayLike, dtype: Any = None) -> Value:
        """A constant. Numbers are float64 unless the array or `dtype` says otherwise; equal constants are stored once."""
        from onnx import numpy_helper

        made: NDArray[Any] = np.ascontiguousarray(np.asarray(array, dtype=dtype)).reshape(np.shape(array))
        key = (made.dtype.str, made.shape, made.tobytes())
        if key not in self._constants:
            value = Value(self._fresh("c"), made.shape[-1] if made.ndim == 2 else 0)
            self._tensors.append(numpy_helper.from_array(made, value.name))
            self._constants[key] = value
        return self._constants[key]

    def op(self, kind: str, *inputs: Value | None, width: int = 0, domain: str = "", **attributes: Any) -> Value:
        """One operator with one output. `None` leaves an optional input out."""
        return self.ops(kind, *inputs, outputs=1, width=width, domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: Value | None, outputs: int, width: int = 0, domain: str = "", **attributes: Any
    ) -> list[Value]:
        """One operator with several outputs."""
        from onnx import helper

        made = [Value(self._fresh("v"), width) for _ in range(outputs)]
        names = [value.name if value is not None else "" for value in inputs]
        self._nodes.append(helper.make_node(kind, names, [value.name for value in made], domain=domain, **attributes))
        return made

    def loop(self, most: int, going: Value, state: list[Value], body: Callable[[list[Value]], Step]) -> list[Value]:
        """Repeat `body`, from a state of float64 values to whether to go on and the next state, while `going`."""
        from onnx import helper

        outer, self._nodes = self._nodes, []
        given = [Value(self._fresh("v")) for _ in state]
        more, following = body(given)
        nodes, self._nodes = self._nodes, outer
        turn, gone = (helper.make_tensor_value_info(self._fresh("v"), kind, []) for kind in (7, 9))  # INT64, BOOL
        shapeless = [helper.make_tensor_value_info(value.name, 11, None) for value in (*given, *following)]
        inputs = [turn, gone, *shapeless[: len(given)]]
        outputs = [helper.make_tensor_value_info(more.name, 9, []), *shapeless[len(given) :]]
        repeated = helper.make_graph(nodes, self._fresh("loop"), inputs, outputs)
        return self.ops("Loop", self.const(most, np.int64), going, *state, outputs=len(state), body=repeated)

    def cast(self, value: Value, dtype: Any) -> Value:
        """To another element type (a numpy dtype). Codes of categories stay what they are."""
        from onnx import helper

        made = self.op("Cast", value, width=value.width, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
        made.categories = list(value.categories)
        return made

    def columns(self, value: Value, indices: Sequence[int]) -> Value:
        """Those columns of a (rows, width) matrix, in that order."""
        indices = list(indices)
        if indices == list(range(value.width)):
            return value
        made = self.op("Gather", value, self.const(indices, np.int64), width=len(indices), axis=1)
        made.categories = [value.categories[i] for i in indices]
        return made

    def concat(self, values: Sequence[Value]) -> Value:
        """Matrices side by side."""
        if len(values) == 1:
            return values[0]
        made = self.op("Concat", *values, width=sum(value.width for value in values), axis=1)
        made.categories = [categories for value in values for categories in value.categories]
        return made

    def numbers(self, value: Value) -> Value:
        """Columns that hold codes of numbers as those numbers. Raises LoweringError for codes of text."""
        if all(categories is None for categories in value.categories):
            return value
        return self.concat([self._number(self.columns(value, [i]), c) for i, c in enumerate(value.categories)])

    def _number(self, code: Value, categories: tuple[Label, ...] | None) -> Value:
        if categories is None:
            return code
        if any(isinstance(category, str) for category in categories):
            raise LoweringError("text is used as if it were a number")
        # A missing one, and by ONNX's rule for negative indices one never seen (-1), is the NaN at the end.
        table = self.const(np.array([*categories, np.nan], dtype=np.float64))
        missing = self.const(np.float64(len(categories)))
        index = self.cast(self.op("Where", self.op("IsNaN", code), missing, code), np.int64)
        return self.op("Gather", table, index, width=1)

    def flat(self, value: Value) -> Value:
        """(rows, 1) → (rows,)."""
        return self.op("Reshape", value, self.const([-1], np.int64))

    def model(self, outputs: dict[str, Value]) -> bytes:
        """The finished graph, with `outputs` by name; label outputs must be int64 already, numbers float64 (or float32)."""
        from onnx import helper

        nodes = [*self._nodes, *(helper.make_node("Identity", [v.name], [name]) for name, v in outputs.items())]
        rows = [helper.make_tensor_value_info("X", 11, [None, self.x.width])]  # 11 is DOUBLE
        given = [helper.make_empty_tensor_value_info(name) for name in outputs]
        made = helper.make_graph(nodes, "salver", rows, given, self._tensors)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()

    def _fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"
