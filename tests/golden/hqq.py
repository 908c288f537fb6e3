"""Makes hqq.json: errors of the reference's half-quadratic quantization on weights that Rust makes as well.

    peers/bin/python tests/golden/hqq.py .../hqq-0.2.8.post1/hqq/core/optimize.py

The file is that of the package `hqq`, of which nothing else is loaded. Scales and first zero points are written out
here as `Quantizer.quantize` there has them. Groups of 64, f32 on the CPU. For each kind of weights and width: the mean
of |e|, of e² and of |e|^0.7, summed in f64; of rounding with the first zero point, of the default (which stops early),
and of the second version.
"""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("optimize", sys.argv[1])
optimize = importlib.util.module_from_spec(spec)
spec.loader.exec_module(optimize)

GROUPS, SIZE = 512, 64


def sums():
    """Four sums of four numbers of 16 bits for each weight, from SplitMix64; each about normal."""
    z = np.arange(1, 4 * GROUPS * SIZE + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z.view(np.uint16).reshape(-1, 4).astype(np.int64).sum(1) - 131070).reshape(-1, 4)


def kinds():
    s = sums()
    normal = s[:, 0] / 2**21
    far = np.where(np.arange(len(s)) % 61 == 0, 8, 1)
    return {
        "normal": normal,
        "laplace": (s[:, 0] * s[:, 1] + s[:, 2] * s[:, 3]) / 2**37,
        "outliers": normal * far,
        "large": normal * 64,
    }


def errors(e):
    e = e.double().abs()
    return [e.mean().item(), (e * e).mean().item(), (e**0.7).mean().item()]


result = {"made_by": f"tests/golden/hqq.py with hqq 0.2.8.post1, torch {torch.__version__}", "errors": {}}
for kind, w in kinds().items():
    w = torch.from_numpy(w.astype(np.float32)).reshape(GROUPS, SIZE)
    result["errors"][kind] = {}
    for bits in [2, 3, 4, 8]:
        most = 2**bits - 1
        low, high = w.min(1, keepdim=True)[0], w.max(1, keepdim=True)[0]
        scale = most / (high - low)
        scale = torch.where((high - low).abs() <= 1e-4, torch.full_like(scale, 1.0), scale).clamp(max=2e4)
        zero = -low * scale
        nearest = (w * scale + zero).round().clamp(0, most)
        found = {"nearest": errors(w - (nearest - zero) / scale)}
        for name, solver in [
            ("default", optimize.optimize_weights_proximal_legacy),
            ("second", optimize.optimize_weights_proximal_v2),
        ]:
            codes, s, z = solver(w, scale, zero, [0, most], axis=1)
            found[name] = errors(w - (codes - z) / s)
        result["errors"][kind][str(bits)] = found
(HERE / "hqq.json").write_text(json.dumps(result, indent=1) + "\n")
