"""Makes python.npz, python_compressed.npz and python_wide.npz beside this script by NumPy: arrays of each type that we read, in
both orders of axes and of bytes, and what we do not read.

    peers/bin/python tests/golden/python_numpy.py

The element at place i in row-major order of array number n is (3 i + n) mod 17, minus 8 where the type has a sign; so the test
makes the same. python_wide.npz is one that says its sizes in 64 bits though 32 would do.
"""

import pathlib
import zipfile

import numpy as np

HERE = pathlib.Path(__file__).parent
TYPES = ["|b1", "|u1", "|i1", "<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8", "<c8",
         ">u2", ">i4", ">f4", ">f8", ">c8", ">f2", "<f4", "<f8"]
SHAPES = [(5, 3), (7,), (2, 3, 4), (1,), (), (0, 4), (3, 1)]


def array(number, descr):
    shape = SHAPES[number % len(SHAPES)]
    count = int(np.prod(shape))
    kind = descr[1]
    values = (3 * np.arange(count) + number) % 17 - (0 if kind in "ub" else 8)
    if kind == "b":
        values = values % 2
    return values.astype(np.dtype(descr)).reshape(shape)


arrays = {}
for number, descr in enumerate(TYPES):
    for order in "CF":
        arrays[f"{number}.{descr[1:]}.{order}"] = np.asarray(array(number, descr), order=order)
arrays["ünï \U0001f980"] = np.zeros((2, 2), np.float32)
arrays["large"] = np.zeros((40, 50), np.float32)
arrays["texts"] = np.array(["a", "bc"])
arrays["record"] = np.zeros(2, dtype=[("a", "<f4"), ("b", "<i8")])
small = {name: value for name, value in arrays.items() if name != "large"}
np.savez(HERE / "python.npz", **small)
np.savez_compressed(HERE / "python_compressed.npz", **arrays)
zipfile.ZIP64_LIMIT = 100
zipfile.ZIP_FILECOUNT_LIMIT = 2
np.savez(HERE / "python_wide.npz", **{name: arrays[name] for name in list(arrays)[:6]})
print(len(arrays), "arrays by NumPy", np.__version__)
