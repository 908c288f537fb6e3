"""Reads a GPTQ checkpoint by auto-round's readers and prints what its modules mean: the peer of tests/files/gptq_peer.rs.

    RAREFY_PEERS_PYTHON=python cargo test --features gptq --test files gptq_peer

The argument is a folder with `model.safetensors` and `config.json`, the `quantization_config` of which says how to read.
For each module a line: name, shape, and the bits of the weights in F16 as hexadecimal digits.
"""

import json
import pathlib
import sys

from safetensors.torch import load_file

from gptq import auto_round, read, stored

path = pathlib.Path(sys.argv[1])
config = json.loads((path / "config.json").read_text())["quantization_config"]
tensors = load_file(path / "model.safetensors")
_, v1, v2 = auto_round()
for name in sorted(tensors):
    if name.endswith(".qweight"):
        module = name.removesuffix(".qweight")
        parts = {part: tensors[f"{module}.{part}"] for part in ("qweight", "qzeros", "scales", "g_idx")}
        weights = read({"gptq": v1, "gptq_v2": v2}, config["bits"], config["group_size"], config["checkpoint_format"], parts)
        print(module, *weights.shape, stored(weights)["bytes"])
