"""Makes calibrate.json from the real peers: torch.ao observers, ONNX Runtime's histogram collector,
compressed-tensors' arithmetic.

    python tests/golden/generate_calibrate.py tests/golden/calibrate.json

Needs torch, numpy, onnxruntime, compressed-tensors. The package onnx is not needed: of ONNX Runtime's module only the
collector is used, which works on arrays, so empty modules stand in for what it imports beside.

Three things have no peer here that can be run. `mse` is llm-compressor's grid search around compressed-tensors' own
`calculate_qparams` and `fake_quantize`: the loop is written down here from its documentation. `nvidia` is
pytorch-quantization's entropy search, written down from its documentation, with numpy. Both say so in `made_by`.
"""

import json
import sys
from unittest.mock import MagicMock

import numpy as np
import torch

import compressed_tensors
import torch._dynamo
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.utils import calculate_qparams
from torch.ao.quantization import observer as ao

STAND_INS = ["onnx", "onnx.helper", "onnx.numpy_helper", "onnx.onnx_pb", "onnx.reference", "onnx.shape_inference",
             "onnx.onnx_ml_pb2", "onnx.external_data_helper"]
for name in STAND_INS:
    sys.modules[name] = MagicMock()

import onnxruntime
import onnxruntime.quantization.quant_utils
from onnxruntime.quantization.calibrate import HistogramCollector

for name in STAND_INS:
    del sys.modules[name]

rng = np.random.default_rng(5)
cases = []


def bits(values):
    """Floats of 32 bits as the integers that their bits are."""
    return np.asarray(values, dtype=np.float32).view(np.uint32).ravel().tolist()


def batches(shapes, scale=1.0, shift=0.0):
    return [(rng.standard_normal(shape) * scale + shift).astype(np.float32) for shape in shapes]


def written(arrays):
    return [{"shape": list(a.shape), "bits": bits(a)} for a in arrays]


# Observers of extremes.
for shapes in [[(7,)], [(4, 5), (4, 5), (2, 5)], [(3, 4, 5), (1, 4, 5), (2, 4, 5), (3, 4, 5)]]:
    for scale, shift in [(1.0, 0.0), (100.0, 300.0), (1e-3, -0.01)]:
        data = batches(shapes, scale, shift)
        axis = 1 if len(shapes[0]) > 1 else None
        for kind, whole, channel in [
            ("min_max", ao.MinMaxObserver(), ao.PerChannelMinMaxObserver),
            ("moving_average", ao.MovingAverageMinMaxObserver(), ao.MovingAveragePerChannelMinMaxObserver),
        ]:
            for own in [None, axis]:
                observer = whole if own is None else channel(ch_axis=own)
                for batch in data:
                    observer(torch.from_numpy(batch))
                cases.append({
                    "kind": kind, "axis": own, "batches": written(data),
                    "low": np.atleast_1d(observer.min_val.numpy()).astype(float).tolist(),
                    "high": np.atleast_1d(observer.max_val.numpy()).astype(float).tolist(),
                })


def binned(values, count, signed):
    """Counts and edges of a histogram whose width is a power of two, as docs/quantization.md defines them."""
    half = count // 2 if signed else count
    largest = float(np.abs(values).max())
    exponent = -126
    while largest >= half * 2.0 ** exponent:
        exponent += 1
    width = 2.0 ** exponent
    place = np.floor(np.abs(values.astype(np.float64)) / width).astype(int)
    if signed:
        place = np.where(values < 0, half - 1 - place, half + place)
    counts = np.bincount(place, minlength=count)
    edges = (np.arange(count + 1) - (half if signed else 0)) * width
    return counts, edges.astype(np.float32)


def drawn():
    yield "normal", rng.standard_normal(2000)
    yield "laplace", rng.laplace(size=2000) * 0.01
    yield "relu", np.maximum(rng.standard_normal(2000) * 3, 0)
    outlier = rng.standard_normal(2000)
    outlier[17], outlier[99] = 40.0, -55.0
    yield "outliers", outlier
    yield "uniform", rng.uniform(-1, 3, 2000)
    yield "student", rng.standard_t(2.5, 2000)


SAMPLES = [(name, values.astype(np.float32)) for name, values in drawn()]


class Double:
    """numpy whose f32 is f64."""

    float32 = np.float64

    def __getattr__(self, name):
        return getattr(np, name)


MODULES = [(onnxruntime.quantization.calibrate, "np"), (onnxruntime.quantization.quant_utils, "numpy")]


def quietly(call):
    import io, contextlib
    with contextlib.redirect_stdout(io.StringIO()):
        return call()


