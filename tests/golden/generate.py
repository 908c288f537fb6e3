"""Makes the golden files beside this script by running the real PyTorch.

    python3 -m venv peers && peers/bin/pip install torch numpy
    peers/bin/python tests/golden/generate.py

No test needs this: `cargo test` reads the committed files. Floats are stored as the integers that
their bits are, so that nothing is lost on the way through JSON.
"""

import json
import pathlib
import struct
import warnings

import torch
import torch.nn.functional as F
import torch.nn.utils.prune as prune
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
MADE_BY = f"tests/golden/generate.py with torch {torch.__version__}"


def bits(tensor):
    """The bits of each element, as integers."""
    code = {torch.float32: ("<f", "<I"), torch.float64: ("<d", "<Q")}[tensor.dtype]
    return [struct.unpack(code[1], struct.pack(code[0], x))[0] for x in tensor.flatten().tolist()]


def write(name, cases):
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (HERE / name).write_text(f'{{"made_by":"{MADE_BY}","cases":[\n{text}\n]}}\n')
    print(name, len(cases), "cases")


def randn(shape, seed, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- pruning: counts over many amounts and sizes, and whole masks where magnitudes differ ----------

counts = []
for n in [1, 2, 3, 5, 7, 10, 16, 25, 50, 99, 100, 101, 1000, 4096, 16777216]:
    for percent in [0, 1, 5, 10, 15, 25, 29, 30, 35, 45, 50, 55, 57, 65, 70, 75, 85, 90, 95, 99, 100]:
        amount = percent / 100
        counts.append([amount, n, prune._compute_nparams_toprune(amount, n)])
masks = []
seed = 0
for dtype in [torch.float32, torch.float64]:
    for shape in [(1,), (5,), (4, 6), (3, 2, 5), (2, 3, 2, 3)]:
        for amount in [0.0, 0.1, 0.3, 0.5, 0.77, 1.0, 1, 3]:
            n = torch.Size(shape).numel()
            if isinstance(amount, int) and amount > n:
                continue
            seed += 1
            w = randn(shape, seed, dtype)
            assert w.abs().unique().numel() == n, "torch leaves ties undefined"
            mask = prune.L1Unstructured(amount).compute_mask(w, torch.ones_like(w))
            masks.append({
                "dtype": str(dtype)[6:], "shape": list(shape), "weights": bits(w),
                "amount": amount, "count": isinstance(amount, int),
                "mask": [int(x) for x in mask.flatten().tolist()],
            })
write("prune.json", [{"counts": counts}] + masks)

# --- distillation: KL from logits and cross-entropy, value and gradient ----------------------------

losses = []
for dtype in [torch.float32, torch.float64]:
    for rows, classes in [(1, 1), (1, 2), (3, 5), (4, 37)]:
        for temperature in [1.0, 2.0, 4.0, 0.5]:
            for spread in [1.0, 8.0]:
                seed += 1
                s = (randn((rows, classes), seed, dtype) * spread).requires_grad_()
                t = randn((rows, classes), seed + 5000, dtype) * spread
                if classes == 37 and spread == 1.0:
                    t[:, 3:7] = -torch.inf  # classes that the teacher masks
                case = {"loss": "kl", "dtype": str(dtype)[6:], "shape": [rows, classes],
                        "temperature": temperature, "student": bits(s), "teacher": bits(t)}
                for reduction in ["batchmean", "mean", "sum"]:
                    value = F.kl_div(F.log_softmax(s / temperature, -1),
                                     F.softmax(t / temperature, -1), reduction=reduction)
                    case[reduction] = bits(value)[0]
                    if reduction == "batchmean":
                        value.backward()
                case["grad"] = bits(s.grad)
                losses.append(case)
        for spread in [1.0, 30.0]:
            seed += 1
            s = (randn((rows, classes), seed, dtype) * spread).requires_grad_()
            labels = torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(seed))
            case = {"loss": "cross_entropy", "dtype": str(dtype)[6:], "shape": [rows, classes],
                    "student": bits(s), "labels": labels.tolist()}
            for reduction in ["mean", "sum"]:
                value = F.cross_entropy(s, labels, reduction=reduction)
                case[reduction] = bits(value)[0]
                if reduction == "mean":
                    value.backward()
            case["grad"] = bits(s.grad)
            losses.append(case)
