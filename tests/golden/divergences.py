"""Makes divergences.json beside this script: values and gradients from the real PyTorch.

    peers/bin/python tests/golden/divergences.py

Where PyTorch has the loss (cross_entropy, binary_cross_entropy_with_logits, mse_loss), it is called; the
others are written in its functions and differentiated by it. Floats are stored as their bits.
"""

import json
import pathlib
import struct

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent


def bits(tensor):
    code = {torch.float32: ("<f", "<I"), torch.float64: ("<d", "<Q")}[tensor.dtype]
    return [struct.unpack(code[1], struct.pack(code[0], x))[0] for x in tensor.flatten().tolist()]


def kl(p, q):
    return torch.xlogy(p, p).sum(-1) - torch.xlogy(p, q).sum(-1)


def mixture_of(share):
    return lambda p, q: share * p + (1 - share) * q


def jensen_shannon(beta):
    def loss(p, q):
        m = mixture_of(beta)(p, q)
        return beta * kl(p, m) + (1 - beta) * kl(q, m)

    return loss


def alpha(a):
    return lambda p, q: (1 - (p**a * q ** (1 - a)).sum(-1)) / (a * (1 - a))


OVER_PROBABILITIES = {
    "reverse": lambda p, q: kl(q, p),
    "jensen_shannon 0.5": jensen_shannon(0.5),
    "jensen_shannon 0.1": jensen_shannon(0.1),
    "skewed 0.1": lambda p, q: kl(p, mixture_of(0.1)(p, q)),
    "skewed_reverse 0.3": lambda p, q: kl(q, mixture_of(0.7)(p, q)),
    "alpha 0.5": alpha(0.5),
    "alpha 0.9": alpha(0.9),
}


def over_probabilities(loss):
    return lambda s, t, labels, T: T * T * loss(F.softmax(t / T, -1), F.softmax(s / T, -1)).mean()


def decoupled(s, t, labels, T):
    s, t = s / T, t / T
    onehot = F.one_hot(labels, s.shape[1]).bool()
    p, q = F.softmax(t, -1), F.softmax(s, -1)
    pair = lambda x: torch.stack([x[onehot], 1 - x[onehot]], -1)
    others = lambda z: F.softmax(z[~onehot].reshape(len(z), -1), -1)
    return T * T * (kl(pair(p), pair(q)) + 8 * kl(others(t), others(s))).mean()


def sigmoid(s, t, labels, T):
    p = torch.sigmoid(t / T)
    cross = F.binary_cross_entropy_with_logits(s / T, p, reduction="none")
    own = F.binary_cross_entropy_with_logits(t / T, p, reduction="none")
    return T * T * (cross - own).sum(-1).mean()


def standardised(s, t, labels, T):
    z = lambda x: (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True)
    p, q = F.softmax(z(t) / T, -1), F.softmax(z(s) / T, -1)
    return T * T * kl(p, q).mean()


LOSSES = {name: over_probabilities(loss) for name, loss in OVER_PROBABILITIES.items()}
LOSSES |= {
    "total_variation": lambda s, t, labels, T: (F.softmax(t / T, -1) - F.softmax(s / T, -1))
    .abs()
    .sum(-1)
    .mean()
    / 2,
    "decoupled": decoupled,
    "sigmoid": sigmoid,
    "standardised": standardised,
    "logit_mse": lambda s, t, labels, T: F.mse_loss(s, t),
    "smoothed 0.1": lambda s, t, labels, T: F.cross_entropy(s, labels, label_smoothing=0.1),
    "ignored 2": lambda s, t, labels, T: F.cross_entropy(s, labels, ignore_index=2),
    "ignored and smoothed": lambda s, t, labels, T: F.cross_entropy(
        s, labels, ignore_index=2, label_smoothing=0.3
    ),
}

cases = []
for number, (name, loss) in enumerate(LOSSES.items()):
    for dtype in [torch.float32, torch.float64]:
        for rows, classes, T in [(1, 3, 1.0), (4, 7, 2.0)]:
            draw = torch.Generator().manual_seed(1000 + number)
            s = 2 * torch.randn(rows, classes, generator=draw, dtype=dtype)
            t = 2 * torch.randn(rows, classes, generator=draw, dtype=dtype)
            labels = torch.tensor([0, 2, 1, 6][:rows])
            s.requires_grad_(True)
            value = loss(s, t, labels, T)
            value.backward()
            cases.append(
                {
                    "loss": name,
                    "dtype": str(dtype)[6:],
                    "shape": [rows, classes],
                    "temperature": T,
                    "student": bits(s.detach()),
                    "teacher": bits(t),
                    "labels": labels.tolist(),
                    "value": bits(value.detach().reshape(1))[0],
                    "grad": bits(s.grad),
                }
            )

made_by = f"tests/golden/divergences.py with torch {torch.__version__}"
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
(HERE / "divergences.json").write_text(f'{{"made_by":"{made_by}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases")
