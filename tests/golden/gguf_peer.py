"""Makes gguf_peer.gguf by the writer of the real `gguf`, and gguf_peer.json, which says what is in it.

    peers/bin/python tests/golden/gguf_peer.py

The file has values of every type that the writer has, and tensors of every type that we decode, in an order of their
own, aligned to 64 bytes. Where `gguf` only decodes a type, the bytes that it is given are random, with scales that are
finite. `read_gguf.py` beside this script is the other way round. Floats and bytes are hexadecimal.
"""

import json
import pathlib

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
MADE_BY = f"tests/golden/gguf_peer.py with gguf 0.19.0, numpy {np.__version__}"
T = gguf.GGMLQuantizationType
V = gguf.GGUFValueType
FILE = HERE / "gguf_peer.gguf"
# Where the halves of a block are.
HALVES = {
    T.Q2_K: [80, 82],
    T.Q3_K: [108],
    T.Q4_K: [0, 2],
    T.Q5_K: [0, 2],
    T.Q6_K: [208],
}


def text(array):
    return np.ascontiguousarray(array).tobytes().hex()


def blocks(kind, rows, columns, r):
    """Bytes of a tensor: encoded where the peer encodes, else made up."""
    values = (r.standard_normal((rows, columns)) * 10.0 ** r.integers(-2, 2, (rows, 1))).astype(np.float32)
    values[0, :32] = 0
    if kind not in HALVES:
        return gguf.quants.quantize(values, kind)
    length, size = gguf.GGML_QUANT_SIZES[kind]
    data = r.integers(0, 256, (rows, columns // length, size), np.uint8)
    for place in HALVES[kind]:
        halves = (r.standard_normal(data.shape[:2]) / 64).astype(np.float16)
        data[..., place : place + 2] = halves[..., None].view(np.uint8)
    return data.reshape(rows, -1)


def main():
    r = np.random.default_rng(11)
    writer = gguf.GGUFWriter(FILE, "rarefy-test")
    said = [
        ("general.alignment", V.UINT32, 64),
        ("test.u8", V.UINT8, 200),
        ("test.i8", V.INT8, -100),
        ("test.u16", V.UINT16, 60000),
        ("test.i16", V.INT16, -30000),
        ("test.u32", V.UINT32, 4000000000),
        ("test.i32", V.INT32, -2000000000),
        ("test.f32", V.FLOAT32, 0.1),
        ("test.true", V.BOOL, True),
        ("test.false", V.BOOL, False),
        ("test.text", V.STRING, "Größe 大きさ"),
        ("test.u64", V.UINT64, 2**63 + 5),
        ("test.i64", V.INT64, -(2**63)),
        ("test.f64", V.FLOAT64, 0.1),
        ("test.texts", V.ARRAY, ["<s>", "a", "ü"]),
        ("test.numbers", V.ARRAY, [1, -2, 3]),
        ("test.floats", V.ARRAY, [0.5, -0.25]),
        ("test.truths", V.ARRAY, [True, False]),
        ("test.bytes", V.ARRAY, b"\x00\x7f\xff"),
        ("test.nested", V.ARRAY, [[1, 2], [3]]),
    ]
    for key, kind, value in said:
        writer.add_key_value(key, value, kind)
    writer.data_alignment = 64
    tensors = []
    for name, dtype in [("i8", np.int8), ("i16", np.int16), ("i32", np.int32), ("i64", np.int64)]:
        limits = np.iinfo(dtype)
        tensors.append((f"plain.{name}", r.integers(limits.min, limits.max, (2, 3), dtype, True), None))
    for name, dtype in [("f64", np.float64), ("f32", np.float32), ("f16", np.float16)]:
        tensors.append((f"plain.{name}", r.standard_normal((1, 3, 2, 2)).astype(dtype), None))
    halves = gguf.quants.quantize(r.standard_normal(5).astype(np.float32), T.BF16)
    tensors.append(("plain.bf16", halves, T.BF16))
    for kind in [T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.MXFP4]:
        tensors.append((f"blocks.{kind.name}", blocks(kind, 2, 64, r), kind))
    for kind in [T.TQ1_0, T.TQ2_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K]:
        tensors.append((f"blocks.{kind.name}", blocks(kind, 1, 512, r), kind))
    for name, data, kind in tensors:
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    cases = []
    for tensor in gguf.GGUFReader(FILE).tensors:
        case = {
            "name": tensor.name,
            "type": tensor.tensor_type.name,
            "shape": [int(length) for length in reversed(tensor.shape)],
            "bytes": text(tensor.data),
        }
        if tensor.tensor_type.name[0] != "I" and tensor.tensor_type != T.F64:
            case["values"] = text(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        cases.append(case)
    contents = {"made_by": MADE_BY, "cases": cases}
    rows = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "gguf_peer.json").write_text(f'{{"made_by": {json.dumps(MADE_BY)}, "cases": [\n{rows}\n]}}\n')
    assert json.loads((HERE / "gguf_peer.json").read_text()) == contents


main()
