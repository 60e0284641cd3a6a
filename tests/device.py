"""CONVKIT_TEST_DEVICE=cuda: the tests of the ops with float32 tensors on a device, on a GPU or in the emulation.

Tests name no device. So here new tensors go to the device under test, but for float64, which is the CPU's, and
`numpy()` reads them back. CONVKIT_TEST_PRECISION=precise runs them without TF32: tests that know no tolerance for it
need that.
"""

import os
import sys

import numpy as np

import convkit as ck
from convkit import config

DEVICE = os.environ.get("CONVKIT_TEST_DEVICE", "cpu")
PRECISION = os.environ.get("CONVKIT_TEST_PRECISION", "fast")

# TF32 keeps 10 bits of mantissa: both factors of a product are off by up to 2^-11, it by 2^-10 = 1024 * 8 * 2^-23.
TF32_FACTOR = 1024
MATRIX_OPS = {"conv2d", "conv_transpose2d", "matmul", "linear"}


def is_cuda():
    return DEVICE != "cpu"


def on_cpu(t):
    """The values of a tensor, wherever it is, as an array."""
    return np.asarray(t.detach().to("cpu"))


def matrix_rounding():
    """How many times the rounding errors of float32 products a matrix op may have on the device under test."""
    return TF32_FACTOR if is_cuda() and config.get_precision() == "fast" else 1


def place_new_tensors():
    """Lets everything that makes tensors make them on the device under test."""
    module = sys.modules["convkit.tensor"]
    make, numpy = module.tensor, module.Tensor.numpy

    def tensor(data, dtype=None, device=DEVICE, requires_grad=False):
        made = make(data, dtype, "cpu", requires_grad)
        if made.dtype == np.float64 or device == "cpu":
            return made
        return module.Tensor(made.to(device)._data, requires_grad)

    module.tensor = ck.tensor = tensor
    module.Tensor.numpy = lambda self: numpy(self.detach().to("cpu"))
    for maker in (ck.full, ck.zeros, ck.ones, ck.arange, ck.rand, ck.randn):
        names = maker.__code__.co_varnames[: maker.__code__.co_argcount + maker.__code__.co_kwonlyargcount]
        assert "device" in names, maker
        if maker.__kwdefaults__ and "device" in maker.__kwdefaults__:
            maker.__kwdefaults__["device"] = DEVICE
        else:
            defaults = list(maker.__defaults__)
            defaults[defaults.index("cpu")] = DEVICE
            maker.__defaults__ = tuple(defaults)
