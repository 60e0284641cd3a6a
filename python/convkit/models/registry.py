"""The models by name: what the command line and a weight file's metadata refer to."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable

from .. import weights
from ..nn import Module

_factories: dict[str, Callable[..., Module]] = {}


def register(name: str, size: tuple[int, int]):
    """Decorator of a factory: lists it as ``name``, and notes name and arguments in its models, for ``load``.

    ``size`` is the height and width of the images the model is made for; with ``in_channels`` it is ``input_shape``.
    """

    def decorate(factory):
        signature = inspect.signature(factory)

        @functools.wraps(factory)
        def build(*args, **kwargs) -> Module:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            model = factory(*args, **kwargs)
            model._factory = (name, dict(bound.arguments))
            model.input_shape = (*size, bound.arguments["in_channels"])
            return model

        build.__name__ = build.__qualname__ = name.rpartition(".")[2]
        _factories[name] = build
        return build

    return decorate


def names() -> list[str]:
    """The names that ``build`` takes."""
    return sorted(_factories)


def build(name: str, **arguments) -> Module:
    """A new model by its name, such as "lenet5" or "illustrated.lenet"."""
    if name not in _factories:
        raise ValueError(f"[models] there is no model of this name. Received: {name!r}; known: {', '.join(names())}.")
    return _factories[name](**arguments)


def load(path: str | os.PathLike) -> Module:
    """Rebuild the model that ``Module.save`` wrote to ``path``: architecture, weights, classes and normalisation."""
    tensors, metadata = weights.load(path)
    name = metadata.get("model", "")
    arguments = weights.read_json(metadata, "model arguments", dict) or {}
    if name not in _factories:
        raise ValueError(
            f"[models.load] {os.fspath(path)!r} holds no model of convkit.models; build its model and call load(path). "
            f"Received: model {name!r}; known: {', '.join(names())}."
        )
    try:
        model = build(name, **arguments)
    except TypeError as error:
        raise ValueError(f"[models.load] {os.fspath(path)!r} has wrong arguments for {name}: {error}") from None
    model._restore(tensors, metadata)
    return model