for name, values in SAMPLES:
    low, high = values.min(), values.max()
    for signed in [True, False]:
        for percentile in [99.0, 99.9, 99.99, 100.0]:
            counts, edges = binned(values, 2048, signed)
            collector = HistogramCollector("percentile", not signed, 2048, 128, percentile, "same")
            collector.histogram_dict = {"x": (counts, edges, low, high)}
            found = quietly(collector.compute_collection_result)["x"]
            cases.append({
                "kind": "percentile", "name": name, "signed": signed, "bins": 2048, "percentile": percentile,
                "bits": bits(values), "low": float(found[0]), "high": float(found[1]),
            })
    for bins in [128, 256, 512, 1024]:
        counts, edges = binned(values, bins, True)
        collector = HistogramCollector("entropy", False, bins, 128, 0, "same")
        collector.histogram_dict = {"x": (counts, edges, low, high, edges[-1])}
        single = quietly(collector.compute_collection_result)["x"]
        # The same code of theirs in f64: in f32 candidates whose divergences agree to seven digits are told apart by
        # rounding.
        for module, attribute in MODULES:
            setattr(module, attribute, Double())
        collector.histogram_dict = {"x": (counts, edges.astype(float), low, high, float(edges[-1]))}
        double = quietly(collector.compute_collection_result)["x"]
        for module, attribute in MODULES:
            setattr(module, attribute, np)
        cases.append({
            "kind": "entropy", "name": name, "bins": bins, "bits": bits(values),
            "low": float(double[0]), "high": float(double[1]),
            "low_in_f32": float(single[0]), "high_in_f32": float(single[1]),
        })


def nvidia(counts, edges, bits_, start=128):
    bins = counts.astype(np.float64).copy()
    bins[0] = bins[1]
    codes = 1 << (bits_ - 1)
    found = []
    for end in range(start, len(bins) + 1):
        code = np.digitize(range(end), np.linspace(0, end, codes + 1)) - 1
        full = bins[:end] != 0
        sums, filled = np.zeros(codes), np.zeros(codes)
        np.add.at(sums, code[full], bins[:end][full])
        np.add.at(filled, code[full], 1)
        q = np.where(full, sums[code] / np.maximum(filled[code], 1), 0)
        p = bins[:end].copy()
        p[-1] += bins[end:].sum()
        p, q = p / p.sum(), q / q.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(p == 0, 0, p * np.log(p / q))
        found.append(terms.sum())
    found = np.array(found)
    last = len(found) - 1 - np.argmin(found[::-1])
    return float(edges[last + start])


for name, values in SAMPLES:
    for bits_ in [8, 4]:
        counts, edges = binned(values, 1024, False)
        cases.append({
            "kind": "nvidia", "name": name, "bins": 1024, "bits_of_code": bits_,
            "bits": bits(values), "high": nvidia(counts, edges, bits_),
        })

# The grid search, over compressed-tensors' arithmetic.
def grid_search(rows, args, norm, grid, shrink, patience, weights=None):
    low, high = rows.amin(dim=1), rows.amax(dim=1)
    best = torch.full_like(low, torch.finfo(low.dtype).max)
    best_low, best_high = low.clone(), high.clone()
    idle = 0
    for i in range(int(shrink * grid)):
        p = 1 - i / grid
        scale, zero = calculate_qparams(p * low, p * high, args)
        q = fake_quantize(rows, scale.reshape(-1, 1), zero.reshape(-1, 1), args)
        error = (q - rows).abs().double().pow(norm)
        error = (error if weights is None else error * weights).sum(dim=1).float()
        better = error < best
        if better.any():
            best[better], best_low[better], best_high[better] = error[better], (p * low)[better], (p * high)[better]
            idle = 0
        else:
            idle += 1
            if idle >= patience:
                break
    return best_low, best_high


for name, values in SAMPLES:
    row = torch.from_numpy(values).reshape(1, -1)
    weights = torch.from_numpy(rng.integers(0, 16, row.shape[1]) / 8)
    for symmetric in [True, False]:
        for bits_ in [4, 8]:
            for norm, grid, shrink, patience, own in [(2.4, 100, 0.2, 5, None), (2.0, 100, 0.8, 1000, None),
                                                      (3.0, 20, 0.95, 5, weights)]:
                args = QuantizationArgs(num_bits=bits_, type="int", symmetric=symmetric, strategy="channel")
                low, high = grid_search(row, args, norm, grid, shrink, patience, own)
                cases.append({
                    "kind": "mse", "name": name, "symmetric": symmetric, "bits_of_code": bits_, "norm": norm,
                    "grid": grid, "shrink": shrink, "patience": patience, "bits": bits(row),
                    "weights": None if own is None else own.tolist(),
                    "low": float(low[0]), "high": float(high[0]),
                })

# Values are written once for each sample.
pool, places = [], {}
for case in cases:
    if "bits" in case:
        key = tuple(case.pop("bits"))
        places.setdefault(key, len(places))
        if places[key] == len(pool):
            pool.append(list(key))
        case["sample"] = places[key]
weights, places = [], {}
for case in cases:
    if case.get("weights"):
        key = tuple(case["weights"])
        if key not in places:
            places[key] = len(weights)
            weights.append(list(key))
        case["weights"] = places[key]

made_by = (f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, compressed-tensors "
           f"{compressed_tensors.__version__}, numpy {np.__version__}; the loops of mse and nvidia are the script's own")
with open(sys.argv[1], "w") as file:
    json.dump({"made_by": made_by, "samples": pool, "weights": weights, "cases": cases}, file)
print(made_by, len(cases), "cases")
