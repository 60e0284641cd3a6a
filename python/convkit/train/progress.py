"""What a training run prints: a bar that renews itself on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import shutil
import sys
import time

_INTERVAL = 0.1  # seconds between two updates: more often costs time and cannot be read
_BAR = 24


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Progress:
    """Prints to ``stream`` (standard output); ``enabled=False`` prints nothing."""

    def __init__(self, epochs: int, *, enabled: bool = True, stream=None):
        self._stream = sys.stdout if stream is None else stream
        self._epochs, self._enabled = epochs, enabled
        self._bar = enabled and self._stream.isatty()
        self._drawn = False

    def start(self, epoch: int, steps: int) -> None:
        """Begin an epoch (counted from 0) of ``steps`` batches."""
        self._epoch, self._steps = epoch, steps
        self._started, self._shown, self._rate = time.monotonic(), 0.0, 0.0

    def update(self, step: int, samples: int, loss: float, accuracy: float) -> None:
        """``step`` batches with ``samples`` images are done; the means so far."""
        now = time.monotonic()
        elapsed = max(now - self._started, 1e-9)
        self._rate = samples / elapsed
        if not self._bar or now - self._shown < _INTERVAL:
            return
        self._shown = now
        filled = _BAR * step // self._steps
        bar = "=" * filled + ">" * (filled < _BAR) + " " * (_BAR - filled - 1)
        line = (
            f"{self._label()} [{bar}] {step}/{self._steps}  {self._rate:,.0f} images/s  loss {loss:.4f}  "
            f"accuracy {accuracy:.4f}  ETA {_clock(elapsed / step * (self._steps - step))}"
        )
        columns = shutil.get_terminal_size().columns - 1  # a full line would wrap and could not be renewed
        self._stream.write("\r\x1b[K" + line[:columns])
        self._stream.flush()
        self._drawn = True

    def finish(self, figures: dict[str, float]) -> None:
        """End the epoch with its row of the history."""
        self.clear()
        if not self._enabled:
            return
        parts = [f"{name} {figures[name]:.4f}" for name in figures if name not in ("lr", "seconds")]
        parts += [f"lr {figures['lr']:.3g}", f"{figures['seconds']:.1f} s", f"{self._rate:,.0f} images/s"]
        self._stream.write(f"{self._label()}  {'  '.join(parts)}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take an unfinished bar off the terminal."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False

    def _label(self) -> str:
        return f"epoch {self._epoch + 1:{len(str(self._epochs))}}/{self._epochs}"
