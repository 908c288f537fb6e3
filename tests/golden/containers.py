"""Makes containers.json beside this script by running the real PyTorch: tensors that are pruned again
and again, so that torch.nn.utils.prune builds a PruningContainer.

    peers/bin/python tests/golden/containers.py

Floats are stored as the integers that their bits are, masks as strings of 0 and 1 in row-major order.
Magnitudes and norms are all different: which of several equals PyTorch takes is not defined.
"""

import json
import pathlib
import struct

import torch
import torch.nn.utils.prune as prune

HERE = pathlib.Path(__file__).parent


def bits(tensor):
    """The bits of each element, as integers."""
    return [struct.unpack("<Q", struct.pack("<d", x))[0] for x in tensor.flatten().tolist()]


def weights(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def run(shape, seed, steps):
    module = torch.nn.Module()
    start = weights(shape, seed)
    module.weight = torch.nn.Parameter(start.clone())
    masks = []
    for step in steps:
        match step:
            case ["l1", amount]:
                prune.l1_unstructured(module, "weight", amount)
            case ["scores", amount]:
                scores = weights(shape, seed + 1000)
                prune.l1_unstructured(module, "weight", amount, importance_scores=scores.abs())
            case ["ln", amount, n, dim]:
                prune.ln_structured(module, "weight", amount, n=n, dim=dim)
            case ["identity"]:
                prune.identity(module, "weight")
            case ["custom", modulus]:
                mask = (torch.arange(start.numel()) % modulus != 0).reshape(shape)
                prune.custom_from_mask(module, "weight", mask)
        masks.append("".join(str(int(x)) for x in module.weight_mask.flatten().tolist()))
    return {
        "shape": list(shape),
        "weights": bits(start),
        "scores": bits(weights(shape, seed + 1000).abs()),
        "steps": [
            {"method": s[0], "amount": s[1] if len(s) > 1 else None, "rest": s[2:]} for s in steps
        ],
        "masks": masks,
    }


plans = [
    ((8,), [["l1", 0.5], ["l1", 0.5]]),
    ((5, 7), [["l1", 0.3], ["l1", 0.3]]),
    ((5, 7), [["l1", 0.5], ["l1", 0.5], ["l1", 0.5]]),
    ((4, 5), [["l1", 3], ["l1", 0.25], ["l1", 4]]),
    ((3, 2, 5), [["l1", 0.1], ["l1", 0.45], ["l1", 7]]),
    ((10,), [["l1", 0.35], ["l1", 0.35], ["l1", 0.35]]),
    ((6, 6), [["l1", 1.0], ["l1", 0.5]]),
    ((6, 6), [["l1", 0.0], ["l1", 0]]),
    ((25,), [["l1", 0.1], ["l1", 0.1], ["l1", 0.1]]),
    ((6, 5), [["scores", 0.4], ["scores", 0.4]]),
    ((6, 5), [["l1", 0.4], ["scores", 5]]),
    ((4, 6), [["custom", 3], ["l1", 0.5]]),
    ((4, 6), [["l1", 0.5], ["custom", 4], ["l1", 0.25]]),
    ((4, 6), [["identity"], ["l1", 0.5], ["identity"], ["l1", 2]]),
    ((6, 5), [["ln", 0.5, 2, 0], ["ln", 0.5, 2, 0]]),
    ((6, 5), [["ln", 2, 1, 0], ["ln", 0.4, 2, 1]]),
    ((6, 5), [["l1", 0.5], ["ln", 0.5, 2, 0]]),
    ((6, 5), [["l1", 0.8], ["ln", 0.5, 1, 1]]),
    ((6, 5), [["ln", 0.5, float("inf"), 0], ["l1", 0.5]]),
    ((3, 4, 5), [["ln", 1, 2, 1], ["l1", 0.3], ["ln", 0.5, 2, 1]]),
]
cases = [run(shape, 1 + number, steps) for number, (shape, steps) in enumerate(plans)]
for case in cases:
    for step in case["steps"]:
        step["rest"] = ["inf" if x == float("inf") else x for x in step["rest"]]

lines = ",\n".join(json.dumps(case) for case in cases)
made_by = f"containers.py with torch {torch.__version__}"
(HERE / "containers.json").write_text(f'{{"made_by": "{made_by}", "cases": [\n{lines}\n]}}\n')
print(len(cases), "cases,", made_by)
