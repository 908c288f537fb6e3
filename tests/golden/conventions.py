"""Makes conventions.json beside this script: what each peer computes from the same logits, and its gradient.

    pip download --no-deps trl==1.16.0 liger-kernel==0.8.5 -d wheels
    peers/bin/python tests/golden/conventions.py wheels

The functions of TRL and Liger are the real ones, cut out of their wheels (nothing else of these packages
is imported). PyTorch's are PyTorch's. The other peers want a framework, a model or a training script
around a formula of a few lines: it is written out here, with where it was read. The names of the rows are those of the table
in docs/distillation.md. Floats are stored as the integers that their bits are.
"""

import ast
import importlib.util
import json
import pathlib
import struct
import sys
import types
import zipfile

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
WHEELS = pathlib.Path(sys.argv[1])
BATCH, TIME, CLASSES, WIDTH = 2, 3, 5, 4
TOKENS = BATCH * TIME
IGNORED = -100


def randn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bits(tensor):
    flat = tensor.detach().double().flatten().tolist()
    return [struct.unpack("<Q", struct.pack("<d", x))[0] for x in flat]


# What every peer gets. The second and the last token are padding.
INPUTS = {
    "student": 2 * randn(1, TOKENS, CLASSES),
    "teacher": 2 * randn(2, TOKENS, CLASSES),
    "student_hidden": randn(3, TOKENS, WIDTH),
    "teacher_hidden": randn(4, TOKENS, WIDTH),
    "student_projection": randn(5, CLASSES, WIDTH),
    "teacher_projection": randn(6, CLASSES, WIDTH),
    "weights": torch.tensor([0.5, 0.0, 2.0, 1.0, 0.25, 3.0], dtype=torch.float64),
}
LABELS = torch.tensor([3, IGNORED, 0, 1, 4, IGNORED])
CLASS_OF_ALL = torch.tensor([3, 2, 0, 1, 4, 0])
THERE = LABELS != IGNORED
s, t = INPUTS["student"], INPUTS["teacher"]
cases = []


def case(who, function, by="student", **settings):
    """`function` of the leaf named `by` gives the peer's value."""
    leaf = INPUTS[by].clone().requires_grad_()
    value = function(leaf)
    value.backward()
    cases.append({"who": who, "value": bits(value)[0], "grad": bits(leaf.grad), **settings})


def member(wheel, path):
    (file,) = WHEELS.glob(f"{wheel}-*.whl")
    return zipfile.ZipFile(file).read(path).decode()


def trl_function(path, name):
    """A function of a class in a file whose imports need a whole framework."""
    tree = ast.parse(member("trl", path))
    (found,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name]
    found.decorator_list = []
    space = {"torch": torch, "F": F}
    exec(compile(ast.Module([found], []), path, "exec"), space)
    return space[name]


def liger_loss():
    """The chunked losses are plain PyTorch; the package around them wants a graphics card."""
    for package in ["liger_kernel", "liger_kernel.chunked_loss"]:
        sys.modules[package] = types.ModuleType(package)
    for name in ["fused_linear_distillation", "jsd_loss"]:
        full = f"liger_kernel.chunked_loss.{name}"
        module = types.ModuleType(full)
        sys.modules[full] = module
        exec(compile(member("liger_kernel", full.replace(".", "/") + ".py"), full, "exec"), module.__dict__)
    return sys.modules["liger_kernel.chunked_loss.jsd_loss"].LigerFusedLinearJSDLoss


def soft(z, T):
    return F.softmax(z / T, -1)


def logs(z, T):
    return F.log_softmax(z / T, -1)


def kl(z, T, reduction, rows=slice(None)):
    return F.kl_div(logs(z[rows], T), soft(t[rows], T), reduction=reduction)


def cross(z, T, rows=slice(None)):
    return -(soft(t[rows], T) * logs(z[rows], T)).sum(-1)


T = 2.0
for T in [1.0, 2.0, 5.0]:
    # Section 2 of the paper; the sum over classes, the mean over examples, times T².
    case("Hinton et al. 2015", lambda z: T**2 * (soft(t, T) * (logs(t, T) - logs(z, T))).sum(-1).mean(), t=T)
    for reduction in ["batchmean", "mean", "sum"]:
        case(f"PyTorch `kl_div`, `{reduction}`", lambda z: kl(z, T, reduction), t=T)
