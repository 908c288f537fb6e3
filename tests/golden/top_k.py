"""Makes top_k.json by running the real PyTorch in f64; see generate.py beside this script.

    peers/bin/python tests/golden/top_k.py

PyTorch has the k largest and a divergence of log-probabilities; which of them are compared is written
out here. Gradients are autograd's.
"""

import json
import pathlib
import struct

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
MADE_BY = f"tests/golden/top_k.py with torch {torch.__version__}"


def bits(tensor):
    return [struct.unpack("<Q", struct.pack("<d", x))[0] for x in tensor.flatten().tolist()]


def within(z, indices, logs, temperature):
    q = F.log_softmax(z.gather(1, indices) / temperature, 1)
    p = F.log_softmax(logs / temperature, 1)
    return F.kl_div(q, p, reduction="batchmean", log_target=True) * temperature**2


def bucket(z, indices, logs):
    others = torch.ones_like(z, dtype=torch.bool).scatter(1, indices, False)
    q = F.log_softmax(z, 1)
    tail_q = q.masked_fill(~others, -torch.inf).logsumexp(1, keepdim=True)
    tail_p = torch.log1p(-logs.exp().sum(1, keepdim=True))
    q = torch.cat([q.gather(1, indices), tail_q], 1)
    p = torch.cat([logs, tail_p], 1)
    return F.kl_div(q, p, reduction="batchmean", log_target=True)


cases = []
seed = 0
for rows, classes, k in [(1, 2, 1), (3, 10, 4), (4, 100, 7), (2, 300, 32)]:
    for spread in [1.0, 5.0]:
        seed += 1
        generator = torch.Generator().manual_seed(seed)
        student, teacher = (
            (torch.randn(rows, classes, generator=generator, dtype=torch.float64) * spread * 256).round() / 256
            for _ in range(2)
        )
        # In 256ths, which fit f32 as well, and without ties among the k.
        teacher += torch.arange(classes, dtype=torch.float64) / 2**18
        logs, indices = F.log_softmax(teacher, 1).topk(k)
        case = {"shape": [rows, classes], "k": k, "student": bits(student), "teacher": bits(teacher)}
        case |= {"indices": indices.flatten().tolist(), "logs": bits(logs), "losses": []}
        for temperature in [1.0, 2.0, 0.5, None]:
            z = student.clone().requires_grad_()
            value = bucket(z, indices, logs) if temperature is None else within(z, indices, logs, temperature)
            value.backward()
            # Of a large gradient the k entries and a few others tell enough.
            grad = z.grad if classes <= 100 else z.grad[:, :50]
            case["losses"].append({"temperature": temperature, "value": bits(value), "grad": bits(grad)})
        cases.append(case)

text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
(HERE / "top_k.json").write_text(f'{{"made_by":"{MADE_BY}","cases":[\n{text}\n]}}\n')
print("top_k.json", len(cases), "cases")
