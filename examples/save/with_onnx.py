"""ONNX: a graph that somebody else made, as it is."""

import json

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, save

import salver

draw = np.random.default_rng(0)
weights = numpy_helper.from_array(draw.normal(size=(3, 2)).astype(np.float32), "weights")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "weights"], ["scores"]), helper.make_node("Softmax", ["scores"], ["chances"], axis=1)],
    "two",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
    [helper.make_tensor_value_info("chances", TensorProto.FLOAT, ["rows", 2])],
    [weights],
)
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "two.onnx")

salver.save("two.onnx", "two-onnx")

rows = draw.normal(size=(20, 3)).astype(np.float32)
chances = onnxruntime.InferenceSession("two.onnx").run(None, {"x": rows})[0]
print(json.dumps({"rows": rows.tolist(), "predictions": chances.tolist()}))
