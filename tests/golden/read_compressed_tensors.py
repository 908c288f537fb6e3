"""Reads a checkpoint that rarefy wrote by the real `compressed-tensors` and `transformers`, offline.

    peers/bin/python -P tests/golden/read_compressed_tensors.py FOLDER...

Each folder has a model (config.json, model.safetensors) and `dense.safetensors`, the weights that rarefy decodes from it.
Every reader must give the same bits, and logits that are finite. Prints a line for each folder and reader and fails if
one is wrong. What is known not to load in the peer itself is tried all the same, and what it says is printed.
"""

import os
import pathlib
import re
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"

import compressed_tensors
import torch
import transformers
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from compressed_tensors.utils.match import match_name
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, CompressedTensorsConfig

transformers.logging.set_verbosity_error()


def same(left, right):
    return left.dtype == right.dtype and left.shape == right.shape and torch.equal(
        left.contiguous().view(torch.uint8), right.contiguous().view(torch.uint8)
    )


def by_decompressor(folder, dense):
    """Each module by the compressor of its group."""
    config = AutoConfig.from_pretrained(folder).quantization_config
    config = QuantizationConfig.model_validate(config)
    stored = load_file(folder / "model.safetensors")
    modules = sorted(name.removesuffix(".weight_scale") for name in stored if name.endswith(".weight_scale"))
    for module in modules:
        schemes = [
            scheme
            for scheme in config.config_groups.values()
            if any(target == "Linear" or match_name(module, target) for target in scheme.targets)
        ]
        scheme = schemes[0]
        compressor = BaseCompressor.get_value_from_registry(scheme.format or config.format)
        prefix = module + "."
        state = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
        back = compressor.decompress(state, scheme)["weight"]
        assert same(back, dense[prefix + "weight"]), f"{module} differs"
    return f"{len(modules)} modules"


def by_transformers(folder, dense, **options):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", **options)
    logits = model(torch.arange(12).reshape(2, 6)).logits
    assert torch.isfinite(logits).all(), "logits are not finite"
    # The first use decompresses.
    state = model.state_dict()
    for name, tensor in dense.items():
        assert name in state, f"{name} is missing"
        assert same(state[name], tensor), f"{name} differs: {state[name].dtype} {tensor.dtype}"
    assert set(name for name in state if name.endswith("weight")) == set(dense)
    return f"{len(dense)} tensors, logits up to {logits.abs().max():.3g}"


# What transformers itself does not load, by its own code: on the default path it makes the empty module with zero points
# that are not packed, and to dequantize it takes the group of one module for all.
KNOWN = {"transformers": "asymmetric", "transformers, dequantize=True": "mixed"}
READERS = {
    "compressed-tensors": by_decompressor,
    "transformers": by_transformers,
    "transformers, dequantize=True": lambda folder, dense: by_transformers(
        folder, dense, quantization_config=CompressedTensorsConfig(dequantize=True)
    ),
}


def main():
    print(f"compressed-tensors {compressed_tensors.__version__}, transformers {transformers.__version__}")
    failed = 0
    for folder in map(pathlib.Path, sys.argv[1:]):
        dense = load_file(folder / "dense.safetensors")
        for name, reader in READERS.items():
            known = name in KNOWN and KNOWN[name] in folder.name
            try:
                outcome = "same bits: " + reader(folder, dense)
            except Exception as error:
                # Other bits are never known.
                known = known and not isinstance(error, AssertionError)
                why = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:300]
                outcome = ("does not load, as is known: " if known else "FAILED: ") + why
                failed += not known
            print(f"{folder.name}: {name}: {outcome}")
    sys.exit(1 if failed else 0)


main()
