"""Makes inner.json: losses over features as a few lines of PyTorch, value and gradient by autograd.

    peers/bin/python tests/golden/inner.py

As generate.py says: no test needs this, and floats are stored as the integers that their bits are.
Everything runs in f64 on numbers that an f32 holds too, so that both can be tested.
"""

import json
import math
import pathlib
import struct

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
MADE_BY = f"tests/golden/inner.py with torch {torch.__version__}"
seed = 0
cases = []


def randn(*shape):
    global seed
    seed += 1
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32).double()


def bits(tensor):
    flat = tensor.detach().double().flatten().tolist()
    return [struct.unpack("<Q", struct.pack("<d", x))[0] for x in flat]


def stored(parts):
    return {name: {"shape": list(x.shape), "bits": bits(x)} for name, x in parts.items()}


def case(loss, student, teacher, value, weights=None, **more):
    """`value` is a function of both dictionaries."""
    # Leaves, after what made them.
    student = {name: x.detach().requires_grad_() for name, x in student.items()}
    found = value(student, teacher)
    found.backward()
    grads = {n: torch.zeros_like(x) if x.grad is None else x.grad for n, x in student.items()}
    cases.append({"loss": loss, "student": stored(student), "teacher": stored(teacher),
                  "weights": None if weights is None else bits(weights),
                  "value": bits(found)[0], "grads": {n: bits(g) for n, g in grads.items()}, **more})


def cosine_rows(a, b):
    return F.cosine_similarity(a, b, dim=-1, eps=1e-300)


def units(x):
    return F.normalize(x, dim=-1, eps=1e-300)


def flat(x):
    return x.reshape(len(x), -1)


# --- hidden states ---------------------------------------------------------------------------------

for shape in [(3, 4), (2, 3, 5)]:
    case("hidden mse", {"h": randn(*shape)}, {"h": randn(*shape)},
         lambda s, t: F.mse_loss(s["h"], t["h"]))
    case("hidden cosine", {"h": randn(*shape)}, {"h": randn(*shape)},
         lambda s, t: (1 - cosine_rows(s["h"], t["h"])).mean())
weights = torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64)
projected = lambda s: s["h"] @ s["proj"] + s["bias"]
for loss, value in [
    ("hidden mse, projected", lambda s, t: ((projected(s) - t["h"]) ** 2 * weights[:, None, None]).mean()),
    ("hidden cosine, projected",
     lambda s, t: ((1 - cosine_rows(projected(s), t["h"])) * weights[:, None]).mean()),
]:
    case(loss, {"h": randn(3, 2, 4), "proj": randn(4, 6), "bias": randn(6)},
         {"h": randn(3, 2, 6)}, value, weights)

# --- attention -------------------------------------------------------------------------------------

mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=torch.float64)


def kept(a):
    return (mask[:, None, :, None] * mask[:, None, None, :] == 1).expand_as(a)


def attention_divergence(s, t, entropy):
    keep = kept(s)
    rows = keep.any(-1)
    hide = lambda a: a.masked_fill(~keep, -math.inf)[rows]
    p, log_q = F.softmax(hide(t), -1), F.log_softmax(hide(s), -1).masked_fill(~keep[rows], 0)
    cross = -(p * log_q).sum(-1).mean()
    log_p = F.log_softmax(hide(t), -1).masked_fill(~keep[rows], 0)
    return cross if entropy else cross + (p * log_p).sum(-1).mean()


everyone = lambda: ({"a": randn(2, 3, 4, 4) * 2}, {"a": randn(2, 3, 4, 4) * 2, "mask": mask})
case("attention mse", *everyone(), lambda s, t: ((s["a"] - t["a"])[kept(s["a"])] ** 2).mean())
case("attention kl", *everyone(), lambda s, t: attention_divergence(s["a"], t["a"], False))
case("attention cross-entropy", *everyone(), lambda s, t: attention_divergence(s["a"], t["a"], True))


def relation(a, b, t_a, t_b):
    def log_relation(a, b):
        return F.log_softmax(a @ b.transpose(-1, -2) / math.sqrt(a.shape[-1]), -1)
    p, q = log_relation(t_a, t_b), log_relation(a, b)
    return (p.exp() * (p - q)).sum(-1).mean()


heads = lambda width: {name: randn(2, 3, 5, width) for name in "qkv"}
case("relation kl", heads(4), heads(6), lambda s, t: relation(s["q"], s["k"], t["q"], t["k"]))
case("minilm", heads(4), heads(6), lambda s, t: relation(s["q"], s["k"], t["q"], t["k"])
     + relation(s["v"], s["v"], t["v"], t["v"]))
case("minilm v2", heads(3), heads(3),
     lambda s, t: sum(relation(s[x], s[x], t[x], t[x]) for x in "qkv"))

# --- maps of convolutions --------------------------------------------------------------------------

