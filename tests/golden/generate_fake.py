"""Writes fake.json: fake quantization, its gradient, and learned scales, as PyTorch has them.

    python tests/golden/generate_fake.py

Numbers are the integers that the bits of an f32 are.
"""

import json
from pathlib import Path

import torch


def bits(tensor):
    return tensor.detach().contiguous().view(torch.int32).flatten().to(torch.int64).bitwise_and(0xFFFFFFFF).tolist()


def ranges():
    for width in (2, 4, 8):
        half = 1 << (width - 1)
        yield width, True, -half, half - 1
        yield width, False, 0, 2 * half - 1


def zero_points(lowest, highest, count):
    middle = (lowest + highest + 1) // 2
    return [max(lowest, min(highest, middle + (i * 5) % 7 - 3)) for i in range(count)]


def inputs(shape, scale, highest, generator):
    x = torch.randn(shape, generator=generator) * scale * (highest + 1)
    flat = x.view(-1)
    # Ties, ends, zeros, and what is far outside.
    for place, steps in enumerate((0.5, 1.5, -0.5, -2.5, highest + 0.5, highest, 0.0, -0.0, 1e6, -1e6)):
        flat[place] = scale * steps
    return x


def given(generator):
    cases = []
    for width, signed, lowest, highest in ranges():
        for scale in (0.1, 0.03125, 0.00214854861):
            x = inputs((4, 25), scale, highest, generator).requires_grad_()
            gradient = torch.randn(4, 25, generator=generator)
            zero = zero_points(lowest, highest, 2)[1]
            y = torch.fake_quantize_per_tensor_affine(x, scale, zero, lowest, highest)
            y.backward(gradient)
            case = dict(bits=width, signed=signed, axis=None, shape=[4, 25], zero_points=[zero])
            case.update(scales=bits(torch.tensor([scale])), x=bits(x), y=bits(y), gradient=bits(gradient), dx=bits(x.grad))
            cases.append(case)
        for axis in (0, 1):
            count = (6, 20)[axis]
            x = inputs((6, 20), 0.1, highest, generator).requires_grad_()
            gradient = torch.randn(6, 20, generator=generator)
            scales = 0.02 + 0.2 * torch.rand(count, generator=generator)
            zeros = zero_points(lowest, highest, count)
            y = torch.fake_quantize_per_channel_affine(
                x, scales, torch.tensor(zeros, dtype=torch.int32), axis, lowest, highest
            )
            y.backward(gradient)
            case = dict(bits=width, signed=signed, axis=axis, shape=[6, 20], zero_points=zeros)
            case.update(scales=bits(scales), x=bits(x), y=bits(y), gradient=bits(gradient), dx=bits(x.grad))
            cases.append(case)
    return cases


def learned(generator):
    cases = []
    for width, signed, lowest, highest in ranges():
        for axis in (None, 0, 1):
            shape = (6, 20)
            count = 1 if axis is None else shape[axis]
            # No ties: where the zero point is added first, as in this backward, they fall elsewhere.
            x = (torch.randn(shape, generator=generator) * 0.1 * (highest + 1)).requires_grad_()
            gradient = torch.randn(shape, generator=generator)
            scales = (0.02 + 0.2 * torch.rand(count, generator=generator)).requires_grad_()
            zeros = [float(z) for z in zero_points(lowest, highest, count)]
            if axis is None:
                # The backward of one scale turns z into an integer by cutting z + 0.5 off: one too high below 0.
                zeros = [abs(z) // 2 for z in zeros]
            zeros = torch.tensor(zeros, requires_grad=True)
            factor = 1.0 / (x.numel() / count * highest) ** 0.5
            if axis is None:
                y = torch._fake_quantize_learnable_per_tensor_affine(x, scales, zeros, lowest, highest, factor)
            else:
                y = torch._fake_quantize_learnable_per_channel_affine(x, scales, zeros, axis, lowest, highest, factor)
            y.backward(gradient)
            case = dict(bits=width, signed=signed, axis=axis, shape=list(shape), zero_points=[int(z) for z in zeros])
            case.update(scales=bits(scales), x=bits(x), y=bits(y), gradient=bits(gradient), dx=bits(x.grad))
            case.update(ds=bits(scales.grad), dz=bits(zeros.grad))
            cases.append(case)
    return cases


def main():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(11)
    made = dict(made_by=f"PyTorch {torch.__version__}", cases=given(generator), learned=learned(generator))
    path = Path(__file__).with_name("fake.json")
    path.write_text(json.dumps(made, separators=(",", ":")) + "\n")


main()
