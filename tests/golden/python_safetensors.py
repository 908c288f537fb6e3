"""Makes python.safetensors beside this script by the format's own library: a tensor of each type that PyTorch has, in
memory orders and ranks that a writer may meet, and texts.

    peers/bin/python tests/golden/python_safetensors.py

The element at place i of tensor number n is a number that every type holds exactly, (3 i + n) mod 17, minus 8 where the type
has a sign; so the test makes the same.
"""

import pathlib

import safetensors
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
TYPES = ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
         "float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]
SHAPES = [(5, 3), (7,), (2, 3, 2), (1,), (), (0, 4)]


def tensor(number, name):
    shape = SHAPES[number % len(SHAPES)]
    count = 1
    for length in shape:
        count *= length
    offset = 0 if name.startswith(("uint", "bool")) else 8
    values = [(3 * i + number) % 17 - offset for i in range(count)]
    if name == "bool":
        values = [value % 2 == 1 for value in values]
    made = torch.tensor(values, dtype=torch.float64 if "float" in name else torch.int64)
    return made.to(getattr(torch, name)).reshape(shape)


tensors = {f"{number}.{name}": tensor(number, name) for number, name in enumerate(TYPES)}
save_file(tensors, HERE / "python.safetensors", metadata={"format": "pt", "who": "Grüße \U0001f980"})
print(len(tensors), "tensors by safetensors", safetensors.__version__, "and torch", torch.__version__)
