"""The training loop."""

from __future__ import annotations

import contextlib
import inspect
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data import DataLoader
from ..nn import Module
from ..ops import cross_entropy
from ..optim import clip_gradients
from ..random import get_rng_state, set_rng_state
from ..tensor import tensor
from . import checkpoint
from .evaluation import Means, as_loader, correct, device_of, evaluate, mode, placing
from .extras import AveragedWeights, Interruption, class_weights, mix
from .graph import StepGraph
from .history import History
from .progress import Progress


def fit(
    model,
    train_data,
    *,
    epochs: int,
    optimizer,
    loss: Callable = cross_entropy,
    validation_data=None,
    batch_size: int = 128,
    shuffle: bool = True,
    seed: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    scheduler=None,
    early_stopping: int | None = None,
    clip_norm: float | None = None,
    accumulate: int = 1,
    mixup: float = 0.0,
    ema: float | None = None,
    class_weight=None,
    label_smoothing: float = 0.0,
    checkpoint_dir=None,
    resume: bool = False,
    callbacks=(),
    progress: bool = True,
    cuda_graph: bool = False,
) -> History:
    """Train ``model`` and return the record of the run.

    train_data, validation_data: a DataLoader, or a pair of arrays (x [N,H,W,C], y) that is loaded in batches of
    ``batch_size``, the training pair in an order drawn from ``seed`` and the epoch when ``shuffle``; uint8 inputs
    become x/255, and a model of float64 gets its batches as float64. epochs counts from the start of the run, also when
    it is resumed.
    loss: ``loss(logits, labels)`` -> scalar.
    steps_per_epoch, validation_steps: batches per epoch instead of the whole data; more than one pass is fine.
    scheduler: its ``step()`` follows every batch.
    early_stopping: stop after so many epochs without a better validation accuracy (without validation data, or where
    accuracy is undefined: a lower loss).
    clip_norm: bound on the Euclidean norm of all gradients together.
    accumulate: batches whose mean gradient makes one update; the last update of an epoch may have fewer.
    mixup: alpha of Zhang et al. 2018, 0 for none.
    ema: decay of a moving average of the weights, which is what is validated, written to best.safetensors and left in
    the model at the end.
    class_weight: one weight per class, or {class: weight}, for losses with a ``weight`` argument; modules such as
    ``nn.CrossEntropyLoss`` take theirs themselves.
    label_smoothing: share of each target that is spread over the classes, for losses with an argument of this name.
    Neither of the two enters the validation loss.
    checkpoint_dir: folder for last.safetensors (after every epoch; the whole state) and best.safetensors (the weights
    of the best epoch by the measure of early_stopping); both load as models.
    resume: continue from last.safetensors as if the run had never stopped, bit for bit.
    callbacks: functions ``f(epoch, figures)`` called after each epoch (counted from 0), or objects with
    ``on_batch_end(step, figures)`` or ``on_epoch_end(epoch, figures)``; if one returns True, that epoch is the last.
    progress: print a bar on a terminal, one line per epoch elsewhere.
    cuda_graph: record forward and backward of the first batch as a CUDA graph and replay it for all of its shape: same
    bits, one call instead of hundreds of launches. Without mixup and accumulate; ``loss`` and the model must not look
    at values.

    Ctrl-C ends the run with KeyboardInterrupt after the current batch; last.safetensors holds the last whole epoch.
    Raises ValueError for arguments that do not fit, FileNotFoundError when there is nothing to resume.
    """
    if cuda_graph:
        if device_of(model) == "cpu":
            raise ValueError("[train.fit] cuda_graph needs a model on a CUDA device. Received: a model on cpu.")
        if mixup or accumulate != 1:
            raise ValueError(
                "[train.fit] a CUDA graph repeats one step as it is: without mixup, one batch per update. "
                f"Received: cuda_graph=True, mixup={mixup}, accumulate={accumulate}."
            )
    callbacks = tuple(callbacks)
    _check(locals())
    loader = as_loader(train_data, batch_size, shuffle=shuffle, seed=seed)
    if not len(loader):
        raise ValueError("[train.fit] the training data must hold at least one batch. Received: none.")
    validation = None if validation_data is None else as_loader(validation_data, batch_size)
    run = _Run(
        model=model,
        loader=loader,
        steps=steps_per_epoch or len(loader),
        optimizer=optimizer,
        loss=loss,
        validation=validation,
        validation_steps=validation_steps,
        scheduler=scheduler,
        clip_norm=clip_norm,
        accumulate=accumulate,
        mixup=mixup,
        average=None if ema is None else AveragedWeights(ema),
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        folder=None if checkpoint_dir is None else Path(checkpoint_dir),
        callbacks=callbacks,
        progress=Progress(epochs, enabled=progress),
        cuda_graph=cuda_graph,
    )
    if resume:
        run.resume()
    return run.loop(epochs, math.inf if early_stopping is None else early_stopping)


