"""Makes gptq.json and awq.json with the real packers and readers of `auto-round` and `compressed-tensors`.

    python -m pip install --no-deps auto-round==0.16.0
    python -m pip install torch transformers compressed-tensors
    python tests/golden/gptq.py

Of auto-round only three files are loaded, by their paths: its readers in PyTorch and its packer. Importing the package
would need everything that it quantizes with. Parts of a module are packed by its `pack_bitstream` from random codes and
zero points; what they mean is what its layer gives for the identity, in the type of the scales. Of that every eighth output is stored.
AWQ is read by auto-round's `dequantize_gemm` and by compressed-tensors' converter, which must agree.
"""

import functools
import importlib.metadata
import importlib.util
import json
import pathlib
import sys
import types

import torch

HERE = pathlib.Path(__file__).parent


@functools.cache
def folder(package):
    return pathlib.Path(importlib.util.find_spec(package).submodule_search_locations[0])


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def auto_round():
    """The packer, and the layers that read v1 and v2."""
    # Found before it is replaced by an empty one.
    package, readers = folder("auto_round"), folder("auto_round_extension") / "torch"
    if "auto_round" not in sys.modules:
        sys.modules["auto_round"] = types.ModuleType("auto_round")
        utils = types.ModuleType("auto_round.utils")
        utils.get_packing_device = lambda device=None: torch.device("cpu")
        utils.logger = None
        sys.modules["auto_round.utils"] = utils
    packer = load("auto_round.utils.bit_packing", package / "utils" / "bit_packing.py")
    v1 = load("rarefy_v1", readers / "qlinear_torch_zp.py").QuantLinear
    v2 = load("rarefy_v2", readers / "qlinear_torch.py").QuantLinear
    return packer, v1, v2


def read(layers, bits, group, checkpoint_format, parts):
    """The weights of a module, outputs × inputs, as the layer computes them."""
    k, n = parts["qweight"].shape[0] * 32 // bits, parts["qweight"].shape[1]
    layer = layers[checkpoint_format](bits, group, k, n, bias=False, g_idx=True)
    layer.qweight, layer.qzeros, layer.scales = parts["qweight"], parts["qzeros"], parts["scales"]
    layer.g_idx = parts["g_idx"]
    return layer(torch.eye(k, dtype=parts["scales"].dtype)).t().contiguous()


def stored(tensor):
    names = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.int32: "I32", torch.uint8: "U8"}
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes().hex()
    return {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "bytes": data}


def scales(generator, groups, n, dtype=torch.float16):
    """Of many sizes: some products round, the least ones to numbers without a leading one."""
    size = 10.0 ** torch.randint(-3, 1, (groups, n), generator=generator)
    size[:, 3] = 1e-6
    return (torch.rand((groups, n), generator=generator) + 0.5).mul(size).to(dtype)


