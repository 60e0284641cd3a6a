"""Run by test_bounds.py in a process of its own: ops on arrays that lie flush against an unreadable page.

A read one element before or beyond an array is a crash; the last line printed names the problem.
Usage: python guarded.py ISA
"""

import ctypes
import mmap
import sys

import numpy as np

import convkit as ck
import op_table
from cases import generate
from convkit.bench.shapes import read
from support import library, max_error_ratio, problem_case, rounding_factor

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def guarded(array, side):
    """A copy of the array whose first byte follows, or whose last byte precedes, a page without access."""
    body = -(-max(array.nbytes, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, body + PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fence, start = (address, PAGE) if side == "before" else (address + body, body - array.nbytes)
    copy = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    if libc.mprotect(fence, PAGE, 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    return ck.from_numpy(copy, copy=False)


def run(case, side):
    """Forward and backward on guarded inputs, checked against the oracle."""
    upstream, truth = op_table.upstream_and_expected(case)
    names = op_table.differentiable(case)
    tensors = {name: guarded(array, side) for name, array in case.arrays.items()}
    for name in names:
        tensors[name].requires_grad = True
    outputs = library(case.op)(tensors, case.arguments)
    y = outputs[0] if isinstance(outputs, tuple) else outputs
    y.backward(guarded(upstream, side))
    factor = rounding_factor(case, np.float32)
    assert max_error_ratio(y.numpy(), truth.outputs[0], truth.output_scales[0], np.float32) <= factor, case
    for name in names:
        got, want, scale = tensors[name].grad.numpy(), truth.gradients[name], truth.gradient_scales[name]
        assert max_error_ratio(got, want, scale, np.float32) <= factor, case


def main(isa):
    ck._core.set_isa(isa)
    ck.set_num_threads(1)  # many problems, all too small to share
    for name, problem in read("small").items():
        for side in ("before", "behind"):
            print(name, side, flush=True)
            run(problem_case(problem), side)
    for op in OPS:
        for i, case in enumerate(list(generate(op, seed=3))[::4]):
            side = ("behind", "before", "behind")[i % 3]
            print(case, side, flush=True)
            run(case, side)
    print("done", flush=True)


OPS = (
    "relu", "leaky_relu", "tanh", "softmax", "log_softmax", "batch_norm", "linear", "binary", "reduce", "cross_entropy",
    "mse_loss", "concatenate", "pad", "upsample", "adaptive_avg_pool2d", "max_pool2d", "conv2d", "transpose", "index",
)  # fmt: skip

if __name__ == "__main__":
    main(*sys.argv[1:])