for power in [2, 3]:
    at = lambda x: F.normalize(x.abs().pow(power).sum(1).flatten(1), dim=1)
    case(f"attention transfer, p = {power}", {"h": randn(3, 4, 2, 5)}, {"h": randn(3, 6, 2, 5)},
         lambda s, t: (at(s["h"]) - at(t["h"])).pow(2).mean())


def flow(a, b):
    a, b = a.flatten(2), b.flatten(2)
    return a @ b.transpose(1, 2) / a.shape[-1]


case("fsp", {"a": randn(3, 4, 2, 3), "b": randn(3, 5, 2, 3)},
     {"a": randn(3, 4, 7), "b": randn(3, 5, 7)},
     lambda s, t: (flow(s["a"], s["b"]) - flow(t["a"], t["b"])).pow(2).sum((1, 2)).mean())
case("gram", {"h": randn(3, 4, 2, 3)}, {"h": randn(3, 4, 2, 3)},
     lambda s, t: (flow(s["h"], s["h"]) - flow(t["h"], t["h"])).pow(2).sum((1, 2)).mean())


def mmd(s, t, kernel):
    s, t = units(s.flatten(2)), units(t.flatten(2))
    mean = lambda a, b: kernel(a @ b.transpose(1, 2)).mean((1, 2))
    return (mean(s, s) + mean(t, t) - 2 * mean(s, t)).mean()


for name, kernel in [("linear", lambda x: x), ("square", lambda x: x**2),
                     ("cubic", lambda x: (x + 0.5) ** 3)]:
    case(f"mmd, {name}", {"h": randn(3, 4, 2, 3)}, {"h": randn(3, 6, 2, 3)},
         lambda s, t: mmd(s["h"], t["h"], kernel))
case("patient hidden", {"h": randn(3, 4, 5)}, {"h": randn(3, 2, 5)},
     lambda s, t: (units(s["h"][:, 0]) - units(t["h"][:, 0])).pow(2).sum(1).mean())

# --- relations of examples -------------------------------------------------------------------------


def distances(x):
    x = flat(x)
    square = (x[:, None] - x[None]).pow(2).sum(-1)
    # The diagonal is zero, where the square root has no derivative.
    d = (square + torch.eye(len(x))).sqrt() - torch.eye(len(x))
    return d / (d.sum() / (len(x) * (len(x) - 1)))


def angles(x):
    x = flat(x)
    difference = x[None] - x[:, None]
    square = difference.pow(2).sum(-1, keepdim=True)
    e = difference / (square + (square == 0)).sqrt()
    return torch.bmm(e, e.transpose(1, 2))


def similarity(x):
    return units(flat(x) @ flat(x).T)


def picks(x):
    k = (units(flat(x)) @ units(flat(x)).T + 1) / 2 + 1e-7
    k = k * (1 - torch.eye(len(k)))
    return k / k.sum(1, keepdim=True)


def pkt(s, t):
    p, q, off = picks(t), picks(s), ~torch.eye(len(s), dtype=torch.bool)
    return (p[off] * (p[off] / q[off]).log()).sum() / len(s)


def kernel(x, of):
    return of(units(flat(x)) @ units(flat(x)).T)


taylor = lambda c: math.exp(-0.8) * (1 + 0.8 * c + (0.8 * c) ** 2 / 2)
gaussian = lambda c: torch.exp(-2 * 0.7 * (1 - c))
for student, teacher in [((6, 4), (6, 9)), ((5, 2, 3), (5, 3)), ((2, 3), (2, 3)), ((1, 3), (1, 3))]:
    pair = lambda: ({"h": randn(*student)}, {"h": randn(*teacher)})
    if student[0] > 1:
        case("relational distance", *pair(), lambda s, t: F.smooth_l1_loss(distances(s["h"]), distances(t["h"])))
        case("pkt", *pair(), lambda s, t: pkt(s["h"], t["h"]))
    case("relational angle", *pair(), lambda s, t: F.smooth_l1_loss(angles(s["h"]), angles(t["h"])))
    case("similarity preserving", *pair(), lambda s, t: (similarity(s["h"]) - similarity(t["h"])).pow(2).mean())
    for name, of in [("bilinear", lambda c: c), ("taylor", taylor), ("gaussian", gaussian)]:
        case(f"correlation congruence, {name}", *pair(),
             lambda s, t: (kernel(s["h"], of) - kernel(t["h"], of)).pow(2).mean())


def pearson(a, b):
    return cosine_rows(a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True))


def dist(s, t, temperature):
    q, p = F.softmax(s / temperature, 1), F.softmax(t / temperature, 1)
    inter, intra = (1 - pearson(q, p)).mean(), (1 - pearson(q.T, p.T)).mean()
    return temperature**2 * (0.5 * inter + 2 * intra)


for rows, classes in [(4, 5), (7, 3)]:
    for temperature in [1.0, 4.0]:
        case("dist", {"logits": randn(rows, classes) * 3}, {"logits": randn(rows, classes) * 3},
             lambda s, t: dist(s["logits"], t["logits"], temperature), temperature=temperature)

text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
(HERE / "inner.json").write_text(f'{{"made_by":"{MADE_BY}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases")
