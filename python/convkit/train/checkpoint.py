"""The state of a training run as one weight file.

The model's tensors keep their own names, so the file also loads as a model; everything else lies beside them: arrays as
tensors named ``training/<path>``, the rest as JSON in the metadata entry "training".
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from .. import weights
from ..tensor import Tensor

_KEY = "training"


def _flatten(value: Any, path: str, tensors: dict[str, Any]) -> Any:
    """``value`` as JSON: arrays go to ``tensors``, dicts become lists of pairs, as their keys need not be strings."""
    if isinstance(value, (Tensor, np.ndarray)):
        tensors[path] = value.to("cpu") if isinstance(value, Tensor) else value
        return {"tensor": path}
    if isinstance(value, dict):
        return {"dict": [[key, _flatten(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_flatten(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]}
    return value.item() if isinstance(value, np.generic) else value


def _unflatten(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unflatten(item, tensors) for key, item in content}
    items = [_unflatten(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def save(path: str | os.PathLike, model, state: dict) -> None:
    """Write the model and ``state`` (nested dicts, lists and tuples of numbers, strings and arrays) atomically."""
    tensors = {name: value.to("cpu") for name, value in model.state_dict().items()}
    text = json.dumps(_flatten(state, _KEY, tensors))
    weights.save(path, tensors, {**model._metadata(), _KEY: text})


def load(path: str | os.PathLike) -> tuple[dict, dict[str, np.ndarray], dict[str, str]]:
    """Read a file of ``save``: (state, all tensors, all metadata). Raises ValueError for any other file."""
    tensors, metadata = weights.load(path)
    try:
        state = _unflatten(json.loads(metadata[_KEY]), tensors)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"[train.fit] the file holds no state of a training run. Received: {os.fspath(path)!r}."
        ) from error
    return state, tensors, metadata
