"""The differentiable ops, one file per family: check and normalise arguments, call ``_core``, record the gradient."""

from .conv2d import conv2d, conv2d_max_pool2d, conv2d_statistics, conv_transpose2d
from .dropout import dropout
from .loss import binary_cross_entropy_with_logits, cross_entropy, mse_loss, smooth_l1_loss
from .matmul import linear, matmul
from .norm import batch_norm
from .pointwise import (
    abs,
    add,
    compare,
    divide,
    exp,
    leaky_relu,
    log,
    multiply,
    negative,
    power,
    relu,
    relu6,
    sigmoid,
    sqrt,
    subtract,
    tanh,
)
from .pool2d import adaptive_avg_pool2d, avg_pool2d, max_pool2d, max_unpool2d
from .reduce import argmax, max, mean, sum
from .resize import upsample
from .shape_ops import astype, concatenate, device_name, flatten, getitem, pad, reshape, to_device, transpose
from .softmax import log_softmax, softmax
