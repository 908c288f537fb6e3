"""Makes quantize_peers.json by running the real quantizers of four peers.

    python3 -m venv peers && peers/bin/pip install torch numpy torchao compressed-tensors onnxruntime onnx
    peers/bin/python tests/golden/generate_quantize.py

No test needs this: `cargo test` reads the committed file. Floats are stored as the integers that their
bits are.
"""

import importlib.metadata
import json
import pathlib
import struct
import warnings

import numpy as np
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import quantize as ct_quantize
from compressed_tensors.quantization.utils.helpers import calculate_qparams
from onnx import TensorProto
from onnxruntime.quantization.quant_utils import compute_scale_zp, quantize_nparray
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver
from torchao.quantization.quant_primitives import (
    MappingType,
    choose_qparams_affine,
    quantize_affine,
)

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent


def bits(values):
    return [struct.unpack("<I", struct.pack("<f", float(x)))[0] for x in torch.as_tensor(values).flatten()]


def weights(shape, seed, shift):
    w = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + shift
    w.flatten()[:: 7] = torch.round(w.flatten()[:: 7] * 8) / 8  # some that meet ties
    return w


def tiles(w, block):
    """Each tile of a matrix, row-major, with its place."""
    for r in range(0, w.shape[0], block[0]):
        for c in range(0, w.shape[1], block[1]):
            yield (slice(r, r + block[0]), slice(c, c + block[1]))


def torch_ao(w, block, num_bits, affine, signed):
    """PyTorch's observers; its quantizers where they have the width, their formula elsewhere."""
    low, high = (-(2 ** (num_bits - 1)), 2 ** (num_bits - 1) - 1) if signed else (0, 2**num_bits - 1)
    dtype = torch.qint8 if signed else torch.quint8
    # Its own range of eight bits has another zero point than the same range as a custom one.
    custom = {} if num_bits == 8 else {"quant_min": low, "quant_max": high}
    if block == w.shape:
        scheme = torch.per_tensor_affine if affine else torch.per_tensor_symmetric
        observer = MinMaxObserver(dtype=dtype, qscheme=scheme, **custom)
    elif block == (1, w.shape[1]):
        scheme = torch.per_channel_affine if affine else torch.per_channel_symmetric
        observer = PerChannelMinMaxObserver(ch_axis=0, dtype=dtype, qscheme=scheme, **custom)
    else:
        return None
    observer(w)
    scale, zero = observer.calculate_qparams()
    if num_bits == 8 and block == w.shape:
        codes = torch.quantize_per_tensor(w, scale.item(), int(zero), dtype).int_repr()
    elif num_bits == 8:
        codes = torch.quantize_per_channel(w, scale, zero, 0, dtype).int_repr()
    else:
        s, z = scale.reshape(-1, 1), zero.reshape(-1, 1)
        codes = torch.clamp(torch.round(w * (1.0 / s)) + z, low, high)
    return scale, zero, codes


def ao(w, block, num_bits, affine, signed):
    if any(n % b for n, b in zip(w.shape, block)):
        return None
    low, high = (-(2 ** (num_bits - 1)), 2 ** (num_bits - 1) - 1) if signed else (0, 2**num_bits - 1)
    mapping = MappingType.ASYMMETRIC if affine else MappingType.SYMMETRIC
    dtype = torch.int8 if signed else torch.uint8
    scale, zero = choose_qparams_affine(w, mapping, block, dtype, low, high, eps=torch.finfo(torch.float32).tiny)
    return scale, zero, quantize_affine(w, block, scale, zero, dtype, low, high)


def ct(w, block, num_bits, affine, signed):
    if not signed:
        return None
    args = QuantizationArgs(num_bits=num_bits, symmetric=not affine)
    scales, zeros, codes = [], [], torch.zeros_like(w)
    for place in tiles(w, block):
        part = w[place]
        scale, zero = calculate_qparams(part.min().reshape(1), part.max().reshape(1), args)
        codes[place] = ct_quantize(part, scale, zero.to(torch.float32), args)
        scales.append(scale.item())
        zeros.append(int(zero))
    return scales, zeros, codes


def ort(w, block, num_bits, affine, signed):
    if num_bits != 8:
        return None
    kind = TensorProto.INT8 if signed else TensorProto.UINT8
    number = np.int8 if signed else np.uint8
    low, high = ((-128, 127) if affine else (-127, 127)) if signed else (0, 255)
    scales, zeros, codes = [], [], torch.zeros_like(w)
    for place in tiles(w, block):
        part = w[place].numpy()
        zero, scale = compute_scale_zp(part.min(), part.max(), number(low), number(high), symmetric=not affine)
        codes[place] = torch.from_numpy(quantize_nparray(kind, part, scale, zero).astype(np.float32))
        scales.append(float(scale))
        zeros.append(int(zero))
    return scales, zeros, codes


PEERS = {"torch": torch_ao, "torchao": ao, "compressed_tensors": ct, "onnx": ort}
cases = []
seed = 0
for shape in [(4, 12), (3, 40), (6, 35)]:
    for block in [shape, (1, shape[1]), (1, 5), (1, 4), (2, 3)]:
        for num_bits in [8, 4, 2]:
            for affine in [False, True]:
                for signed in [True, False]:
                    for peer, run in PEERS.items():
                        seed += 1
                        w = weights(shape, seed, [0.0, 0.4, -3.0][seed % 3])
                        if seed % 5 == 0 and peer != "compressed_tensors":
                            w[1] = 0.0  # there, the zero point of nothing but zeros comes from 0 / 0
                        out = run(w, block, num_bits, affine, signed)
                        if out is None:
                            continue
                        scale, zero, codes = out
                        cases.append({
                            "peer": peer, "bits": num_bits, "affine": affine, "signed": signed,
                            "shape": list(shape), "block": list(block), "weights": bits(w),
                            "scales": bits(scale), "zeros": [int(z) for z in torch.as_tensor(zero).flatten()],
                            "codes": [int(c) for c in codes.flatten()],
                        })
versions = ", ".join(
    f"{name} {importlib.metadata.version(name)}"
    for name in ["torch", "torchao", "compressed-tensors", "onnxruntime"]
)
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
made_by = f"tests/golden/generate_quantize.py with {versions}"
(HERE / "quantize_peers.json").write_text(f'{{"made_by":"{made_by}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases", {peer: sum(case["peer"] == peer for case in cases) for peer in PEERS})
