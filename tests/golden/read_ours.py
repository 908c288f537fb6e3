"""Reads files that `tests/files/python_readers.rs` wrote by the real safetensors and NumPy, and compares.

    python tests/golden/read_ours.py FOLDER

The element at place i in row-major order of array number n is (3 i + n) mod 17, minus 8 where the type has a sign.
"""

import pathlib
import sys

import numpy as np
import safetensors
from safetensors.numpy import load_file

SHAPES = [(5, 3), (7,), (2, 3, 4), (1,), (), (0, 4), (3, 1)]
folder = pathlib.Path(sys.argv[1])
compared = 0


def compare(name, array):
    global compared
    number, dtype = name.split(".")
    number = int(number)
    shape = SHAPES[number % len(SHAPES)]
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype)), (name, array.shape, array.dtype)
    values = (3 * np.arange(int(np.prod(shape))) + number) % 17
    values = values % 2 if dtype == "bool" else values - (0 if dtype.startswith("u") else 8)
    assert (array == values.astype(dtype).reshape(shape)).all(), name
    compared += 1


for name, array in load_file(folder / "model.safetensors").items():
    compare(name, array)
with safetensors.safe_open(folder / "model.safetensors", "numpy") as file:
    assert file.metadata() == {"format": "pt", "who": "rarefy \u00fc"}, file.metadata()
for file in ["stored.npz", "compressed.npz"]:
    with np.load(folder / file) as arrays:
        for name in arrays.files:
            compare(name, arrays[name])
for path in sorted(folder.glob("*.npy")):
    compare(path.stem, np.load(path))
assert compared == 4 * 12, compared
print(compared, "arrays equal by safetensors", safetensors.__version__, "and NumPy", np.__version__)
