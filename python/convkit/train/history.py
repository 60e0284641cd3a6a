"""The record of a training run."""

from __future__ import annotations

import csv
import json
import math
import os

COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds")


class History(dict):
    """Column -> list with one value per epoch: loss, accuracy, val_loss, val_accuracy, lr, seconds.

    ``val_loss`` and ``val_accuracy`` stay empty without validation data; ``lr`` is that of the epoch's last update,
    ``seconds`` includes validation; an accuracy that is not defined for the labels at hand is NaN.
    """

    def __init__(self, columns=()):
        super().__init__({name: [] for name in COLUMNS})
        self.update(columns)

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self["loss"])

    def append(self, **values: float) -> None:
        """Add one epoch."""
        for name, value in values.items():
            self[name].append(float(value))

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write one line per epoch, with a heading; the columns without values are left empty."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("epoch", *COLUMNS))
            for i in range(self.epochs):
                writer.writerow((i + 1, *(self[name][i] if self[name] else "" for name in COLUMNS)))

    def to_json(self, path: str | os.PathLike) -> None:
        """Write the columns as one JSON object; NaN and infinities, which JSON has not, become null."""
        columns = {name: [v if math.isfinite(v) else None for v in values] for name, values in self.items()}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(columns, file, indent=1)

    def plot(self, path: str | os.PathLike | None = None):
        """Draw loss and accuracy over the epochs; returns matplotlib's Figure, saved to ``path`` if given.

        Raises ImportError without matplotlib.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("[History.plot] the picture needs matplotlib: pip install matplotlib") from error
        figure = Figure(figsize=(9, 3.5), layout="constrained")
        epochs = range(1, self.epochs + 1)
        for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
            axes.plot(epochs, self[name], label="training")
            if self[f"val_{name}"]:
                axes.plot(epochs, self[f"val_{name}"], label="validation")
            axes.set(xlabel="epoch", ylabel=name)
            axes.legend()
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure
