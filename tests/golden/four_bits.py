"""Makes bitsandbytes.json by running the real `bitsandbytes` on a CPU.

    python -m pip install torch bitsandbytes
    python tests/golden/four_bits.py

Tensors are those that it writes into safetensors files. What they mean is what `dequantize_4bit` gives, in the type that the
state says; of large tensors every so manieth element is stored.

Where rows of even length are not whole blocks, 0.50.2 has two answers. Its quantizer and its implementation in PyTorch, which
also serves odd lengths, count blocks through the flattened tensor; its C++ kernel for CPUs begins each row with the block that
its first element is in and counts from there, as if that block began with the row. What the kernel gives is then not near to
what was quantized, so the other answer is stored.
"""

import json
import pathlib

import bitsandbytes
import bitsandbytes.functional as bnb
import torch

from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
from gptq import stored

HERE = pathlib.Path(__file__).parent
MADE_BY = f"tests/golden/four_bits.py with bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}"


def case(kind, shape, block, dtype, nested, every=1):
    generator = torch.Generator().manual_seed(len(shape) * block + shape[-1])
    values = torch.randn(shape, generator=generator) * 10.0 ** torch.randint(-3, 3, (shape[0], 1), generator=generator)
    values[0] = 0
    codes, state = bnb.quantize_4bit(values.to(dtype), blocksize=block, quant_type=kind, compress_statistics=nested)
    tensors = {"m.weight": codes}
    for part, tensor in state.as_dict(packed=True).items():
        tensors[f"m.weight.{part}"] = tensor
    weights = bnb.dequantize_4bit(codes, state)
    if shape[-1] % 2 == 0 and shape[-1] % block != 0:
        absmax = state.absmax
        if nested:
            absmax = bnb.dequantize_blockwise(absmax, state.state2) + state.offset
        kernel = weights
        weights = _dequantize_4bit_compute(codes.reshape(-1), absmax, state.code, block, shape, dtype)
        worst = [((each.float() - values).abs() / (values.abs().amax(1, True) + 1e-9))[1:].max() for each in (weights, kernel)]
        print(f"{kind} {shape}: off by {worst[0]:.3f} of a row's largest, the kernel by {worst[1]:.3f}")
    return {
        "name": f"{kind} {list(shape)} in blocks of {block}, {dtype}, nested: {nested}",
        "tensors": {name: stored(tensor) for name, tensor in tensors.items()},
        "shape": list(shape),
        "every": every,
        "weights": stored(weights.reshape(-1)[::every]),
    }


cases = []
for kind in ("nf4", "fp4"):
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for nested in (False, True):
            cases.append(case(kind, (6, 128), 64, dtype, nested))
    cases.append(case(kind, (5, 96), 64, torch.float16, True))
    cases.append(case(kind, (5, 33), 64, torch.float32, False))
cases.append(case("nf4", (12, 256), 256, torch.bfloat16, False))
# More than 256 blocks: absmax itself is in two.
cases.append(case("nf4", (130, 128), 64, torch.bfloat16, True, 7))
(HERE / "bitsandbytes.json").write_text(json.dumps({"made_by": MADE_BY, "cases": cases}, indent=0) + "\n")
