"""Makes minifinetuning.json beside this script: teachers corrected by labels, from the real PyTorch.

    peers/bin/python tests/golden/minifinetuning.py

What `MFTLoss` of NVIDIA's Model Optimizer (modelopt/torch/distill/losses.py) computes, written out here:
corrected probabilities, the divergence from them as a mean over rows times T squared, and its gradient by
PyTorch. It has 1e-7 in both denominators, and so have these values. Floats are stored as their bits.
"""

import json
import pathlib
import struct

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
GUARD = 1e-7


def bits(tensor):
    code = {torch.float32: ("<f", "<I"), torch.float64: ("<d", "<Q")}[tensor.dtype]
    return [struct.unpack(code[1], struct.pack(code[0], x))[0] for x in tensor.flatten().tolist()]


def corrected(teacher, labels, T, threshold, raise_leaders):
    p = F.softmax(teacher / T, -1)
    p_label = p.gather(1, labels[:, None])
    p_best, best = p.max(-1, keepdim=True)
    wrong = (p_best - p_label + threshold) / (1 + p_best - p_label + GUARD)
    goal = torch.where(p_label > 1 - threshold, torch.ones_like(p_label), p_label + threshold)
    right = (goal - p_best) / (1 - p_best + GUARD)
    if not raise_leaders:
        right = torch.zeros_like(right)
    share = torch.where(best == labels[:, None], right, wrong)
    return (1 - share) * p + share * F.one_hot(labels, p.shape[1])


cases = []
number = 0
for dtype in [torch.float32, torch.float64]:
    for rows, classes, T, spread in [(1, 3, 1.0, 1), (6, 7, 2.0, 2), (5, 4, 1.0, 6)]:
        for threshold in [0.2, 0.0, 0.7, 1.0]:
            for raise_leaders in [True, False]:
                number += 1
                draw = torch.Generator().manual_seed(number)
                s = 2 * torch.randn(rows, classes, generator=draw, dtype=dtype)
                t = spread * torch.randn(rows, classes, generator=draw, dtype=dtype)
                # Every other label is what the teacher says.
                labels = torch.randint(classes, (rows,), generator=draw)
                labels[::2] = t.argmax(-1)[::2]
                s.requires_grad_(True)
                targets = corrected(t, labels, T, threshold, raise_leaders)
                value = T * T * F.kl_div(F.log_softmax(s / T, -1), targets, reduction="batchmean")
                value.backward()
                cases.append(
                    {
                        "dtype": str(dtype)[6:],
                        "shape": [rows, classes],
                        "temperature": T,
                        "threshold": threshold,
                        "raise": raise_leaders,
                        "student": bits(s.detach()),
                        "teacher": bits(t),
                        "labels": labels.tolist(),
                        "targets": bits(targets),
                        "value": bits(value.detach().reshape(1))[0],
                        "grad": bits(s.grad),
                    }
                )

made_by = f"tests/golden/minifinetuning.py with torch {torch.__version__}"
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
(HERE / "minifinetuning.json").write_text(f'{{"made_by":"{made_by}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases")
