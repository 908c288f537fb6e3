"""Makes prune_peers.json beside this script: how other libraries count, cut and allocate, on torch tensors.

    peers/bin/python tests/golden/prune_peers.py

The libraries need frameworks and accelerators of their own, so the few lines of each that decide are written
here from their published description, in our words. No test needs this: `cargo test` reads the committed file.
Weights are quarters of small integers, so that ties are many and every machine agrees on them.
"""

import json
import math
import pathlib

import torch

HERE = pathlib.Path(__file__).parent


def weights(shape, seed, levels=9):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-levels, levels + 1, shape, generator=generator).float() / 4


def flags(mask):
    return [int(x) for x in mask.flatten().tolist()]


def quarters(tensor):
    return [int(x) for x in (tensor * 4).flatten().tolist()]


def llm_compressor(w, share):
    """Drops what is not above the count-th smallest; the count is cut off; a count of 0 drops nothing."""
    count = int(share * w.numel())
    if count == 0:
        return torch.ones_like(w)
    return w.abs() > w.abs().flatten().topk(count, largest=False).values[-1]


def tf_mot(w, share):
    """Keeps what is no smaller than the count-th largest; the count is rounded to even in f32, at least 1."""
    size, share = torch.tensor(w.numel(), dtype=torch.float32), torch.tensor(share, dtype=torch.float32)
    count = int(torch.maximum(torch.round(size * (1 - share)), torch.tensor(1.0)))
    return w.abs() >= w.abs().flatten().sort(descending=True).values[count - 1]


def nncf(w, share):
    """Keeps what is above the k-th smallest, k = cut-off((n - 1) * share) + 1."""
    return w.abs() > w.abs().flatten().kthvalue(int((w.numel() - 1) * share) + 1).values


def wanda(w, share, norms=None):
    """In each row, a stable sort; the first cut-off(columns * share) go."""
    score = w.abs() if norms is None else w.abs() * norms.reshape(1, -1)
    order = score.sort(dim=-1, stable=True).indices[:, : int(w.shape[1] * share)]
    return torch.ones_like(w).scatter(1, order, 0)


def sparse_gpt(w, share, block=128):
    """In each block of columns, what is not above the number behind the count goes. The Hessian is the identity."""
    mask = torch.ones_like(w)
    for start in range(0, w.shape[1], block):
        part = w[:, start : start + block] ** 2
        limit = part.flatten().sort().values[int(part.numel() * share)]
        mask[:, start : start + block] = part > limit
    return mask


cases = []
seed = 0
for name, mask_of in [("llm_compressor", llm_compressor), ("tf_mot", tf_mot), ("nncf", nncf), ("wanda", wanda),
                      ("sparse_gpt", sparse_gpt)]:
    for shape in [(1, 1), (3, 5), (6, 10), (2, 290)]:
        for share in [0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.95, 1.0]:
            if share == 1.0 and name == "sparse_gpt":
                continue  # it reads behind the end
            seed += 1
            w = weights(shape, seed)
            cases.append({"kind": name, "shape": list(shape), "quarters": quarters(w), "share": share,
                          "mask": flags(mask_of(w, share))})

# Wanda with norms that differ.
for share in [0.2, 0.5]:
    seed += 1
    w, norms = weights((4, 12), seed), weights((12,), seed + 500).abs()
    cases.append({"kind": "wanda_norms", "shape": [4, 12], "quarters": quarters(w), "norms": quarters(norms),
                  "share": share, "mask": flags(wanda(w, share, norms))})

# llm-compressor's blocks and channels: sums of magnitudes.
for shape, block in [((6, 8), (2, 4)), ((8, 6), (4, 1))]:
    for share in [0.2, 0.5, 0.75]:
        seed += 1
        w = weights(shape, seed)
        sums = w.abs().unfold(0, block[0], block[0]).unfold(1, block[1], block[1]).sum((-1, -2))
        kept = llm_compressor(sums, share)
        mask = kept.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
        cases.append({"kind": "blocks", "shape": list(shape), "block": list(block), "quarters": quarters(w),
                      "share": share, "mask": flags(mask)})

# NNCF over all layers: magnitudes relative to the L2 norm of each.
for share in [0.1, 0.5, 0.8]:
    seed += 1
    tensors = [torch.randn(shape, generator=torch.Generator().manual_seed(seed + number), dtype=torch.float64) * scale
               for number, (shape, scale) in enumerate([((5, 6), 1.0), ((40,), 30.0), ((3, 3, 3), 0.01)])]
    scores = [w.abs() / w.norm(2) for w in tensors]
    every = torch.cat([score.flatten() for score in scores])
    limit = every.kthvalue(int((every.numel() - 1) * share) + 1).values
    cases.append({"kind": "nncf_global", "shapes": [list(w.shape) for w in tensors], "share": share,
                  "weights": [w.flatten().tolist() for w in tensors],
                  "masks": [flags(score > limit) for score in scores]})


