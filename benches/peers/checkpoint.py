"""Makes a large checkpoint of random weights, so that memory and time of compressing it can be measured.

    python checkpoint.py FOLDER [GIB] [float32 | bfloat16]

Needs numpy. Files of about 512 MiB with an index, tensors of 4096 x 4096 and some small ones. What was measured with it
stands in docs/performance.md, "Checkpoints".
"""

import json
import os
import sys

import numpy as np


def write(path, tensors, dtype):
    """One safetensors file, written without the library, tensor by tensor."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    size = 4 if dtype == "F32" else 2
    for name, shape, _ in tensors:
        start, end = end, end + size * int(np.prod(shape))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, shape, seed in tensors:
            values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
            values *= np.float32(0.02)
            if dtype == "BF16":
                values = (values.view(np.uint32) >> 16).astype(np.uint16)
            file.write(values.tobytes())


def main():
    folder = sys.argv[1]
    gib = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    dtype = {"float32": "F32", "bfloat16": "BF16"}[sys.argv[3] if len(sys.argv) > 3 else "float32"]
    os.makedirs(folder, exist_ok=True)
    side, size = 4096, 4 if dtype == "F32" else 2
    in_file = (512 << 20) // (side * side * size)
    count = round(gib * 2**30 / (side * side * size))
    files = -(-count // in_file)
    names = {}
    for file in range(files):
        tensors = []
        for layer in range(file * in_file, min(count, (file + 1) * in_file)):
            tensors.append((f"layers.{layer}.proj.weight", [side, side], 2 * layer))
            tensors.append((f"layers.{layer}.norm.weight", [side], 2 * layer + 1))
        name = f"model-{file + 1:05}-of-{files:05}.safetensors"
        write(os.path.join(folder, name), tensors, dtype)
        names.update({tensor: name for tensor, _, _ in tensors})
    total = sum(os.path.getsize(os.path.join(folder, name)) for name in set(names.values()))
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {"total_size": total}, "weight_map": names}, file)


main()
