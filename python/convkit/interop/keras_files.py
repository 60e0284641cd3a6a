"""Keras' HDF5 weight files, through h5py (the extra ``convkit[keras]``).

Two layouts: the older one, in which the file lists its layers and each layer its weights (``vgg16_weights_tf_dim_
ordering_tf_kernels.h5`` and ``save_weights("x.h5")``), and that of Keras 3 (``save_weights("x.weights.h5")``), which
counts the layers of each class: ``layers/conv2d_1/vars/0``. Filters are [R,S,C,O] there and matrices [in,out]; images
are flattened in the order H,W,C, as here.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import nn
from ..nn.module import LoadResult

# Number of axes of a layer's first weight -> the layer and our names of its weights, in Keras' order
_KINDS = {
    4: (nn.Conv2d, ("weight", "bias")),
    2: (nn.Linear, ("weight", "bias")),
    1: (nn.BatchNorm2d, ("weight", "bias", "running_mean", "running_var")),
}
_AXES = {4: (3, 0, 1, 2), 2: (1, 0)}  # of filters and matrices


def load_keras(path: str | os.PathLike, model: nn.Module, strict: bool = True) -> LoadResult:
    """Load a Keras weight file (``.h5`` or ``.weights.h5``) of a network with the same layers in the same order.

    The i-th convolution, dense layer and batch normalisation of the file go into the i-th of ``model``, so names do
    not matter: ``vgg16()`` takes Keras' VGG16 and ``vgg16(include_top=False)`` its ``_notop`` file. Keras' own VGG
    weights want images scaled by ``caffe_preprocess``.

    Layers of layers (networks in the network, recurrent cells) are not read and count as without a counterpart.

    Nothing is loaded unless everything fits. Returns the missing names, and the file's layers without a counterpart,
    that ``strict=False`` passes over. Raises ValueError for layers and shapes that do not fit and for damaged files,
    OSError for files that cannot be read, ImportError without h5py.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError('[load_keras] needs h5py: pip install "convkit[keras]".') from None
    with open(path, "rb") as opened:  # a file that is absent or closed to us is the system's error, below all is damage
        try:
            with h5py.File(opened, "r") as file:
                found, unread = _layers(file)
                state, unexpected = _matched(found, model)
                unexpected += unread
                _check_shapes(state, model)
                state = {name: _array(data) for name, data in state.items()}
        except _Unfit as error:
            raise ValueError(f"[load_keras] {os.fspath(path)!r} {error}") from None
        except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and others, by the place of the damage
            raise ValueError(f"[load_keras] damaged or foreign file {os.fspath(path)!r}: {error}") from None
    if strict and unexpected:
        raise ValueError(
            f"[load_keras] {os.fspath(path)!r} has layers that this {type(model).__name__} has not: "
            f"{', '.join(unexpected)}."
        )
    for name, value in model.state_dict().items():
        if name.rpartition(".")[2] == "num_batches_tracked":
            state[name] = value
    missing = model.load_state_dict(state, strict).missing_keys
    return LoadResult(missing, unexpected)


class _Unfit(Exception):
    """The file is whole, but not of this network."""


def _layers(file: Any) -> tuple[dict[str, list[Any]], list[str]]:
    """Name -> data sets of every layer with weights, in the network's order within each kind of layer.

    And the layers that keep weights deeper down: networks in the network, cells of recurrent layers.
    """
    if file.get("model_weights", getlink=True):  # a whole model, saved as one file
        file = _member(file, "model_weights")
    if "layer_names" in file.attrs:
        found = {}
        for name in map(_text, file.attrs["layer_names"]):
            layer = _member(file, name)
            found[name] = [_data_set(layer, _text(weight)) for weight in layer.attrs["weight_names"]]
        unread = []
    else:  # Keras 3; 2.12 to 2.15
        group = _member(file, "layers" if file.get("layers", getlink=True) else "_layer_checkpoint_dependencies")
        names = sorted(group, key=_counted)
        found = {name: _variables(_member(group, name)) for name in names}
        unread = [name for name in names if _has_weights_below(group[name])]
    return {name: weights for name, weights in found.items() if weights}, unread


def _variables(layer: Any) -> list[Any]:
    if not layer.get("vars", getlink=True):
        return []
    variables = _member(layer, "vars")
    return [_data_set(variables, str(number)) for number in range(len(variables))]


def _has_weights_below(layer: Any) -> bool:
    return bool(layer.visititems(lambda path, item: (hasattr(item, "shape") and not path.startswith("vars/")) or None))


def _member(group: Any, path: str) -> Any:
    """What lies at ``path``, in this very file: links of other kinds may lead to any file of the machine."""
    import h5py

    for name in filter(None, path.split("/")):
        if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path[:200]!r} is not in the file itself")
        group = group[name]
    return group


def _data_set(group: Any, path: str) -> Any:
    """The data set at ``path``, whose numbers are in this very file as well."""
    import h5py

    found = _member(group, path)
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise ValueError(f"{path[:200]!r} is no data set with its numbers in the file itself")
    return found


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _counted(name: str) -> tuple[str, int]:
    """Sorts conv2d, conv2d_1, conv2d_2, conv2d_10."""
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if number.isdecimal() else (name, 0)


def _matched(found: dict[str, list[Any]], model: nn.Module) -> tuple[dict[str, Any], list[str]]:
    """(our name -> data set, the file's layers that are left over)."""
    ours = {kind: [path for path, m in model.named_modules() if type(m) is kind] for kind, _ in _KINDS.values()}
    state, unexpected = {}, []
    for layer, weights in found.items():
        kind, names = _KINDS.get(len(weights[0].shape), (None, ()))
        fits = len(weights) == len(names) or (len(weights) == 1 and kind is not nn.BatchNorm2d)  # one: no bias
        if not fits or not ours.get(kind):
            unexpected.append(layer)
            continue
        path = ours[kind].pop(0)
        for name, data in zip(names, weights):
            state[f"{path}.{name}" if path else name] = data
    return state, unexpected


def _check_shapes(state: dict[str, Any], model: nn.Module) -> None:
    """Before anything is read: a damaged file may claim any size."""
    own = model.state_dict()
    wrong = []
    for name, data in state.items():
        axes = _AXES.get(len(data.shape), range(len(data.shape)))
        if name not in own or tuple(data.shape[axis] for axis in axes) != own[name].shape:
            needed = f"{own[name].shape}" if name in own else "does not exist"
            wrong.append(f"{data.name} has {data.shape}, {name} {needed}")
    if wrong:
        raise _Unfit(f"has other shapes than the model: {'; '.join(wrong)}.")


def _array(data: Any) -> np.ndarray:
    array = np.asarray(data)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{data.name} holds {array.dtype}")
    return array.transpose(_AXES.get(array.ndim, range(array.ndim)))