T = 2.0
none = F.kl_div(logs(s, T), soft(t, T), reduction="none").sum(-1)
case("PyTorch `kl_div`, `none`", lambda z: kl(z, T, "none").sum(), t=T, per_row=bits(none))
case("PyTorch `kl_div`, `log_target`",
     lambda z: F.kl_div(logs(z, T), logs(t, 1), reduction="batchmean", log_target=True), t=T)
case("PyTorch `cross_entropy`, `ignore_index`, `label_smoothing`",
     lambda z: F.cross_entropy(z, LABELS, ignore_index=IGNORED, label_smoothing=0.1), e=0.1)
case("the textbook sum Σ wᵢ · KLᵢ", lambda z: (INPUTS["weights"] * kl(z, 1, "none").sum(-1)).sum())
# Two micro-batches, each divided by the tokens of both.
micro = [slice(0, TIME), slice(TIME, TOKENS)]
case("gradient accumulation over micro-batches",
     lambda z: sum(kl(z, T, "none", rows)[THERE[rows]].sum() for rows in micro) * T**2 / THERE.sum(),
     t=T, n=int(THERE.sum()))

# torchdistill, losses/mid_level.py, KDLoss.forward: T² only where there are labels.
case("torchdistill `KDLoss`",
     lambda z: 0.3 * F.cross_entropy(z, CLASS_OF_ALL) + (1 - 0.3) * T**2 * kl(z, T, "batchmean"), t=T, a=0.3)
case("torchdistill `KDLoss` without labels", lambda z: kl(z, T, "batchmean"), t=T)
# TextBrewer, losses.py, kd_ce_loss.
case("TextBrewer `kd_ce_loss`", lambda z: cross(z, T).mean(), t=T)

# TRL, experimental/gkd: real.
jsd = trl_function("trl/experimental/gkd/gkd_trainer.py", "generalized_jsd_loss")
sequences = lambda z: z.reshape(BATCH, TIME, CLASSES)
labels = LABELS.reshape(BATCH, TIME)
for beta in [0.0, 0.1, 0.5, 1.0]:
    T = 0.9
    case("TRL `generalized_jsd_loss`",
         lambda z: jsd(sequences(z), sequences(t), labels, beta=beta, temperature=T), t=T, b=beta)
case("TRL …, `num_items_in_batch`",
     lambda z: jsd(sequences(z), sequences(t), labels, beta=0.5, temperature=T, num_items_in_batch=17),
     t=T, b=0.5, n=17)
case("TRL … without labels", lambda z: jsd(sequences(z), sequences(t), beta=0.5, temperature=T),
     t=T, b=0.5, n=BATCH)

# Liger, chunked_loss/jsd_loss.py: real. Chunks of two tokens; its own logits are hidden · projectionᵀ,
# so a projection of one gives it ours.
Liger, T = liger_loss(), 3.0
one = torch.eye(CLASSES, dtype=torch.float64)
for beta in [0.0, 0.5]:
    liger = Liger(beta=beta, temperature=T, compiled=False, chunk_size=2)
    case("Liger `LigerFusedLinearJSDLoss`", lambda z: liger(z, one, t, one, LABELS), t=T, b=beta)
liger = Liger(beta=0.0, temperature=T, compiled=False, chunk_size=2, weight_hard_loss=0.3, weight_soft_loss=0.7)
given = lambda **mine: [mine.get(name, INPUTS[name]) for name in
                        ["student_hidden", "student_projection", "teacher_hidden", "teacher_projection"]]
for by in ["student_hidden", "student_projection"]:
    case("Liger …, β = 0, from hidden states", lambda x: liger(*given(**{by: x}), LABELS), by=by, of=by, t=T)

T = 2.0
# NVIDIA ModelOpt, torch/distill/losses.py and loss_balancers.py.
case("ModelOpt `LogitsDistillationLoss`", lambda z: kl(z, T, "batchmean") * T**2, t=T)
case("ModelOpt …, `StaticLossBalancer`",
     lambda z: 0.8 * kl(z, T, "batchmean") * T**2 + (1 - 0.8) * F.cross_entropy(z, CLASS_OF_ALL), t=T, a=0.8)