def gptq_case(name, packer, layers, bits, group, k, sym=False, order=False, checkpoint_format="gptq", beyond=False, dtype=torch.float16):
    generator = torch.Generator().manual_seed(bits * 1000 + k + (group if group > 0 else 7))
    n, size = 32, group if group > 0 else k
    groups = -(-k // size)
    codes = torch.randint(0, 2**bits, (k, n), generator=generator, dtype=torch.int32)
    least = 1 if checkpoint_format == "gptq" else 0
    zeros = torch.randint(least, 2**bits, (groups, n), generator=generator, dtype=torch.int32)
    if sym:
        zeros[:] = 2 ** (bits - 1)
    if beyond:
        zeros[:, ::3] = 2**bits
    g_idx = torch.arange(k, dtype=torch.int32) // size
    if order:
        g_idx = g_idx[torch.randperm(k, generator=generator)]
    less = 1 if checkpoint_format == "gptq" else 0
    parts = {
        "qweight": packer.pack_bitstream(codes, bits, dim=0),
        "qzeros": packer.pack_bitstream(zeros - less, bits, dim=1),
        "scales": scales(generator, groups, n, dtype),
        "g_idx": g_idx,
    }
    weights = read(layers, bits, group, checkpoint_format, parts)
    steps = codes - zeros[g_idx.long()]
    right = (parts["scales"].float()[g_idx.long()] * steps.float()).to(dtype).t()
    assert torch.equal(weights, right), name
    config = {
        "quant_method": "gptq",
        "bits": bits,
        "group_size": group,
        "desc_act": order,
        "sym": sym,
        "checkpoint_format": checkpoint_format,
    }
    tensors = {f"m.{part}": stored(tensor) for part, tensor in parts.items()}
    return {"name": name, "config": config, "tensors": tensors, "beyond": beyond, "every": 8, "weights": stored(weights[::8])}


def gptq(packer, layers):
    cases = []
    for bits in (2, 3, 4, 8):
        for group, k in ((32, 64), (128, 256), (-1, 64)):
            for sym in (False, True):
                cases.append((bits, group, k, {"sym": sym}))
        cases.append((bits, 32, 64, {"order": True}))
        cases.append((bits, 32, 64, {"checkpoint_format": "gptq_v2"}))
        cases.append((bits, 32, 64, {"beyond": True}))
    cases.append((4, 128, 160, {}))
    cases.append((4, 128, 160, {"order": True}))
    cases.append((4, 128, 256, {"order": True, "sym": True}))
    cases.append((4, 32, 64, {"order": True, "checkpoint_format": "gptq_v2"}))
    cases.append((4, 32, 64, {"dtype": torch.bfloat16}))
    named = lambda bits, group, k, more: f"{bits} bits, groups of {group}, {k} inputs {more}"
    return [gptq_case(named(*case), packer, layers, *case[:3], **case[3]) for case in cases]


def awq_case(packer, dequantize_gemm, converter, group, k, zero_point):
    generator = torch.Generator().manual_seed(group + k)
    n, size = 40, group if group > 0 else k
    codes = torch.randint(0, 16, (k, n), generator=generator, dtype=torch.int32)
    zeros = torch.randint(0, 16, (k // size, n), generator=generator, dtype=torch.int32)
    if not zero_point:
        zeros[:] = 8

    def words(values):
        # The packer wants blocks of 32; the layout needs but eight.
        padded = torch.nn.functional.pad(values, (0, -n % 32))
        return packer.pack_awq_bitstream(padded, 4, dim=1)[:, : n // 8].contiguous()

    qweight, qzeros, scale = words(codes), words(zeros), scales(generator, k // size, n)
    weights = dequantize_gemm(qweight, qzeros, scale, 4, size).t().contiguous()
    converter = converter(group_size=group, zero_point=zero_point)
    ints, turned, points = converter._convert_gemm_module(qweight, scale, qzeros)
    points = points if zero_point else torch.zeros_like(turned, dtype=torch.int8)
    steps = ints - points.repeat_interleave(size, 1)
    assert torch.equal(turned.repeat_interleave(size, 1) * steps, weights)
    config = {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": zero_point, "version": "gemm"}
    tensors = {"m.qweight": qweight, "m.scales": scale} | ({"m.qzeros": qzeros} if zero_point else {})
    return {
        "name": f"groups of {group}, {k} inputs, {zero_point}",
        "config": config,
        "tensors": {name: stored(tensor) for name, tensor in tensors.items()},
        "every": 1,
        "weights": stored(weights),
    }


def awq(packer):
    from compressed_tensors.entrypoints.convert.converters.autoawq import AutoAWQConverter

    reader = load("rarefy_awq", folder("auto_round") / "export" / "export_to_awq" / "utils.py")
    cases = ((32, 64, True), (-1, 64, True), (16, 48, True), (32, 64, False))
    return [awq_case(packer, reader.dequantize_gemm, AutoAWQConverter, *case) for case in cases]


def made_by(*packages):
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    return f"tests/golden/gptq.py with {versions}"


def write(file, by, cases):
    (HERE / file).write_text(json.dumps({"made_by": by, "cases": cases}, indent=0) + "\n")


if __name__ == "__main__":
    # Scripts of this folder have names of packages that transformers looks for.
    sys.path[:] = [path for path in sys.path if path != str(HERE)]
    packer, v1, v2 = auto_round()
    layers = {"gptq": v1, "gptq_v2": v2}
    write("gptq.json", made_by("auto-round", "torch"), gptq(packer, layers))
    write("awq.json", made_by("compressed-tensors", "auto-round", "torch"), awq(packer))
