"""The record of a run and what is printed during it."""

import csv
import importlib
import io
import json
import sys

import pytest

from convkit.train import History

progress = importlib.import_module("convkit.train.progress")


def history(validation=True):
    record = History()
    for epoch in range(3):
        figures = {"loss": 1 / (epoch + 1), "accuracy": 0.25 * epoch, "lr": 0.1, "seconds": 2}
        record.append(**figures, **({"val_loss": 2.0, "val_accuracy": 0.5} if validation else {}))
    return record


def test_history_is_a_mapping_of_lists():
    record = history()
    assert record["loss"] == [1, 0.5, 1 / 3] and record["val_accuracy"] == [0.5] * 3 and record.epochs == 3
    assert list(record) == ["loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    assert History(record) == record and History()["loss"] == []


@pytest.mark.parametrize("validation", [True, False])
def test_history_files(tmp_path, validation):
    record = history(validation)
    record.to_csv(tmp_path / "h.csv")
    with open(tmp_path / "h.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == record["loss"]
    assert [row["val_loss"] for row in rows] == (["2.0"] * 3 if validation else [""] * 3)
    record.to_json(tmp_path / "h.json")
    assert json.loads((tmp_path / "h.json").read_text()) == record
    record["loss"][1:] = [float("nan"), float("inf")]
    record.to_json(tmp_path / "h.json")
    assert json.loads((tmp_path / "h.json").read_text(), parse_constant=pytest.fail)["loss"] == [1, None, None]


@pytest.mark.parametrize("validation", [True, False])
def test_history_plot(tmp_path, validation):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    figure = history(validation).plot(tmp_path / "h.png")
    loss, accuracy = figure.axes
    assert list(loss.lines[0].get_ydata()) == [1, 0.5, 1 / 3] and len(accuracy.lines) == 1 + validation
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")


def test_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "convkit\[viz\]"'):
        history().plot()


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Stands in for the module `time`."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


FIGURES = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.25, "val_accuracy": 1.0, "lr": 0.001, "seconds": 12.34}


def test_plain_lines():
    stream = io.StringIO()
    shown = progress.Progress(10, stream=stream)
    shown.start(2, 4)
    shown.update(4, 64, 0.5, 0.75)
    shown.finish(FIGURES)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith(
        "epoch  3/10  loss 0.5000  accuracy 0.7500  val_loss 0.2500  val_accuracy 1.0000  lr 0.001  12.3 s  "
    )
    assert line.endswith(" images/s")


def test_bar(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    shown = progress.Progress(2, stream=stream)
    shown.start(0, 1000)
    for step in range(1, 501):
        clock.now += 0.01  # five seconds in all
        shown.update(step, 100 * step, 0.5, 0.75)
    updates = stream.getvalue().split("\r\x1b[K")[1:]
    assert 45 <= len(updates) <= 51  # at most ten per second
    assert "] 491/1000  10,000 images/s  loss 0.5000  accuracy 0.7500  ETA 0:05" in updates[-1]
    assert updates[-1].startswith("epoch 1/2 [===========>            ]")
    shown.finish(FIGURES)
    assert stream.getvalue().split("\r\x1b[K")[-1].startswith("epoch 1/2  loss 0.5000")
    monkeypatch.setenv("COLUMNS", "40")
    shown.start(1, 10)
    clock.now += 4000
    shown.update(1, 1, 0.5, 0.75)
    assert len(stream.getvalue().split("\r\x1b[K")[-1]) == 39
    shown.clear()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_silence():
    stream = Terminal()
    shown = progress.Progress(1, enabled=False, stream=stream)
    shown.start(0, 1)
    shown.update(1, 1, 0.5, 0.75)
    shown.finish(FIGURES)
    assert stream.getvalue() == ""