def _check(given: dict[str, Any]) -> None:
    """Refuse arguments of ``fit`` that cannot mean anything."""
    for name in ("epochs", "steps_per_epoch", "validation_steps", "early_stopping", "accumulate"):
        value = given[name]
        if value is None and name not in ("epochs", "accumulate"):
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"[train.fit] {name} must be an integer >= 1. Received: {name}={value!r}.")
    for name, rule, allowed in (
        ("clip_norm", "positive", lambda v: v is None or v > 0),
        ("mixup", ">= 0", lambda v: 0 <= v < math.inf),
        ("ema", "between 0 and 1", lambda v: v is None or 0 < v < 1),
        ("label_smoothing", "in [0, 1)", lambda v: 0 <= v < 1),
    ):
        if not allowed(given[name]):
            raise ValueError(f"[train.fit] {name} must be {rule}. Received: {name}={given[name]!r}.")
    if not (hasattr(given["optimizer"], "step") and hasattr(given["optimizer"], "zero_grad")):
        raise TypeError(f"[train.fit] optimizer must be an optimizer of ck.optim. Received: {given['optimizer']!r}.")
    if given["resume"] and given["checkpoint_dir"] is None:
        raise ValueError("[train.fit] resume needs checkpoint_dir. Received: checkpoint_dir=None.")
    for callback in given["callbacks"]:
        if not (callable(callback) or hasattr(callback, "on_batch_end") or hasattr(callback, "on_epoch_end")):
            raise TypeError(
                f"[train.fit] a callback is a function or has on_batch_end or on_epoch_end. Received: {callback!r}."
            )
    wanted = {"weight": given["class_weight"] is not None, "label_smoothing": given["label_smoothing"] != 0}
    for argument in (name for name, needed in wanted.items() if needed):
        name = "class_weight" if argument == "weight" else argument
        if isinstance(given["loss"], Module):
            raise ValueError(
                f"[train.fit] {name} is for losses that are functions; a module has arguments of its own: "
                f"nn.CrossEntropyLoss({argument}=...). Received: {name}={given[name]!r} with {given['loss']!r}."
            )
        if argument not in inspect.signature(given["loss"]).parameters:
            raise ValueError(
                f"[train.fit] {name} needs a loss with a `{argument}` argument. Received: {given['loss']!r}."
            )


