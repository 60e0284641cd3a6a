"""convkit: convolutional networks on hand-written CPU and CUDA kernels.

>>> import convkit as ck
>>> x = ck.tensor([[1.0, -2.0]], requires_grad=True)
>>> ck.relu(x).sum().backward()
>>> x.grad.tolist()
[[1.0, 0.0]]
"""

from . import cuda, data, interop, models, nn, optim, train, viz, weights
from .autograd import no_grad
from .config import (
    apply_environment,
    get_num_threads,
    get_precision,
    package_version,
    set_num_threads,
    set_precision,
    set_workspace_limit,
    show_config,
)
from .creation import arange, full, ones, zeros
from .dtypes import bfloat16, bool_, float32, float64, int64, uint8
from .dtypes import bool_ as bool
from .mixed import autocast
from .ops import (
    adaptive_avg_pool2d,
    avg_pool2d,
    batch_norm,
    binary_cross_entropy_with_logits,
    concatenate,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    dropout,
    exp,
    flatten,
    leaky_relu,
    linear,
    log,
    log_softmax,
    matmul,
    max_pool2d,
    max_unpool2d,
    mse_loss,
    pad,
    relu,
    relu6,
    sigmoid,
    smooth_l1_loss,
    softmax,
    sqrt,
    tanh,
    upsample,
)
from .random import get_rng_state, manual_seed, rand, randn, set_rng_state
from .recompute import checkpoint
from .tensor import Tensor, from_dlpack, from_numpy, tensor

apply_environment()
del apply_environment


def __getattr__(name):
    if name == "__version__":
        return package_version()
    raise AttributeError(f"module 'convkit' has no attribute {name!r}")
