"""JAX: the LeNet step as one jitted function, parameters donated; NHWC with HWIO filters, JAX's usual layout.

pip install jax
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from tasks import LEARNING_RATE


def version() -> str:
    return jax.__version__


def set_threads(n: int) -> None:
    pass  # XLA's pool is as large as the CPUs that the process may use


def _parameters(task, data):
    """Filters as HWIO and dense weights as [in,out]."""
    if str(task) != f"train:illustrated.lenet:{task.batch}":
        raise ValueError("the LeNet step only")
    names = [name for name in data if name not in ("x", "labels")]
    return {name: jnp.asarray(_transposed(data[name], (1, 2, 3, 0))) for name in names}


def _transposed(array, axes):
    return array.transpose(axes) if array.ndim == 4 else array.T


def _logits(p, x, key):
    def convolve(x, name):
        dims = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), "VALID", dimension_numbers=dims)
        return jax.nn.relu(y + p[f"{name}.bias"])

    def drop(x, rate, key):
        if key is None:
            return x
        return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)

    keys = (None, None) if key is None else jax.random.split(key)
    x = convolve(convolve(x, "conv1"), "conv2")
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = drop(x, 0.25, keys[0]).reshape(x.shape[0], -1)
    x = jax.nn.relu(x @ p["dense1.weight"] + p["dense1.bias"])
    return drop(x, 0.5, keys[1]) @ p["dense2.weight"] + p["dense2.bias"]


def _loss(p, x, labels, key):
    scores = jax.nn.log_softmax(_logits(p, x, key))
    return -jnp.take_along_axis(scores, labels[:, None], 1).mean()


def _adam(p, gradient, m, v, t):
    m = 0.9 * m + 0.1 * gradient
    v = 0.999 * v + 0.001 * gradient**2
    return p - LEARNING_RATE * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


def steps(task, data):
    def update(state, x, labels):
        p, m, v, t, key = state
        key, used = jax.random.split(key)
        loss, gradients = jax.value_and_grad(_loss)(p, x, labels, used)
        new = {name: _adam(p[name], gradients[name], m[name], v[name], t) for name in p}
        parts = ({name: entry[i] for name, entry in new.items()} for i in range(3))
        return (*parts, t + 1, key), loss

    compiled = jax.jit(update, donate_argnums=0)
    p = _parameters(task, data)
    zeros = [{name: jnp.zeros_like(value) for name, value in p.items()} for _ in range(2)]
    state = (p, *zeros, jnp.float32(1), jax.random.key(0))
    x, labels = jnp.asarray(data["x"]), jnp.asarray(data["labels"])

    def step():
        nonlocal state
        state, loss = compiled(state, x, labels)
        loss.block_until_ready()
        jax.block_until_ready(state)

    return {"": step}


def check(task, data):
    p = _parameters(task, data)
    loss, gradients = jax.value_and_grad(_loss)(p, jnp.asarray(data["x"]), jnp.asarray(data["labels"]), None)
    back = {name: _transposed(np.asarray(value), (3, 0, 1, 2)) for name, value in gradients.items()}
    return {"loss": np.asarray(loss), **back}
