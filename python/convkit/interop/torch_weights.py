"""PyTorch's weights: names, order of axes, and the two public functions that load and export them.

Filters are [O,C/groups,R,S] in PyTorch and [O,R,S,C/groups] here; those of a transposed convolution
[C_in,C_out/groups,R,S] and [C_in,R,S,C_out/groups]. A Linear after a flattened image reads it in the order C,H,W there
and H,W,C here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import nn, weights
from ..nn.module import LoadResult

_STATE_KEYS = ("state_dict", "model", "model_state_dict")  # where checkpoints of a training run keep the weights
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile

Flatten = Mapping[str, tuple[int, int, int]]


def load_torch(
    path_or_dict: str | os.PathLike | Mapping[str, Any],
    model: nn.Module,
    strict: bool = True,
    flatten: Flatten | None = None,
) -> LoadResult:
    """Load PyTorch's weights into ``model``: a ``.pth`` file of any version, a ``.safetensors`` file or a state_dict.

    PyTorch is not needed, and nothing in the file is executed. Filters are transposed to [O,R,S,C/groups]. A Linear
    that follows a flattened image of C channels and HxW pixels needs its inputs in another order: the models of
    ``convkit.models`` know which (``torch_flatten``), for others ``flatten={"name": (C, H, W)}`` says it. float16 and
    bfloat16 become float32. A checkpoint may hold the weights under "state_dict", "model" or "model_state_dict", and
    their names may start with DataParallel's "module." and torch.compile's "_orig_mod."; ``num_batches_tracked`` may be
    missing.

    Nothing is loaded unless everything fits. Returns the missing and unexpected names that ``strict=False`` passes
    over. Raises ValueError for names and shapes that do not fit (one error that lists all) and for damaged files,
    TypeError for weights that are not real numbers and for arguments of other types, OSError for files that cannot be
    read.
    """
    if not isinstance(path_or_dict, str | os.PathLike | Mapping) or not isinstance(model, nn.Module):
        raise TypeError(
            f"[load_torch] needs a path or a state_dict, and a Module. Received: {type(path_or_dict).__name__}, "
            f"{type(model).__name__}."
        )
    from . import torch_files  # the parsers take 8 ms to import, which most programs never need

    content = path_or_dict if isinstance(path_or_dict, Mapping) else torch_files.read(path_or_dict)
    own = model.state_dict()
    state = _without_prefix(_state_of(content), own)
    state = _reordered(state, model, flatten, _filters_from_torch, _inputs_from_torch)
    for name, value in own.items():
        if name.rpartition(".")[2] == "num_batches_tracked":
            state.setdefault(name, value)
            if np.shape(state[name]) == (1,):  # as some exporters write it
                state[name] = np.reshape(state[name], ())
    return model.load_state_dict(state, strict)


def export_torch(model: nn.Module, path: str | os.PathLike, flatten: Flatten | None = None) -> None:
    """Write the weights of ``model`` as a safetensors file in PyTorch's order of axes, under the same names.

    PyTorch reads it with ``load_state_dict(safetensors.torch.load_file(path))``; ``load_torch`` reads it back.
    ``flatten`` as there.
    """
    state = {name: value.to("cpu").numpy() for name, value in model.state_dict().items()}
    weights.save(path, _reordered(state, model, flatten, _filters_to_torch, _inputs_to_torch), {"format": "pt"})


def _state_of(content: Any) -> dict[str, np.ndarray]:
    """The state_dict in what a file or a user holds, as arrays."""
    inner = next((content[key] for key in _STATE_KEYS if isinstance(content.get(key), Mapping)), content)
    others = [name for name, value in inner.items() if not (isinstance(name, str) and hasattr(value, "shape"))]
    if others:
        raise ValueError(
            f"[load_torch] a state_dict maps names to tensors, alone or under {', '.join(map(repr, _STATE_KEYS))}. "
            f"Received: {type(inner[others[0]]).__name__} as {str(others[0])[:100]!r}."
        )
    state = {name: _as_array(value) for name, value in inner.items()}
    if wrong := [f"{name} of {value.dtype}" for name, value in state.items() if value.dtype.kind not in "fiub"]:
        raise TypeError(f"[load_torch] weights are real numbers. Received: {', '.join(wrong)}.")
    return state


def _as_array(value: Any) -> np.ndarray:
    """An array, or a tensor of this library or of PyTorch, as an array."""
    if hasattr(value, "detach"):
        value = value.detach().to("cpu")
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
    return np.asarray(value)


def _without_prefix(state: dict[str, np.ndarray], own: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """``state`` without the prefixes, in any order, that all its names have and the model's do not."""
    strange = [prefix for prefix in _PREFIXES if not any(name.startswith(prefix) for name in own)]
    while prefix := next((p for p in strange if state and all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _reordered(
    state: dict[str, np.ndarray], model: nn.Module, flatten: Flatten | None, filters: Callable, inputs: Callable
) -> dict[str, np.ndarray]:
    """``state`` with the axes of filters, and the inputs of Linears that read an image, in the other order."""
    state = dict(state)
    for path, module in model.named_modules(remove_duplicate=False):
        name = f"{path}.weight" if path else "weight"
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and name in state and state[name].ndim == 4:
            state[name] = filters(state[name])
    own = model.state_dict()
    for path, chw in _flattened(model, flatten).items():
        name = f"{path}.weight"
        if name in state and state[name].shape == own[name].shape:
            state[name] = inputs(state[name], *chw)
    return state


def _filters_from_torch(w: np.ndarray) -> np.ndarray:
    return w.transpose(0, 2, 3, 1)


def _filters_to_torch(w: np.ndarray) -> np.ndarray:
    return w.transpose(0, 3, 1, 2)


def _inputs_from_torch(w: np.ndarray, c: int, h: int, k: int) -> np.ndarray:
    return w.reshape(-1, c, h, k).transpose(0, 2, 3, 1).reshape(w.shape)


def _inputs_to_torch(w: np.ndarray, c: int, h: int, k: int) -> np.ndarray:
    return w.reshape(-1, h, k, c).transpose(0, 3, 1, 2).reshape(w.shape)


def _flattened(model: nn.Module, flatten: Flatten | None) -> dict[str, tuple[int, int, int]]:
    """Path of a Linear -> C, H, W of the image that it reads: from the models' classes, and from ``flatten``."""
    linears = {path: m for path, m in model.named_modules(remove_duplicate=False) if isinstance(m, nn.Linear)}
    found = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for name, chw in getattr(module, "torch_flatten", {}).items():
            full = f"{path}.{name}" if path else name
            if full in linears and linears[full].in_features == np.prod(chw):  # a user may have replaced the top
                found[full] = chw
    if flatten is not None and not (isinstance(flatten, Mapping) and all(map(_are_sizes, flatten.values()))):
        raise TypeError(f'[interop] flatten is a dict {{"name of a Linear": (C, H, W)}}. Received: {flatten!r}.')
    for name, chw in (flatten or {}).items():
        if name not in linears or len(chw) != 3 or np.prod(chw) != linears[name].in_features:
            raise ValueError(
                f"[interop] flatten names a Linear and the C, H, W that its inputs are made of. Received: {name!r}: "
                f"{tuple(chw)!r}; Linears: {', '.join(f'{n} ({m.in_features})' for n, m in linears.items())}."
            )
        found[name] = tuple(chw)
    return found


def _are_sizes(sizes: Any) -> bool:
    return isinstance(sizes, tuple | list) and all(isinstance(n, int | np.integer) for n in sizes)