@dataclass
class _Run:
    """One training run: what ``fit`` was given, and the state that a checkpoint holds."""

    model: Any
    loader: DataLoader
    steps: int
    optimizer: Any
    loss: Callable
    validation: DataLoader | None
    validation_steps: int | None
    scheduler: Any
    clip_norm: float | None
    accumulate: int
    mixup: float
    average: AveragedWeights | None
    class_weight: Any
    label_smoothing: float
    folder: Path | None
    callbacks: tuple
    progress: Progress
    cuda_graph: bool

    def __post_init__(self):
        self._graph: StepGraph | None = None
        self._class_weight = None
        self._place = placing(self.model)
        self.history = History()
        self.best = -math.inf
        self.epochs_without_better = 0

    def loop(self, epochs: int, patience: float) -> History:
        try:
            with mode(self.model, training=True), Interruption() as interruption:
                stop = False
                while self.history.epochs < epochs and self.epochs_without_better < patience and not stop:
                    stop = self._epoch(self.history.epochs, interruption)
                    interruption.check()
        finally:
            self.progress.clear()
        if self.average is not None and self.average.values:
            self.model.load_state_dict(self.average.values)
        return self.history

    def _epoch(self, epoch: int, interruption: Interruption) -> bool:
        """One epoch with its validation, checkpoints and callbacks; whether a callback asks to stop."""
        started = time.monotonic()
        figures = self._train(epoch, interruption)
        stop = figures.pop("stop")
        better = False
        with self._averaged():
            if self.validation is not None:
                validated = evaluate(
                    self.model,
                    self.validation,
                    loss=self.loss,
                    steps=self.validation_steps,
                    after_batch=interruption.check,
                )
                figures |= {f"val_{name}": value for name, value in validated.items()}
            measure = self._measure(figures)
            if better := measure > self.best:
                self.best = measure
                self._save_best()
        self.epochs_without_better = 0 if better else self.epochs_without_better + 1
        figures["seconds"] = time.monotonic() - started
        self.history.append(**figures)
        self._save_last()
        self.progress.finish(figures)
        return self._call("on_epoch_end", epoch, figures) or stop

    def _train(self, epoch: int, interruption: Interruption) -> dict[str, float]:
        means, stop, rate = Means(), False, math.nan
        self.progress.start(epoch, self.steps)
        self.optimizer.zero_grad()
        for step, (x, y) in enumerate(self._batches()):
            group = min(self.accumulate, self.steps - step + step % self.accumulate)  # batches of this update
            value, accuracy = self._learn(epoch, step, x, y, group)
            means.add(len(x), value, accuracy)
            rate = self.optimizer.param_groups[0]["lr"]
            if (step + 1) % self.accumulate == 0 or step + 1 == self.steps:
                self._update()
            if self.scheduler is not None:
                self.scheduler.step()
            self.progress.update(step + 1, means.samples, means.loss, means.accuracy)
            stop |= self._call("on_batch_end", step, {"loss": means.loss, "accuracy": means.accuracy, "lr": rate})
            interruption.check()
        return {"loss": means.loss, "accuracy": means.accuracy, "lr": rate, "stop": stop}

    def _batches(self) -> Iterator:
        """The epoch's batches; more of them than the data has take further passes."""
        left = self.steps
        while left:
            for batch in self.loader:
                yield batch
                left -= 1
                if not left:
                    break

    def _learn(self, epoch: int, step: int, x, y, group: int) -> tuple[float, float]:
        """(loss, accuracy) of one batch, whose gradient, divided by ``group``, is added to the parameters'."""
        if self.cuda_graph and self._graph is None:
            self._graph = StepGraph(self.model, self._loss, x, y, device_of(self.model))
        if self._graph is not None and self._graph.fits(x, y):  # an epoch's last batch may be smaller
            loss, logits = self._graph(x, y)
            return loss.item(), correct(logits.to("cpu").numpy(), y.numpy())
        value, accuracy = self._forward(epoch, step, x, y)
        (value if group == 1 else value / group).backward()
        return value.item(), accuracy

    def _forward(self, epoch: int, step: int, x, y):
        """(loss, accuracy) of one batch; under mixup both are mixed like the images."""
        share, partners = 1.0, None
        if self.mixup:
            seed = np.random.SeedSequence(self.loader.seed, spawn_key=(epoch, step, 0))
            x, partners, share = mix(x, y, self.mixup, np.random.default_rng(seed))
        logits = self.model(self._place(x))
        predicted = logits.detach().to("cpu").numpy()
        value, accuracy = self._loss(logits, self._place(y)), correct(predicted, y.numpy())
        if partners is not None:
            value = share * value + (1 - share) * self._loss(logits, self._place(partners))
            accuracy = share * accuracy + (1 - share) * correct(predicted, partners.numpy())
        return value, accuracy

    def _loss(self, logits, labels):
        options = {}
        if self.class_weight is not None:
            if self._class_weight is None:
                self._class_weight = self._place(class_weights(self.class_weight, logits.shape[-1]))
            options["weight"] = self._class_weight
        if self.label_smoothing:
            options["label_smoothing"] = self.label_smoothing
        return self.loss(logits, labels, **options)

    def _update(self) -> None:
        if self.clip_norm is not None:
            clip_gradients(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.model)

    def _averaged(self):
        return contextlib.nullcontext() if self.average is None else self.average.inside(self.model)

    @staticmethod
    def _measure(figures: dict[str, float]) -> float:
        """What the best epoch has most of: validation accuracy where there is one, else minus the loss."""
        accuracy = figures.get("val_accuracy", math.nan)
        return -figures.get("val_loss", figures["loss"]) if math.isnan(accuracy) else accuracy

    def _call(self, event: str, number: int, figures: dict[str, float]) -> bool:
        """Tell every callback that listens to ``event``; whether one of them asks to stop."""
        stop = False
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is None and event == "on_epoch_end" and not hasattr(callback, "on_batch_end"):
                method = callback
            if method is not None:
                stop |= method(number, dict(figures)) is True
        return stop

    def _loaders(self) -> list[DataLoader]:
        return [self.loader] if self.validation is None else [self.loader, self.validation]

    def _save_best(self) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.model.save(self.folder / "best.safetensors")

    def _save_last(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "kinds": self._kinds(),
            "history": dict(self.history),
            "best": self.best,
            "epochs_without_better": self.epochs_without_better,
            "loader_epochs": [loader.epoch for loader in self._loaders()],
            "generator": get_rng_state(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "average": None if self.average is None else self.average.values,
        }
        checkpoint.save(self.folder / "last.safetensors", self.model, state)

    def _kinds(self) -> dict[str, str | None]:
        """What the state in a checkpoint belongs to."""
        parts = {"optimizer": self.optimizer, "scheduler": self.scheduler, "ema": self.average}
        return {name: None if part is None else type(part).__name__ for name, part in parts.items()}

    def resume(self) -> None:
        """Continue from last.safetensors."""
        path = self.folder / "last.safetensors"
        if not path.exists():
            raise FileNotFoundError(f"[train.fit] resume needs a checkpoint. Received: no file {str(path)!r}.")
        try:
            self._take(*checkpoint.load(path))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"[train.fit] the state of a training run is damaged. Received: {str(path)!r}.") from error

    def _take(self, state: dict, tensors: dict, metadata: dict) -> None:
        for name, kind in self._kinds().items():
            if (had := state["kinds"][name]) != kind:
                raise ValueError(f"[train.fit] resume needs the run's own {name}. Received: {kind}, the run had {had}.")
        self.model._restore(tensors, metadata)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            device = device_of(self.model)
            self.average.values = {name: tensor(value, device=device) for name, value in state["average"].items()}
        self.history = History(state["history"])
        self.best, self.epochs_without_better = state["best"], state["epochs_without_better"]
        for loader, epoch in zip(self._loaders(), state["loader_epochs"]):
            loader.epoch = epoch
        set_rng_state(state["generator"])
