"""How fast PyTorch and ONNX Runtime compute with compressed weights: the peers of `benches/infer.rs`, at the same shapes.

    python benches/peers/infer.py [--threads 2] [--seconds 0.4] [--only REGEX] [--json FILE] [sections]

An environment: `python -m venv peers`, then `peers/bin/pip install torch onnx onnxruntime numpy` (a build of torch for the
CPU does). The figures of docs/performance.md were made with torch 2.15.0, onnxruntime 1.32.0 and numpy 2.4.6.

Sections: linear int4 sparse conv, or all. `--only` keeps the timings whose "work / peer" matches, so that a run can be kept
short. Each timing is warmed up, then repeated for `--seconds`, at least nine times. Printed is a table in Markdown; the
file of `--json` gets one object a line: work, peer, median_ms, min_ms, runs.

What is timed is what a user calls: from an f32 array to an f32 array, so a dynamic peer's quantization of activations is
in it, and so is the array that a peer makes for its result. `floor` rows are a sum of 64 MiB and a product in place: on a
machine that does other things as well, compare runs by them.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
import warnings

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=0.4)
parser.add_argument("--only", default="")
parser.add_argument("--json", default="")
parser.add_argument("sections", nargs="*")
arguments = parser.parse_args()
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = str(arguments.threads)
warnings.filterwarnings("ignore")

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.ao.quantization as ao
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

torch.set_num_threads(arguments.threads)
torch.manual_seed(0)
RANDOM = np.random.default_rng(0)
SHAPES = ((768, 3072), (3072, 768), (4096, 4096))
ROWS = (1, 8, 32, 512)
results = []


def timed(work, peer, call):
    if not re.search(arguments.only, f"{work} / {peer}"):
        return
    try:
        started = time.perf_counter()
        call(), call()
        while time.perf_counter() - started < arguments.seconds / 4:
            call()
        times, started = [], time.perf_counter()
        while len(times) < 9 or (time.perf_counter() - started < arguments.seconds and len(times) < 1000):
            before = time.perf_counter()
            call()
            times.append((time.perf_counter() - before) * 1e3)
    except Exception as error:
        print(f"not run: {work} / {peer}: {str(error)[:200]}", file=sys.stderr)
        return
    row = {"work": work, "peer": peer, "median_ms": statistics.median(times), "min_ms": min(times), "runs": len(times)}
    results.append(row)
    if arguments.json:
        with open(arguments.json, "a") as file:
            file.write(json.dumps(row) + "\n")
    print(f"| {work} | {peer} | {row['median_ms']:.4f} | {row['min_ms']:.4f} | {row['runs']} |", flush=True)


def wanted(work):
    """Whether anything of this work may match: what is not timed is not made either."""
    return not arguments.only or any(
        re.search(arguments.only, f"{work} / {peer}") for peer in PEERS
    )


PEERS = (
    "torch f32", "torch f32 channels_last", "torch dyn-int8 x86", "torch dyn-int8 onednn", "torch CSR",
    "torch int8 x86", "torch int8 onednn", "torch int8 x86, from f32 to f32", "torch int8 onednn, from f32 to f32",
    "ort f32", "ort dyn-int8", "ort dyn-int8 per channel", "ort QLinearConv", "ort QLinearConv, from f32 to f32",
    "ort MatMulNBits 4", "ort MatMulNBits 0",
)


def floors():
    array = torch.ones(1 << 24)
    timed("floor 64 MiB", "torch sum", lambda: array.sum())
    timed("floor 64 MiB", "torch mul_", lambda: array.mul_(1.0000001))


def model(nodes, weights, inputs, outputs):
    info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
    graph = helper.make_graph(
        nodes, "g", [info(*i) for i in inputs], [info(*o) for o in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=opsets)
    made.ir_version = 8
    return made


def session(made):
    options = ort.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])


def float_rows(inputs, outputs):
    return [("x", TensorProto.FLOAT, ["m", inputs])], [("y", TensorProto.FLOAT, ["m", outputs])]


def ort_linear(weights):
    """x · w in f32."""
    inputs, outputs = weights.shape
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return model([node], {"w": weights}, *float_rows(inputs, outputs))


def ort_dynamic(weights, per_channel):
    """What its own quantizer makes: DynamicQuantizeLinear, MatMulInteger and two products."""
    with tempfile.TemporaryDirectory() as folder:
        plain, quantized = f"{folder}/plain.onnx", f"{folder}/quantized.onnx"
        onnx.save(ort_linear(weights), plain)
        quantize_dynamic(plain, quantized, weight_type=QuantType.QInt8, per_channel=per_channel)
        made = onnx.load(quantized)
    kinds = {node.op_type for node in made.graph.node}
    assert {"DynamicQuantizeLinear", "MatMulInteger"} <= kinds, kinds
    return made


def dynamic_torch(layer, engine):
    torch.backends.quantized.engine = engine
    return ao.quantize_dynamic(torch.nn.Sequential(layer), {torch.nn.Linear}, dtype=torch.qint8)


def linear():
    for inputs, outputs in SHAPES:
        works = [f"linear {rows}x{inputs}x{outputs}" for rows in ROWS]
        if not any(map(wanted, works)):
            continue
        layer = torch.nn.Linear(inputs, outputs, bias=False)
        weights = np.ascontiguousarray(layer.weight.detach().numpy().T)
        engines = {engine: dynamic_torch(layer, engine) for engine in ("x86", "onednn")}
        sessions = {
            "ort f32": session(ort_linear(weights)),
            "ort dyn-int8": session(ort_dynamic(weights, False)),
            "ort dyn-int8 per channel": session(ort_dynamic(weights, True)),
        }
        for rows, work in zip(ROWS, works):
            x = torch.randn(rows, inputs)
            feed = {"x": x.numpy()}
            timed(work, "torch f32", lambda: layer(x))
            for engine, quantized in engines.items():
                torch.backends.quantized.engine = engine
                timed(work, f"torch dyn-int8 {engine}", lambda: quantized(x))
            for peer, one in sessions.items():
                timed(work, peer, lambda: one.run(None, feed))


def int4():
    for inputs, outputs in SHAPES:
        for block in (32, 128):
            works = [f"int4 g{block} {rows}x{inputs}x{outputs}" for rows in ROWS]
            if not any(map(wanted, works)):
                continue
            blocks = inputs // block
            weights = {
                "w": RANDOM.integers(0, 256, (outputs, blocks, block // 2), dtype=np.uint8),
                "s": RANDOM.random(outputs * blocks, dtype=np.float32),
            }
            for level in (4, 0):
                node = helper.make_node(
                    "MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft",
                    K=inputs, N=outputs, bits=4, block_size=block, accuracy_level=level,
                )
                one = session(model([node], weights, *float_rows(inputs, outputs)))
                for rows, work in zip(ROWS, works):
                    feed = {"x": RANDOM.standard_normal((rows, inputs), dtype=np.float32)}
                    timed(work, f"ort MatMulNBits {level}", lambda: one.run(None, feed))


def sparse():
    size = 4096
    weights = torch.randn(size, size)
    one = session(ort_linear(np.ascontiguousarray(weights.numpy().T)))
    for rows in (1, 64):
        work = f"dense {rows}x{size}x{size}"
        x = torch.randn(rows, size)
        columns = x.t().contiguous()
        feed = {"x": x.numpy()}
        timed(work, "torch f32", lambda: F.linear(x, weights))
        timed(work, "ort f32", lambda: one.run(None, feed))
        for share in (50, 70, 90, 95):
            work = f"sparse {share} % {rows}x{size}x{size}"
            if wanted(work):
                csr = (weights * (torch.rand_like(weights) > share / 100)).to_sparse_csr()
                timed(work, "torch CSR", lambda: csr @ columns)


def conv():
    work = "conv 3x3 64->64 56x56"
    if not wanted(work):
        return
    x = torch.randn(1, 64, 56, 56)
    layer = torch.nn.Conv2d(64, 64, 3, padding=1, bias=False)
    timed(work, "torch f32", lambda: layer(x))
    last = layer.to(memory_format=torch.channels_last)
    x_last = x.to(memory_format=torch.channels_last)
    timed(work, "torch f32 channels_last", lambda: last(x_last))

    scale, codes = 8 / 255, torch.quantize_per_tensor(x_last, 8 / 255, 128, torch.quint8)
    for engine in ("x86", "onednn"):
        torch.backends.quantized.engine = engine
        weights = layer.weight.detach()
        channels = weights.abs().amax((1, 2, 3)) / 127
        weights = torch.quantize_per_channel(weights, channels, torch.zeros(64, dtype=torch.long), 0, torch.qint8)
        quantized = torch.ao.nn.quantized.Conv2d(64, 64, 3, padding=1, bias=False)
        quantized.set_weight_bias(weights, None)
        quantized.scale, quantized.zero_point = 8 / 255, 128
        timed(work, f"torch int8 {engine}", lambda: quantized(codes))
        whole = lambda: quantized(torch.quantize_per_tensor(x_last, scale, 128, torch.quint8)).dequantize()
        timed(work, f"torch int8 {engine}, from f32 to f32", whole)

    weights = layer.weight.detach().contiguous().numpy()
    channels = np.abs(weights).max((1, 2, 3)) / np.float32(127)
    shape = [1, 64, 56, 56]
    of = lambda name, kind=TensorProto.FLOAT: [(name, kind, shape)]
    pads = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    one = session(model([helper.make_node("Conv", ["x", "w"], ["y"], **pads)], {"w": weights}, of("x"), of("y")))
    feed = {"x": x.numpy()}
    timed(work, "ort f32", lambda: one.run(None, feed))
    values = {
        "w": np.round(weights / channels[:, None, None, None]).astype(np.int8),
        "ws": channels.astype(np.float32), "wz": np.zeros(64, np.int8),
        "s": np.float32(scale).reshape(()), "z": np.uint8(128).reshape(()),
    }
    middle = helper.make_node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "s", "z"], ["p"], **pads)
    byte = TensorProto.UINT8
    one = session(model([middle], values, of("q", byte), of("p", byte)))
    codes_feed = {"q": codes.int_repr().contiguous().numpy()}
    timed(work, "ort QLinearConv", lambda: one.run(None, codes_feed))
    into = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
    out = helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"])
    one = session(model([into, middle, out], values, of("x"), of("y")))
    timed(work, "ort QLinearConv, from f32 to f32", lambda: one.run(None, feed))


print(f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), onnxruntime {ort.__version__}, ", end="")
print(f"numpy {np.__version__}, {arguments.threads} threads\n")
print("| work | peer | median ms | min ms | runs |\n|---|---|--:|--:|--:|")
with torch.inference_mode():
    floors()
    for section in arguments.sections or ("linear", "int4", "sparse", "conv"):
        {"linear": linear, "int4": int4, "sparse": sparse, "conv": conv}[section]()
    floors()
