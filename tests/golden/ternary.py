"""Makes ternary.json: ternary codes by the formulas of the papers, in torch and f32.

    peers/bin/python tests/golden/ternary.py

`mean` is `weight_quant` of BitNet b1.58's published code (Ma et al. 2024) before it is turned back into numbers,
`threshold` the approximate solution of Li and Liu 2016. Codes are written as signs, row by row.
"""

import json
import pathlib

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
ROWS, COLUMNS, GROUP = 12, 128, 32


def made():
    """About normal, each row at its own size: sums of four numbers of 16 bits from SplitMix64, exact in f32."""
    z = np.arange(1, ROWS * COLUMNS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    sums = z.view(np.uint16).reshape(-1, 4).astype(np.int64).sum(1) - 131070
    w = (sums.reshape(ROWS, COLUMNS) * (1 + np.arange(ROWS) % 5)[:, None] / 2**20).astype(np.float32)
    w[3] = 0
    return w


def mean(w):
    scale = 1.0 / w.abs().mean(1, keepdim=True).clamp_(min=1e-5)
    return (w * scale).round().clamp_(-1, 1), 1.0 / scale


def threshold(w):
    delta = 0.7 * w.abs().mean(1, keepdim=True)
    above = w.abs() > delta
    count = above.sum(1, keepdim=True)
    alpha = (w.abs() * above).sum(1, keepdim=True) / count.clamp_min(1)
    return w.sign() * above, alpha


w = made()
cases = []
for name, rule in [("AbsMean", mean), ("Threshold", threshold)]:
    for of, width in [("tensor", ROWS * COLUMNS), ("row", COLUMNS), ("group", GROUP)]:
        codes, scales = rule(torch.from_numpy(w).reshape(-1, width))
        signs = "".join("-0+"[int(code) + 1] for code in codes.flatten())
        cases.append({"rule": name, "of": of, "codes": signs, "scales": scales.flatten().tolist()})
result = {"made_by": f"tests/golden/ternary.py with torch {torch.__version__}", "cases": cases}
(HERE / "ternary.json").write_text(json.dumps(result, indent=0) + "\n")
