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
        """``convkit.viz.learning_curves`` of this run: matplotlib's Figure, saved to ``path`` if given."""
        from ..viz import learning_curves  # it knows this package

        return learning_curves(self, path)