# The DistilBERT script, research_projects/distillation/distiller.py, its usual 5, 2 and 1; the padding is
# that of LABELS, and of the others half are masked words.
words = torch.where(torch.arange(TOKENS) % 2 == 0, LABELS, IGNORED)


def distilbert(z, hidden):
    others = INPUTS["teacher_hidden"][THERE]
    cosine = F.cosine_embedding_loss(hidden[THERE], others, torch.ones(len(others)), reduction="mean")
    return 5 * kl(z, T, "batchmean", THERE) * T**2 + 2 * F.cross_entropy(z, words, ignore_index=IGNORED) + cosine


case("DistilBERT's script", lambda z: distilbert(z, INPUTS["student_hidden"]), t=T, words=words.tolist())
case("DistilBERT's script", lambda h: distilbert(s, h), by="student_hidden", of="student_hidden", t=T,
     words=words.tolist())
# Intel Neural Compressor 2.6, common/criterions.py: kl_div as it comes is a mean over elements.
case("INC `KnowledgeDistillationLoss`, `KL`",
     lambda z: 0.4 * F.cross_entropy(z, CLASS_OF_ALL) + 0.6 * T**2 * kl(z, T, "mean"), t=T, a=0.6)
case("INC …, `CE`",
     lambda z: 0.4 * F.cross_entropy(z, CLASS_OF_ALL) + 0.6 * T**2 * cross(z, T).mean(), t=T, a=0.6)
# distil-whisper, training/run_distillation.py.
case("distil-whisper", lambda z: (kl(z, T, "none") * THERE[:, None]).sum() / THERE.sum() * T**2, t=T)
# SpeechBrain, nnet/losses.py, with log-probabilities of the student and probabilities of the teacher.
lengths = [2, 3]
frames = (torch.arange(TIME)[None] < torch.tensor(lengths)[:, None]).flatten()
case("SpeechBrain `nll_loss_kd`", lambda z: (cross(z, 1) * frames).sum() / frames.sum(), lengths=lengths)
# Optimum's distillation trainers, and the distillation guides of Transformers.
case("Optimum, Transformers' guides",
     lambda z: (1 - 0.7) * F.cross_entropy(z, CLASS_OF_ALL) + 0.7 * T**2 * kl(z, T, "batchmean"), t=T, a=0.7)

# Where PyTorch's answer is NaN: a class that both sides mask; padding that holds NaN and is multiplied away.
hide = torch.tensor([0, 0, 0, -torch.inf, 0], dtype=torch.float64)
broken = torch.where(THERE[:, None], s, torch.nan)
undefined = {
    "both mask a class, probabilities": F.kl_div(logs(s + hide, 1), soft(t + hide, 1), reduction="sum"),
    "both mask a class, log_target": F.kl_div(logs(s + hide, 1), logs(t + hide, 1), reduction="sum", log_target=True),
    "the teacher masks a class, log_target": F.kl_div(logs(s, 1), logs(t + hide, 1), reduction="sum", log_target=True),
    "padding is NaN": (kl(broken, 1, "none") * THERE[:, None]).sum() / THERE.sum(),
    "no token is there": F.cross_entropy(s, torch.full((TOKENS,), IGNORED)),
}
undefined = {name: bool(value.isnan()) for name, value in undefined.items()}

text = ",\n".join(json.dumps(case, separators=(",", ":"), ensure_ascii=False) for case in cases)
head = {
    "made_by": f"tests/golden/conventions.py with torch {torch.__version__}, trl 1.16.0, liger-kernel 0.8.5",
    "batch": BATCH, "time": TIME, "classes": CLASSES, "width": WIDTH,
    "labels": LABELS.tolist(), "class_of_all": CLASS_OF_ALL.tolist(), "torch_is_nan": undefined,
    "inputs": {name: bits(values) for name, values in INPUTS.items()},
}
head = json.dumps(head, separators=(",", ":"), ensure_ascii=False)[:-1]
(HERE / "conventions.json").write_text(f'{head},\n"cases":[\n{text}\n]}}\n')
print(len(cases), "cases;", undefined)
