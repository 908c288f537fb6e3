"""Makes compose.json beside this script by running the real PyTorch: ensembles, averages of weights,
losses over padded sequences, CTC targets.

    peers/bin/python tests/golden/compose.py

The set-up is that of generate.py. Floats are stored as the integers that their bits are.
"""

import json
import pathlib
import struct

import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

HERE = pathlib.Path(__file__).parent


def bits(tensor):
    """The bits of each element, as integers."""
    code = {torch.float32: ("<f", "<I"), torch.float64: ("<d", "<Q")}[tensor.dtype]
    return [struct.unpack(code[1], struct.pack(code[0], x))[0] for x in tensor.flatten().tolist()]


def randn(shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


cases = []

for seed, (rows, classes) in enumerate([(1, 1), (2, 3), (5, 17), (2, 40)]):
    for weights in [[1.0], [1.0, 1.0], [3.0, 0.5, 1.5]]:
        for temperature in [1.0, 3.0]:
            members = [randn((rows, classes), 100 * seed + k) * 4 for k in range(len(weights))]
            if classes > 2:
                members[0][0, 1] = -torch.inf
            shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
            probabilities = sum(w * F.softmax(z / temperature, 1) for w, z in zip(shares, members))
            cases.append({
                "kind": "ensemble", "shape": [rows, classes], "weights": weights,
                "temperature": temperature, "members": [bits(z) for z in members],
                "probabilities": bits(temperature * probabilities.log()),
                "logits": bits(sum(w * z for w, z in zip(shares, members))),
            })

for decay in [0.5, 0.9, 0.999]:
    model = torch.nn.Linear(3, 2, bias=False, dtype=torch.float64)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    updates = []
    for step in range(12):
        with torch.no_grad():
            model.weight.copy_(randn((2, 3), 1000 + step))
        averaged.update_parameters(model)
        updates.append(bits(model.weight.detach()))
    cases.append({
        "kind": "ema", "decay": decay, "shape": [2, 3], "updates": updates,
        "average": bits(averaged.module.weight.detach()),
    })

for seed, lengths in enumerate([[5, 3], [1, 5, 4], [2, 2, 5, 1]]):
    batch, time, classes = len(lengths), 5, 7
    student, teacher = randn((batch, time, classes), 2000 + seed), randn((batch, time, classes), 2100 + seed)
    tokens = torch.randint(classes, (batch, time), generator=torch.Generator().manual_seed(2200 + seed))
    mask = torch.arange(time)[None] < torch.tensor(lengths)[:, None]
    student.requires_grad_()
    shifted = tokens.masked_fill(~mask, -100)[:, 1:]
    hard = F.cross_entropy(student[:, :-1].flatten(0, 1), shifted.flatten(), ignore_index=-100)
    (hard_grad,) = torch.autograd.grad(hard, student)
    per_token = F.kl_div(
        F.log_softmax(student / 2, -1), F.log_softmax(teacher / 2, -1), reduction="none", log_target=True
    ).sum(-1) * 4
    over_tokens = per_token[mask].mean()
    (tokens_grad,) = torch.autograd.grad(over_tokens, student, retain_graph=True)
    over_sequences = torch.stack([row[:n].mean() for row, n in zip(per_token, lengths)]).mean()
    (sequences_grad,) = torch.autograd.grad(over_sequences, student)
    cases.append({
        "kind": "sequence", "shape": [batch, time, classes], "lengths": lengths,
        "student": bits(student.detach()), "teacher": bits(teacher), "tokens": tokens.flatten().tolist(),
        "hard": bits(hard.detach()), "hard_grad": bits(hard_grad),
        "over_tokens": bits(over_tokens.detach()), "tokens_grad": bits(tokens_grad),
        "over_sequences": bits(over_sequences.detach()), "sequences_grad": bits(sequences_grad),
    })

for seed, (lengths, time, classes) in enumerate([([6, 2], 6, 3), ([0, 30, 17], 30, 4), ([25], 25, 2)]):
    scores = randn((len(lengths), time, classes), 3000 + seed)
    assert all(row.unique().numel() == classes for row in scores.flatten(0, 1)), "torch leaves ties undefined"
    for blank in [0, classes - 1]:
        targets = []
        for frames, n in zip(scores, lengths):
            merged = torch.unique_consecutive(frames[:n].argmax(-1)) if n else torch.tensor([], dtype=torch.long)
            targets.append(merged[merged != blank].tolist())
        cases.append({
            "kind": "ctc", "shape": list(scores.shape), "lengths": lengths, "blank": blank,
            "scores": bits(scores), "targets": targets,
        })

text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
made_by = f"tests/golden/compose.py with torch {torch.__version__}"
(HERE / "compose.json").write_text(f'{{"made_by":"{made_by}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases")
