"""Makes codes.json by running the real `bitsandbytes`, `torchao` and `torch`; see generate.py beside this script.

    peers/bin/python tests/golden/codes.py

Codes of bitsandbytes and torchao lie two in a byte, the first one high: they are unpacked here. Bytes are
hexadecimal, also those of floats. The last row but one is zero, where their scales are 0.
"""

import json
import pathlib

import bitsandbytes.functional as bnb
import numpy as np
import torch
import torchao
from torchao.quantization.quant_primitives import (
    _choose_scale_float8,
    _quantize_affine_float8,
)
from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import NF4Tensor

import bitsandbytes

HERE = pathlib.Path(__file__).parent
MADE_BY = (
    f"tests/golden/codes.py with bitsandbytes {bitsandbytes.__version__}, torchao {torchao.__version__}, "
    f"torch {torch.__version__}"
)


def text(tensor):
    return np.ascontiguousarray(tensor).tobytes().hex()


def values(table):
    """Rows of 128: normal ones of many sizes, ties (means of neighbours times a power of two), zeros, near zero."""
    r = np.random.default_rng(5)
    x = (r.standard_normal((16, 128)) * 10.0 ** r.integers(-4, 5, (16, 1))).astype(np.float32)
    x[2] = np.abs(x[2])
    table = np.sort(table)
    ties = ((table[1:] + table[:-1]) / np.float32(2)).astype(np.float32)
    row = np.resize(np.concatenate([ties, np.nextafter(ties, 2, dtype=np.float32), [1.0, -1.0]]), 64)
    for i in range(3, 8):
        # The largest of each group of 64 is a number whose inverse is exact or is not.
        size = np.float32([1, 4, 0.3, 7, 1e-3][i - 3])
        x[i] = np.resize(row.astype(np.float32) * size, 128)
    x[14] = 0
    x[15] *= np.float32(1e-30)
    return x


def nibbles(packed):
    packed = packed.reshape(-1).numpy()
    return np.stack([packed >> 4, packed & 15], -1).reshape(-1).astype(np.uint8)


def four_bits(name):
    table = bnb.get_4bit_type(name, device="cpu").numpy()
    x = values(table)
    packed, state = bnb.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type=name)
    back = bnb.dequantize_4bit(packed, state).numpy()
    return {
        "name": name,
        "table": text(table),
        "values": text(x),
        "codes": text(nibbles(packed)),
        "scales": text(state.absmax.numpy()),
        "back": text(back),
    }


def eight_bits():
    table = bnb.create_dynamic_map().float()
    r = np.random.default_rng(6)
    x = torch.from_numpy(r.standard_normal((8, 256)).astype(np.float32))
    codes, state = bnb.quantize_blockwise(x, code=table, blocksize=256)
    return {"table": text(table.numpy()), "values": text(x.numpy()), "codes": text(codes.numpy()),
            "scales": text(state.absmax.numpy())}


def torchao_nf4():
    x = values(bnb.get_4bit_type("nf4", device="cpu").numpy())[:14]
    tensor = torch.from_numpy(x)
    made = NF4Tensor.from_tensor(tensor, 64, 1)
    return {"table": text(made.nf4.numpy()), "values": text(x),
            "codes": text(nibbles(made.quantized_data))}


def floats():
    r = np.random.default_rng(7)
    x = (r.standard_normal((16, 96)) * 10.0 ** r.integers(-3, 4, (16, 96))).astype(np.float32)
    # All numbers of E4M3 and their means, with a largest one that makes the scale 1.
    every = np.arange(0x7F, dtype=np.uint8)
    numbers = torch.from_numpy(every).view(torch.float8_e4m3fn).float().numpy()
    means = (numbers[1:] + numbers[:-1]) / 2
    x[8:10] = np.resize(np.concatenate([means, -means, [448]]), 192).reshape(2, 96)
    x[8:10, 95] = 448
    cases = []
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
        for block in ([16, 96], [1, 96], [16, 1], [1, 32]):
            tensor = torch.from_numpy(x)
            scale = _choose_scale_float8(tensor, block, dtype)
            codes = _quantize_affine_float8(tensor, scale, dtype)
            cases.append({
                "format": str(dtype).removeprefix("torch."),
                "block": block,
                "scales": text(scale.numpy()),
                "codes": text(codes.view(torch.uint8).numpy()),
            })
    return {"values": text(x), "cases": cases}


golden = {
    "made_by": MADE_BY,
    "four_bits": [four_bits("nf4"), four_bits("fp4")],
    "eight_bits": eight_bits(),
    "torchao_nf4": torchao_nf4(),
    "floats": floats(),
}
(HERE / "codes.json").write_text(json.dumps(golden, indent=0) + "\n")
