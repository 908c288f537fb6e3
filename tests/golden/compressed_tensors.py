"""Makes compressed_tensors.json and compressed_tensors.safetensors by running the real `compressed-tensors`; see
generate.py beside this script.

    peers/bin/python -P tests/golden/compressed_tensors.py

-P, so that scripts of this folder are not taken for the packages whose names they have.

Each case is a module `case_NN` whose weight the library compressed: all tensors it makes of it, and beside them, under
`dense.`, `codes.` and `zero_points.`, what it decompresses, and the codes and zero points before they are packed. The
JSON has the config of each case as the library writes it. Weights, scales and zero points are random: what a scale should
be is no matter of a file.
"""

import json
import pathlib

import compressed_tensors
import safetensors.torch
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
)
from compressed_tensors.quantization.lifecycle.forward import quantize

HERE = pathlib.Path(__file__).parent
MADE_BY = (
    f"tests/golden/compressed_tensors.py with compressed-tensors {compressed_tensors.__version__}, "
    f"torch {torch.__version__.split('+')[0]}"
)
ROWS, COLUMNS = 9, 24
DTYPES = [torch.bfloat16, torch.float16, torch.float32]


def scale_shape(args):
    return {
        "tensor": (1,),
        "channel": (ROWS, 1),
        "group": (ROWS, COLUMNS // (args.group_size or 1)),
        "block": (-(-ROWS // 4), COLUMNS // 6),
    }[args.strategy]


def case(number, layout, bits, strategy, symmetric):
    generator = torch.Generator().manual_seed(number)
    kind = "float" if layout == "float-quantized" or (layout, bits) == ("naive-quantized", 0) else "int"
    bits = bits or 8
    args = QuantizationArgs(
        num_bits=bits,
        type=kind,
        symmetric=symmetric,
        strategy=strategy,
        group_size=8 if strategy == "group" else None,
        block_structure=[4, 6] if strategy == "block" else None,
    )
    inputs = None
    if layout in ("int-quantized", "float-quantized"):
        inputs = QuantizationArgs(num_bits=8, type=kind, symmetric=True, strategy="token", dynamic=True)
    scheme = QuantizationScheme(targets=["Linear"], weights=args, input_activations=inputs, format=layout)
    dtype = DTYPES[number % 3]
    shape = scale_shape(args)
    scale = (torch.rand(shape, generator=generator) * 0.1 + 0.01).to(dtype)
    largest = 448.0 if kind == "float" else 2.0 ** (bits - 1)
    weight = (torch.randn((ROWS, COLUMNS), generator=generator) * 0.03 * largest).to(dtype)
    weight[0, :2] = torch.tensor([0.0, -0.0])
    state = {"weight": weight, "weight_scale": scale}
    if not symmetric:
        low, high = -(1 << (bits - 1)), 1 << (bits - 1)
        state["weight_zero_point"] = torch.randint(low, high, shape, generator=generator, dtype=torch.int8)
    compressor = BaseCompressor.get_value_from_registry(layout)
    compressed = compressor.compress(state, scheme)
    back = compressor.decompress(compressed, scheme)["weight"]
    code = torch.float8_e4m3fn if kind == "float" else torch.int8
    codes = quantize(weight, scale, state.get("weight_zero_point"), args, dtype=code)
    assert back.dtype == dtype, back.dtype
    name = f"case_{number:02}"
    tensors = {f"{name}.{part}": tensor.contiguous() for part, tensor in compressed.items()}
    tensors[f"dense.{name}"] = back.contiguous()
    tensors[f"codes.{name}"] = codes.view(torch.uint8 if kind == "float" else torch.int8).contiguous()
    if not symmetric:
        tensors[f"zero_points.{name}"] = state["weight_zero_point"].clone()
    config = QuantizationConfig(
        config_groups={"group_0": scheme},
        format=layout,
        quantization_status="compressed",
        ignore=["lm_head"],
    )
    return {
        "module": name,
        "layout": layout,
        "quantization_config": config.model_dump(mode="json"),
    }, tensors


def main():
    kinds = [("pack-quantized", bits, "group", False) for bits in range(1, 9)]
    kinds += [("pack-quantized", bits, "group", True) for bits in (1, 2, 3, 4, 8)]
    for bits in (4, 8):
        kinds += [("pack-quantized", bits, "channel", symmetric) for symmetric in (True, False)]
        kinds += [("pack-quantized", bits, "tensor", True), ("pack-quantized", bits, "block", True)]
    for symmetric in (True, False):
        kinds += [("int-quantized", 8, strategy, symmetric) for strategy in ("tensor", "channel", "group")]
        kinds += [("int-quantized", 4, "channel", symmetric), ("naive-quantized", 8, "channel", symmetric)]
        kinds += [("naive-quantized", 8, "block", symmetric)]
    kinds += [("float-quantized", 8, strategy, True) for strategy in ("tensor", "channel", "group", "block")]
    kinds += [("naive-quantized", 0, strategy, True) for strategy in ("tensor", "channel")]
    cases, tensors = [], {}
    for number, kind in enumerate(kinds):
        made, parts = case(number, *kind)
        cases.append(made)
        tensors |= parts
    safetensors.torch.save_file(tensors, HERE / "compressed_tensors.safetensors", {"format": "pt"})
    golden = {"made_by": MADE_BY, "cases": cases}
    (HERE / "compressed_tensors.json").write_text(json.dumps(golden, indent=0) + "\n")
    print(len(cases), "cases")


main()