write("distill.json", losses)

# --- quantization: torch's symmetric observers and its quantizers ----------------------------------

tensors = []


def observed(w, num_bits, axis):
    """Scales and codes as torch's min-max observers and quantizers give them."""
    low, high = -(2 ** (num_bits - 1)), 2 ** (num_bits - 1) - 1
    if axis is None:
        observer = MinMaxObserver(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric,
                                  quant_min=low, quant_max=high)
        observer(w)
        scale, zero = observer.calculate_qparams()
        if num_bits == 8:
            codes = torch.quantize_per_tensor(w, scale.item(), 0, torch.qint8).int_repr()
        else:  # quantize_per_tensor knows 8 bits only; fake quantize has the same formula and a range
            fake = torch.fake_quantize_per_tensor_affine(w, scale.item(), 0, low, high)
            codes = torch.round(fake / scale)
    else:
        observer = PerChannelMinMaxObserver(ch_axis=axis, dtype=torch.qint8,
                                            qscheme=torch.per_channel_symmetric,
                                            quant_min=low, quant_max=high)
        observer(w)
        scale, zero = observer.calculate_qparams()
        if num_bits == 8:
            codes = torch.quantize_per_channel(w, scale, torch.zeros(len(scale)), axis, torch.qint8)
            codes = codes.int_repr()
        else:
            fake = torch.fake_quantize_per_channel_affine(
                w, scale, torch.zeros(len(scale), dtype=torch.int32), axis, low, high)
            shape = [1] * w.dim()
            shape[axis] = -1
            codes = torch.round(fake / scale.reshape(shape))
    assert (zero == 0).all()
    return scale, codes.to(torch.int32)


for shape, axes in [((1,), [None]), ((40,), [None]), ((5, 9), [None, 0, 1]),
                    ((3, 4, 5), [0, 1, 2]), ((2, 3, 3, 3), [0])]:
    for axis in axes:
        for num_bits in [8, 4, 2, 3, 6]:
            seed += 1
            w = randn(shape, seed)
            if axis is not None and shape == (5, 9):
                w.select(axis, 1).zero_()  # a channel of zeros: the scale is epsilon
            scale, codes = observed(w, num_bits, axis)
            tensors.append({"shape": list(shape), "axis": axis, "bits": num_bits, "weights": bits(w),
                            "scales": bits(scale.to(torch.float32)), "codes": codes.flatten().tolist()})
# Ties: halves of a power-of-two step, where rounding half to even shows; the largest magnitude fixes
# the scale at exactly 1/4.
w = torch.arange(-254, 256, dtype=torch.float32) / 8
w = torch.cat([w, torch.tensor([127.5 / 4])])
scale, codes = observed(w, 8, None)
assert scale.item() == 0.25
tensors.append({"shape": list(w.shape), "axis": None, "bits": 8, "weights": bits(w),
                "scales": bits(scale), "codes": codes.tolist()})
# Where x · (1/s) and x / s round to different integers: values near ties, of which only those are
# kept where the two differ.
near = []
for largest in [0.5, 1.0, 1.7, 2.9, 3.3, 7.7]:
    scale = torch.tensor(largest) / 127.5
    ties = (torch.arange(-126, 126) + 0.5) * scale
    ties = torch.stack([torch.nextafter(ties, ties + d) for d in (-1.0, 0.0, 1.0)]).flatten()
    differ = torch.round(ties / scale) != torch.round(ties * (1.0 / scale))
    near.append((largest, ties[differ]))
assert sum(len(ties) for _, ties in near) > 20
for largest, ties in near:
    w = torch.cat([torch.tensor([largest]), ties])
    scale, codes = observed(w, 8, None)
    tensors.append({"shape": list(w.shape), "axis": None, "bits": 8, "weights": bits(w),
                    "scales": bits(scale), "codes": codes.tolist()})
write("quantize.json", tensors)
