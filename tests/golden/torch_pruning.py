"""Makes torch_pruning.safetensors and torch_pruning.json beside this script by the real PyTorch: the state of a model that
torch.nn.utils.prune pruned, and what its weights then are.

    peers/bin/python tests/golden/torch_pruning.py

Floats in the JSON are stored as the integers that their bits are.
"""

import json
import pathlib
import struct

import torch
import torch.nn.utils.prune as prune
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


def bits(tensor):
    if tensor.dtype in (torch.float16, torch.bfloat16):
        return [x & 0xFFFF for x in tensor.view(torch.int16).flatten().tolist()]
    code = ("<f", "<I") if tensor.dtype == torch.float32 else ("<d", "<Q")
    return [struct.unpack(code[1], struct.pack(code[0], x))[0] for x in tensor.flatten().tolist()]


torch.manual_seed(3)
model = torch.nn.Sequential(
    torch.nn.Conv2d(2, 3, 3),
    torch.nn.Linear(7, 5),
    torch.nn.Linear(5, 4).to(torch.float16),
    torch.nn.Linear(4, 4).to(torch.bfloat16),
    torch.nn.Linear(4, 3).to(torch.float64),
    torch.nn.LayerNorm(3),
)
with torch.no_grad():
    # What a product with nothing does to special numbers.
    model[1].weight[0, :4] = torch.tensor([-0.0, 0.0, -1e-42, 1e-42])
prune.l1_unstructured(model[0], "weight", 0.5)
prune.l1_unstructured(model[1], "weight", 0.4)
prune.l1_unstructured(model[1], "weight", 0.4)
prune.l1_unstructured(model[1], "bias", 2)
prune.ln_structured(model[4], "weight", 1, n=2, dim=0)
for number in (2, 3):
    weight = model[number].weight
    # Of 16 bits, whose magnitudes tie: which are pruned is said.
    prune.custom_from_mask(model[number], "weight", torch.arange(weight.numel()).reshape(weight.shape) % 3 != 0)

effective = {}
for name, buffer in model.named_buffers():
    module, parameter = name.removesuffix("_mask").split(".")
    weight = getattr(model[int(module)], parameter).detach()
    effective[f"{module}.{parameter}"] = {"shape": list(weight.shape), "bits": bits(weight)}
save_file(model.state_dict(), HERE / "torch_pruning.safetensors")
made_by = f"torch_pruning.py with torch {torch.__version__}"
lines = ",\n".join(json.dumps({"name": name, **value}) for name, value in sorted(effective.items()))
(HERE / "torch_pruning.json").write_text(f'{{"made_by": "{made_by}", "cases": [\n{lines}\n]}}\n')
print(sorted(model.state_dict()), made_by)
