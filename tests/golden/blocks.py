"""Makes blocks.json by running the real `gguf`, `torch` and numpy; see generate.py beside this script.

    peers/bin/python tests/golden/blocks.py

`gguf` encodes the formats with an underscore in their names and decodes all of GGUF's. Where it only
decodes, the bytes that it is given are random, with scales that are finite. MXFP8 and NVFP4 are written out
here, with torch's casts to 8 bits; E2M1 is the nearest of its table. Bytes are
hexadecimal, also those of floats.

The errors of candle-core 0.11.1 are what `QTensor::quantize` and `dequantize` of it gave for `made()`.
"""

import json
import pathlib

import gguf
import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
MADE_BY = f"tests/golden/blocks.py with gguf 0.19.0, torch {torch.__version__}, numpy {np.__version__}"
T = gguf.GGMLQuantizationType
CANDLE_RMS = {
    "Q2K": 3.334387513e-2,
    "Q3K": 1.723465332e-2,
    "Q4K": 8.399936803e-3,
    "Q5K": 4.177730299e-3,
    "Q6K": 2.065579206e-3,
}
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def text(array):
    return np.ascontiguousarray(array).tobytes().hex()


def made():
    """32 rows of 512, about normal: sums of four numbers of 16 bits from SplitMix64, exact in f32."""
    z = np.arange(1, 32 * 512 + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    sums = z.view(np.uint16).reshape(-1, 4).astype(np.int64).sum(1) - 131070
    return (sums.reshape(32, 512) * (1 + np.arange(32) % 5)[:, None] / 2**20).astype(np.float32)


def values(seed, rows, columns):
    """Rows of many kinds: normal, tiny, large, one-sided, sparse, constant, zero."""
    r = np.random.default_rng(seed)
    x = r.standard_normal((rows, columns)) * 10.0 ** r.integers(-3, 3, (rows, 1))
    x[1] = np.abs(x[1])
    x[2] = -np.abs(x[2])
    x[3] *= r.random(columns) < 0.2
    x[4] = 0.37
    x[5] = 0
    x[6] = np.round(r.standard_normal(columns) * 8) / 8  # many ties
    x[7] += 3
    return x.astype(np.float32)


def fp8(x, dtype):
    limit = torch.finfo(dtype).max
    return torch.from_numpy(np.clip(x, -limit, limit)).to(dtype)


def e2m1(x):
    """The nearest, of two equally near the even code, held at 6; the sign is kept."""
    distance = np.abs(np.abs(x.astype(np.float64))[..., None] - E2M1)
    odd = np.arange(8) % 2
    code = np.lexsort((np.broadcast_to(odd, distance.shape), distance))[..., 0]
    return (code | np.signbit(x) << 3).astype(np.uint8)


def value_of(code):
    return (E2M1[code & 7] * np.where(code & 8, -1, 1)).astype(np.float32)


def power(x, largest_exponent):
    amax = np.abs(x).max(-1, keepdims=True)
    exponent = np.where(amax > 0, np.floor(np.log2(np.where(amax > 0, amax, 1))) - largest_exponent + 127, 0)
    return np.clip(exponent, 0, 254)


def nibbles(code):
    half = code.shape[-1] // 2
    return code[..., :half] | code[..., half:] << 4


def mxfp4(x):
    e = power(x, 2)
    code = e2m1(x.astype(np.float64) / 2.0 ** (e - 127))
    return np.concatenate([e.astype(np.uint8), nibbles(code)], -1), value_of(code) * (2.0 ** (e - 127)).astype(np.float32)


def mxfp8(x, dtype, largest_exponent):
    e = power(x, largest_exponent)
    code = fp8((x.astype(np.float64) / 2.0 ** (e - 127)).astype(np.float32), dtype)
    back = code.float().numpy() * (2.0 ** (e - 127)).astype(np.float32)
    return np.concatenate([e.astype(np.uint8), code.view(torch.uint8).numpy()], -1), back


def nvfp4(x):
    t = np.float32(np.abs(x).max()) / np.float32(6 * 448)
    s = fp8((np.abs(x).max(-1, keepdims=True) / np.float32(6)) / t, torch.float8_e4m3fn)
    scale = s.float().numpy() * t
    code = e2m1(np.where(scale > 0, x / np.where(scale > 0, scale, 1), np.copysign(0, x)).astype(np.float32))
    blocks = np.concatenate([s.view(torch.uint8).numpy(), nibbles(code)], -1)
    return np.concatenate([blocks.ravel(), np.frombuffer(t.tobytes(), np.uint8)]), value_of(code) * scale


cases = []


def add(name, shape, encoded, decoded, encodes):
    case = {"format": name, "shape": list(shape), "encodes": encodes}
    cases.append(case | {"bytes": text(encoded), "decoded": text(decoded.astype(np.float32))})


x = values(1, 8, 64)
for name, kind in [("Q8_0", T.Q8_0), ("Q4_0", T.Q4_0), ("Q4_1", T.Q4_1), ("Q5_0", T.Q5_0), ("Q5_1", T.Q5_1)]:
    encoded = gguf.quants.quantize(x, kind)
    add(name, x.shape, encoded, gguf.quants.dequantize(encoded, kind), True)

y = values(3, 8, 256)
y[0, :16] = np.float32(0.5) * np.abs(y[0]).max()  # halfway between two codes
y[0, 16:32] *= -1
for name, kind in [("Tq1_0", T.TQ1_0), ("Tq2_0", T.TQ2_0)]:
    encoded = gguf.quants.quantize(y, kind)
    add(name, y.shape, encoded, gguf.quants.dequantize(encoded, kind), True)

r = np.random.default_rng(2)
for name, kind, halves in [
    ("Q2K", T.Q2_K, [80, 82]),
    ("Q3K", T.Q3_K, [108]),
    ("Q4K", T.Q4_K, [0, 2]),
    ("Q5K", T.Q5_K, [0, 2]),
    ("Q6K", T.Q6_K, [208]),
    ("Mxfp4", T.MXFP4, []),
    ("Tq1_0", T.TQ1_0, [52]),
    ("Tq2_0", T.TQ2_0, [64]),
]:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    encoded = r.integers(0, 256, (2, size)).astype(np.uint8)
    for half in halves:
        encoded[:, half : half + 2] = r.standard_normal(2).astype(np.float16)[:, None].view(np.uint8)
    if kind == T.MXFP4:
        encoded[:, 0] = [120, 1]
    add(name, (2, block), encoded, gguf.quants.dequantize(encoded, kind), False)

for name, function in [
    ("Mxfp4", mxfp4),
    ("Mxfp8E4M3", lambda x: mxfp8(x, torch.float8_e4m3fn, 8)),
    ("Mxfp8E5M2", lambda x: mxfp8(x, torch.float8_e5m2, 15)),
]:
    encoded, decoded = function(x.reshape(-1, 32))
    add(name, x.shape, encoded, decoded, True)
encoded, decoded = nvfp4(x.reshape(-1, 16))
add("Nvfp4", x.shape, encoded, decoded, True)

codes = torch.arange(256, dtype=torch.uint8)
floats = {
    "E4M3": codes.view(torch.float8_e4m3fn).float().numpy(),
    "E5M2": codes.view(torch.float8_e5m2).float().numpy(),
    "E8M0": codes.view(torch.float8_e8m0fnu).float().numpy(),
}
# Every half, as torch casts it, held at the largest number of the format.
halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
casts = {
    "E4M3": fp8(halves, torch.float8_e4m3fn).view(torch.uint8).numpy(),
    "E5M2": fp8(halves, torch.float8_e5m2).view(torch.uint8).numpy(),
}
result = {
    "made_by": MADE_BY,
    "values": {64: text(x), 256: text(y)},
    "cases": cases,
    "candle_rms": CANDLE_RMS,
    "floats": {name: text(table.astype(np.float32)) for name, table in floats.items()},
    # As runs: the code, and how many halves in a row have it.
    "casts": {
        name: [[int(code), int((cast == code).sum())] for code in np.unique(cast)] for name, cast in casts.items()
    },
}
(HERE / "blocks.json").write_text(json.dumps(result, indent=0) + "\n")
print(len(cases), "cases")
