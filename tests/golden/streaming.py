"""Makes streaming.json beside this script by running the real PyTorch.

    peers/bin/python tests/golden/streaming.py

Needs what generate.py needs. Everything is f64; floats are stored as the integers that their bits are.
Universal logit distillation is not in PyTorch: the formula of the paper is written in it, and autograd
differentiates it.
"""

import json
import pathlib
import struct

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent


def bits(tensor):
    return [struct.unpack("<Q", struct.pack("<d", x))[0] for x in tensor.detach().flatten().tolist()]


def randn(shape, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * scale


def layered(tokens, classes, width, teacher_width, temperature, soft, hard, seed):
    hidden = randn((tokens, width), seed).requires_grad_()
    projection = randn((classes, width), seed + 1).requires_grad_()
    bias = randn((classes,), seed + 2).requires_grad_()
    taught = randn((tokens, teacher_width), seed + 3)
    teacher_projection = randn((classes, teacher_width), seed + 4)
    labels = torch.randint(classes, (tokens,), generator=torch.Generator().manual_seed(seed + 5))
    student = F.linear(hidden, projection, bias)
    teacher = F.linear(taught, teacher_projection)
    kl = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.softmax(teacher / temperature, 1),
        reduction="batchmean",
    )
    loss = soft * temperature**2 * kl + hard * F.cross_entropy(student, labels)
    loss.backward()
    return {
        "kind": "streaming",
        "tokens": tokens, "classes": classes, "width": width, "teacher_width": teacher_width,
        "temperature": temperature, "soft": soft, "hard": hard,
        "hidden": bits(hidden), "projection": bits(projection), "bias": bits(bias),
        "taught": bits(taught), "teacher_projection": bits(teacher_projection),
        "labels": labels.tolist(), "value": bits(loss),
        "hidden_grad": bits(hidden.grad), "projection_grad": bits(projection.grad),
        "bias_grad": bits(bias.grad),
    }


def universal(rows, classes, teacher_classes, temperature, seed):
    student = randn((rows, classes), seed, 2.0).requires_grad_()
    teacher = randn((rows, teacher_classes), seed + 1, 2.0)
    q = F.softmax(student / temperature, 1).sort(1, descending=True).values
    p = F.softmax(teacher / temperature, 1).sort(1, descending=True).values
    longest = max(classes, teacher_classes)
    q = F.pad(q, (0, longest - classes))
    p = F.pad(p, (0, longest - teacher_classes))
    loss = (p - q).abs().sum(1).mean()
    loss.backward()
    return {
        "kind": "sorted", "rows": rows, "classes": classes, "teacher_classes": teacher_classes,
        "temperature": temperature, "student": bits(student), "teacher": bits(teacher),
        "value": bits(loss), "grad": bits(student.grad),
    }


cases = [
    layered(5, 7, 3, 4, 1.0, 1.0, 0.0, 10),
    layered(4, 9, 2, 5, 2.0, 0.7, 0.3, 20),
    layered(3, 6, 4, 4, 4.0, 0.0, 1.0, 30),
    universal(3, 6, 6, 1.0, 40),
    universal(4, 9, 5, 2.0, 50),
    universal(2, 4, 11, 0.7, 60),
]
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
made_by = f"tests/golden/streaming.py with torch {torch.__version__}"
(HERE / "streaming.json").write_text(f'{{"made_by":"{made_by}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases")