# Torch-Pruning's normalisers over rows of several layers, by sums of magnitudes.
def lamp(scores):
    order = scores.argsort()
    shares = torch.empty_like(scores)
    for rank, place in enumerate(order.tolist()):
        shares[place] = scores[place] / scores[order[rank:]].sum()
    return shares


normalisers = {
    "Unchanged": lambda s: s,
    "Mean": lambda s: s / s.mean(),
    "Max": lambda s: s / s.max(),
    "Sum": lambda s: s / s.sum(),
    "Standardise": lambda s: (s - s.min()) / (s.max() - s.min() + 1e-8),
    "Gaussian": lambda s: (s - s.mean()) / (s.std() + 1e-8),
    "Lamp": lamp,
}
for name, normalise in normalisers.items():
    for count in [2, 7, 11]:
        seed += 1
        tensors = [torch.randn(shape, generator=torch.Generator().manual_seed(seed * 7 + number),
                               dtype=torch.float64) * scale
                   for number, (shape, scale) in enumerate([((6, 4), 1.0), ((8, 2, 3), 5.0), ((3, 9), 0.2)])]
        scores = [normalise(w.abs().flatten(1).sum(1)) for w in tensors]
        # The smallest row of each layer has score 0 when standardised: the earlier layer's goes first.
        kept = torch.ones(sum(len(score) for score in scores))
        kept[torch.cat(scores).sort(stable=True).indices[:count]] = 0
        rows = kept.split([len(score) for score in scores])
        cases.append({"kind": "normaliser", "normaliser": name, "count": count,
                      "shapes": [list(w.shape) for w in tensors], "weights": [w.flatten().tolist() for w in tensors],
                      "rows": [flags(row) for row in rows]})

# LAMP of Lee et al. over several tensors: which weights stay.
for share in [0.3, 0.6, 0.9]:
    seed += 1
    tensors = [torch.randn(shape, generator=torch.Generator().manual_seed(seed * 11 + number),
                           dtype=torch.float64) * scale
               for number, (shape, scale) in enumerate([((10, 4), 1.0), ((20,), 5.0), ((3, 9), 0.2)])]
    scores = [lamp(w.flatten() ** 2) for w in tensors]
    every = torch.cat(scores)
    count = round(share * every.numel())
    limit = every.sort().values[count - 1]
    cases.append({"kind": "lamp", "share": share, "shapes": [list(w.shape) for w in tensors],
                  "weights": [w.flatten().tolist() for w in tensors],
                  "masks": [flags(score > limit) for score in scores]})


# Allocations.
def erk(shapes, share):
    """The Erdos-Renyi kernel of RigL: densities in proportion to sum over product of the lengths."""
    sizes = [math.prod(shape) for shape in shapes]
    dense = set()
    while True:
        left = (1 - share) * sum(sizes) - sum(sizes[i] for i in dense)
        raw = {i: sum(shape) / sizes[i] for i, shape in enumerate(shapes) if i not in dense}
        scale = left / sum(raw[i] * sizes[i] for i in raw) if raw else 0
        over = [i for i in raw if scale * raw[i] > 1 and raw[i] == max(raw.values())]
        if not over:
            return [0.0 if i in dense else 1 - scale * raw[i] for i in range(len(shapes))]
        dense.update(over)


for share in [0.1, 0.5, 0.8, 0.9, 0.98]:
    shapes = [(64, 3, 3, 3), (128, 64, 3, 3), (10, 128), (10,)]
    cases.append({"kind": "erk", "shapes": [list(shape) for shape in shapes], "share": share,
                  "shares": erk(shapes, share)})
for share, width in [(0.5, 0.08), (0.7, 0.08), (0.7, 0.15)]:
    outliers = torch.tensor([0.5, 2.0, 1.25, 4.0, 0.75], dtype=torch.float64)
    ratio = (outliers - outliers.min()) / (outliers.max() - outliers.min()) * width * 2
    ratio = ratio - ratio.mean() + (1 - share)
    cases.append({"kind": "owl", "outliers": outliers.tolist(), "share": share, "lambda": width,
                  "shares": (1 - ratio).tolist()})

made_by = f"tests/golden/prune_peers.py with torch {torch.__version__}"
text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
(HERE / "prune_peers.json").write_text(f'{{"made_by":"{made_by}","cases":[\n{text}\n]}}\n')
print(len(cases), "cases")
