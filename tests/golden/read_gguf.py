"""Reads files that `tests/files/gguf.rs` wrote by the reader of the real `gguf`, and compares.

    python tests/golden/read_gguf.py FOLDER

FOLDER has `every.gguf` with NAME.f32 beside it for each tensor of floats or blocks: what it must decode to, to the bit
but for the sign of zeros. Integers count their bytes from 0. `values.gguf` has values of every type.
"""

import pathlib
import sys

import gguf
import numpy as np

folder = pathlib.Path(sys.argv[1])
equal = 0
for tensor in gguf.GGUFReader(folder / "every.gguf").tensors:
    shape = tuple(int(length) for length in reversed(tensor.shape))
    raw = folder / f"{tensor.name}.f32"
    if not raw.exists():
        count = np.ascontiguousarray(tensor.data).view(np.uint8).ravel()
        assert (count == np.arange(len(count))).all(), tensor.name
        continue
    right = np.fromfile(raw, np.float32).reshape(shape)
    if tensor.data.dtype == np.float64:
        values = tensor.data.astype(np.float32)
    else:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    values = values.reshape(shape)
    assert values.dtype == np.float32
    same = (values.view(np.uint32) == right.view(np.uint32)) | ((values == 0) & (right == 0))
    assert same.all(), (tensor.name, tensor.tensor_type, np.argwhere(~same)[:3])
    print(f"{tensor.name}: {tensor.tensor_type.name} {list(shape)} {values.size} values")
    equal += 1

fields = gguf.GGUFReader(folder / "values.gguf").fields
plain = {name: field.contents() for name, field in fields.items() if name != "nested"}
assert list(fields)[3:6] == ["z.last letter first", "general.architecture", "a"], list(fields)
assert plain["z.last letter first"] == 255 and plain["a"] == -128 and plain["b"] == 65535
assert plain["c"] == -32768 and plain["d"] == 2**32 - 1 and plain["e"] == -(2**31)
assert plain["f"] == np.finfo(np.float32).tiny and plain["g"] is True and plain["l"] is False
assert plain["h"] == "zwölf Boxkämpfer 𝕏\0" and plain["m"] == ""
assert plain["i"] == 2**64 - 1 and plain["j"] == -(2**63) and plain["k"] == np.finfo(float).eps
assert plain["n"] == [1, 2] and plain["o"] == [-1] and plain["p"] == [300] and plain["q"] == [-300]
assert plain["r"] == [70000] and plain["s"] == [-70000] and plain["t"] == [0.5, float("inf")]
assert plain["u"] == [True, False, True] and plain["v"] == ["<s>", "", "ü"]
assert plain["w"] == [2**64 - 1] and plain["x"] == [-(2**63)] and plain["y"] == [1e300]
assert plain["long"] == list(range(50000)) and plain["long text"] == "long " * 30000
print(f"{len(plain)} values and {equal} tensors equal, read by gguf of {pathlib.Path(gguf.__file__).parent}")
