"""Makes bias.json by quantizing small models with the real onnxruntime.

    python3 -m venv peers && peers/bin/pip install numpy onnx onnxruntime
    peers/bin/python tests/golden/bias.py

No test needs this: `cargo test` reads the committed file. Floats are stored as the integers that their
bits are. What is recorded is what stands in the quantized model: codes and scales of weights and bias, and
the scale of the input.
"""

import importlib.metadata
import json
import logging
import pathlib
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

logging.disable(logging.CRITICAL)
HERE = pathlib.Path(__file__).parent


class Batches(CalibrationDataReader):
    def __init__(self, batches):
        self.batches = iter([{"x": batch} for batch in batches])

    def get_next(self):
        return next(self.batches, None)


def model(kind, weights, bias, shape):
    if kind == "conv":
        node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=shape[1] // weights.shape[1])
    else:
        node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def bits(values):
    return [int(x) for x in np.asarray(values, np.float32).reshape(-1).view(np.uint32)]


cases = []
random = np.random.default_rng(5)
for kind, w_shape, x_shape in [
    ("gemm", (6, 8), (3, 8)),
    ("conv", (4, 3, 3, 3), (1, 3, 5, 5)),
    ("conv", (4, 1, 2), (1, 2, 6)),  # two groups
]:
    for per_channel in [False, True]:
        for activations in [QuantType.QUInt8, QuantType.QInt8]:
            # 1, a pruned channel, and weights so small that onnxruntime enlarges their scale for the bias.
            for how in ["plain", "pruned", "small"]:
                weights = random.normal(size=w_shape).astype(np.float32)
                bias = (random.normal(size=w_shape[0]) * 3).astype(np.float32)
                if how == "pruned":
                    weights[1] = 0
                if how == "small":
                    weights[::2] *= np.float32(1e-10) if per_channel else np.float32(1)
                    weights *= np.float32(1) if per_channel else np.float32(1e-10)
                batches = [random.normal(size=x_shape).astype(np.float32) for _ in range(2)]
                with tempfile.TemporaryDirectory() as folder:
                    before, after = f"{folder}/a.onnx", f"{folder}/b.onnx"
                    onnx.save(model(kind, weights, bias, x_shape), before)
                    quantize_static(
                        before, after, Batches(batches), quant_format=QuantFormat.QDQ, per_channel=per_channel,
                        activation_type=activations, weight_type=QuantType.QInt8,
                    )
                    made = {t.name: numpy_helper.to_array(t) for t in onnx.load(after).graph.initializer}
                cases.append({
                    "kind": kind, "how": how, "shape": list(w_shape), "per_channel": per_channel,
                    "weights": bits(weights), "bias": bits(bias), "input_scale": bits(made["x_scale"])[0],
                    "weight_codes": [int(x) for x in made["w_quantized"].reshape(-1)],
                    "weight_scales": bits(made["w_scale"]),
                    "bias_codes": [int(x) for x in made["b_quantized"].reshape(-1)],
                    "bias_scales": bits(made["b_quantized_scale"]),
                })
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ["onnxruntime", "onnx"])
(HERE / "bias.json").write_text(f'{{"made_by":"tests/golden/bias.py with {versions}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases")
