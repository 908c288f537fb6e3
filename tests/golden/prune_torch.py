"""Makes prune_torch.json beside this script by running torch.nn.utils.prune.

    peers/bin/python tests/golden/prune_torch.py

No test needs this: `cargo test` reads the committed file. Floats are stored as the integers that their
bits are. Weights are drawn until no two scores are nearer than one part in 10 000: torch leaves ties
undefined and rounds its norms in the tensor's own type.
"""

import json
import pathlib
import struct

import torch
import torch.nn.utils.prune as prune

HERE = pathlib.Path(__file__).parent
seed = 20_000


def bits(tensor):
    code = {torch.float32: ("<f", "<I"), torch.float64: ("<d", "<Q")}[tensor.dtype]
    return [struct.unpack(code[1], struct.pack(code[0], x))[0] for x in tensor.flatten().tolist()]


def flags(mask):
    return [int(x) for x in mask.flatten().tolist()]


def draw(shape, dtype, score):
    """Weights whose scores, by this function, are well apart."""
    global seed
    while True:
        seed += 1
        w = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        scores = score(w.double()).flatten().sort().values
        if len(scores) < 2 or (scores.diff() > 1e-4 * scores.abs()[1:]).all():
            return w


def module_of(*tensors):
    module = torch.nn.Module()
    for number, tensor in enumerate(tensors):
        module.register_parameter(f"w{number}", torch.nn.Parameter(tensor.clone()))
    return module


def norms(w, n, dim):
    rest = [d for d in range(w.dim()) if d != dim]
    return torch.norm(w, p=n, dim=rest)


cases = []
for dtype in [torch.float32, torch.float64]:
    for shape in [(3, 4), (7, 5), (4, 3, 3), (4, 3, 2, 2)]:
        for dim in range(len(shape)):
            for n in [1, 2, float("inf"), -float("inf"), 3, 0.5, -1.5]:
                for amount in [0.3, 0.5, 2]:
                    if n not in (1, 2) and amount == 0.5:
                        continue
                    w = draw(shape, dtype, lambda w: norms(w, n, dim))
                    module = module_of(w)
                    prune.ln_structured(module, "w0", amount, n, dim)
                    cases.append({
                        "kind": "ln_structured", "dtype": str(dtype)[6:], "shape": list(shape), "weights": bits(w),
                        "n": str(float(n)), "dim": dim, "amount": amount, "mask": flags(module.w0_mask),
                    })
    # Scores of the caller's: single weights, and norms over the scores.
    for shape in [(8,), (5, 6), (3, 4, 5)]:
        for amount in [0.25, 0.6, 3]:
            w = draw(shape, dtype, torch.abs)
            scores = draw(shape, dtype, torch.abs)
            module = module_of(w)
            prune.l1_unstructured(module, "w0", amount, importance_scores=scores.abs())
            case = {"kind": "scores", "dtype": str(dtype)[6:], "shape": list(shape), "weights": bits(w),
                    "scores": bits(scores.abs()), "amount": amount, "mask": flags(module.w0_mask)}
            cases.append(case)
            if len(shape) > 1:
                scores = draw(shape, dtype, lambda s: norms(s, 2, 1))
                module = module_of(w)
                amount = min(amount, 2)
                prune.ln_structured(module, "w0", amount, 2, 1, importance_scores=scores)
                cases.append(case | {"kind": "structured_scores", "scores": bits(scores), "amount": amount,
                                     "mask": flags(module.w0_mask)})
    # Several tensors by one ranking.
    for shapes in [[(6,), (3, 4)], [(2, 3), (1,), (4, 2, 3)], [(9, 9)]]:
        for amount in [0.0, 0.2, 0.5, 0.81, 1.0, 4]:
            total = sum(torch.Size(shape).numel() for shape in shapes)
            w = draw((total,), dtype, torch.abs)
            parts = w.split([torch.Size(shape).numel() for shape in shapes])
            tensors = [part.reshape(shape) for part, shape in zip(parts, shapes)]
            module = module_of(*tensors)
            names = [(module, f"w{number}") for number in range(len(tensors))]
            prune.global_unstructured(names, prune.L1Unstructured, amount=amount)
            cases.append({
                "kind": "global", "dtype": str(dtype)[6:], "shapes": [list(shape) for shape in shapes],
                "weights": [bits(tensor) for tensor in tensors], "amount": amount,
                "masks": [flags(getattr(module, f"w{number}_mask")) for number in range(len(tensors))],
            })

# How many go by chance: which ones is each generator's own affair.
counts = []
for shape in [(5,), (10, 3), (7, 4, 2), (101, 2)]:
    for amount in [0.0, 0.1, 0.25, 0.3, 0.45, 0.5, 0.75, 0.95, 1.0, 1, 4]:
        w = torch.ones(shape)
        module = module_of(w)
        prune.random_unstructured(module, "w0", amount)
        case = {"shape": list(shape), "amount": amount, "dropped": int((module.w0_mask == 0).sum()), "slices": []}
        for dim in range(len(shape)):
            if len(shape) < 2 or (isinstance(amount, int) and amount > shape[dim]):
                continue
            module = module_of(w)
            prune.random_structured(module, "w0", amount, dim)
            case["slices"].append([dim, int((module.w0_mask == 0).sum())])
        counts.append(case)
cases.append({"kind": "random", "counts": counts})

made_by = f"tests/golden/prune_torch.py with torch {torch.__version__}"
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
(HERE / "prune_torch.json").write_text(f'{{"made_by":"{made_by}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases")
