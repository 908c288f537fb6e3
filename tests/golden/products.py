"""Makes products.json by multiplying with the real onnxruntime: MatMulInteger, ConvInteger and MatMulNBits.

    python3 -m venv peers && peers/bin/pip install numpy onnx onnxruntime
    peers/bin/python tests/golden/products.py

No test needs this: `cargo test` reads the committed file. Floats are stored as the integers that their bits are. The
products of integers are compared here with those of 64-bit integers: on machines without VNNI onnxruntime may saturate, and
then this stops.
"""

import importlib.metadata
import json
import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(6)
TYPES = {np.dtype("uint8"): TensorProto.UINT8, np.dtype("int8"): TensorProto.INT8, np.dtype("float32"): TensorProto.FLOAT}


def run(operator, inputs, output, domain="", **attributes):
    names = list(inputs)
    node = helper.make_node(operator, names, ["y"], domain=domain, **attributes)
    infos = [helper.make_tensor_value_info(name, TYPES[inputs[name].dtype], inputs[name].shape) for name in names]
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", output, None)])
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def flat(values):
    return [int(x) for x in np.asarray(values).reshape(-1)]


def bits(values):
    return flat(np.ascontiguousarray(values, np.float32).view(np.uint32))


def codes(shape, low, high):
    """Random codes, of which a third are at the ends."""
    values = random.integers(low, high, shape, endpoint=True)
    ends = random.integers(0, 6, shape)
    return np.where(ends == 0, low, np.where(ends == 1, high, values))


cases = []
for rows, inputs, outputs in [(1, 1, 1), (3, 37, 5), (4, 64, 33), (2, 130, 16)]:
    for zero in [0, 128, 255]:
        for with_zeros in [False, True]:
            a = codes((rows, inputs), 0, 255).astype(np.uint8)
            b = codes((inputs, outputs), -128, 127).astype(np.int8)
            zeros = codes(outputs, -128, 127).astype(np.int8) if with_zeros else np.zeros(outputs, np.int8)
            y = run("MatMulInteger", {"a": a, "b": b, "az": np.array(zero, np.uint8), "bz": zeros}, TensorProto.INT32)
            assert (y == (a.astype(np.int64) - zero) @ (b.astype(np.int64) - zeros)).all(), "onnxruntime saturated"
            cases.append({"kind": "matmul", "shape": [rows, inputs, outputs], "zero": zero, "activations": flat(a),
                          "weights": flat(b.T), "zeros": flat(zeros) if with_zeros else [], "products": flat(y)})

for images, weights, pads, strides, dilations in [
    ((1, 3, 6, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1)),
    ((2, 2, 7, 8), (3, 2, 2, 3), (0, 2), (2, 1), (1, 2)),
    ((1, 5, 4, 4), (17, 5, 1, 1), (0, 0), (1, 1), (1, 1)),
]:
    for zero in [0, 77]:
        x = codes(images, 0, 255).astype(np.uint8)
        w = codes(weights, -127, 127).astype(np.int8)
        y = run("ConvInteger", {"x": x, "w": w, "xz": np.array(zero, np.uint8)}, TensorProto.INT32,
                pads=[*pads, *pads], strides=strides, dilations=dilations)
        cases.append({"kind": "conv", "images": list(images), "shape": list(weights), "padding": pads, "stride": strides,
                      "dilation": dilations, "zero": zero, "activations": flat(x), "weights": flat(w),
                      "out": list(y.shape), "products": flat(y)})

for rows, inputs, outputs, block in [(2, 64, 5, 32), (3, 256, 17, 128), (1, 96, 4, 32)]:
    for with_zeros in [False, True]:
        x = random.standard_normal((rows, inputs)).astype(np.float32)
        blocks = inputs // block
        q = codes((outputs, blocks, block), 0, 15).astype(np.uint8)
        scales = (random.random((outputs, blocks)) * 0.1 + 0.01).astype(np.float32)
        # Two in a byte; a row of them begins a byte.
        zeros = codes((outputs, blocks), 0, 15).astype(np.uint8) if with_zeros else np.full((outputs, blocks), 8, np.uint8)
        padded = np.pad(zeros, ((0, 0), (0, blocks % 2)))
        inputs_of = {"x": x, "b": q[..., ::2] | q[..., 1::2] << 4, "s": scales.reshape(-1),
                     "z": (padded[:, ::2] | padded[:, 1::2] << 4).reshape(-1)}
        if not with_zeros:
            del inputs_of["z"]
        y = run("MatMulNBits", inputs_of, TensorProto.FLOAT, "com.microsoft", K=inputs, N=outputs, bits=4, block_size=block,
                accuracy_level=0)
        cases.append({"kind": "bits", "shape": [rows, inputs, outputs], "block": block, "activations": bits(x),
                      "weights": flat(q), "scales": bits(scales), "zeros": flat(zeros), "result": bits(y)})

made_by = "tests/golden/products.py with " + ", ".join(
    f"{name} {importlib.metadata.version(name)}" for name in ["onnxruntime", "onnx"]
)
lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
(HERE / "products.json").write_text(f'{{"made_by":"{made_by}","cases":[\n{lines}\n]}}\n')
print(len(cases), "cases")
