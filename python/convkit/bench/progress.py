"""A bar on standard error while a long run measures: tqdm's when it is installed, else a line that renews itself."""

from __future__ import annotations

import shutil
import sys
import time


class Progress:
    """Counts to ``total``; draws nothing unless ``stream`` is a terminal."""

    def __init__(self, total: int, stream=None):
        self._stream = sys.stderr if stream is None else stream
        self._total, self._done, self._started = total, 0, time.monotonic()
        self._drawn, self._bar = False, None
        self._enabled = self._stream.isatty()
        if self._enabled:
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=total, file=self._stream, unit="row", leave=False)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._bar is not None:
            self._bar.close()
        elif self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def next(self, name: str) -> None:
        """``name`` is being measured."""
        if self._bar is not None:
            self._bar.set_postfix_str(name)
        elif self._enabled:
            elapsed = time.monotonic() - self._started
            rest = f", {elapsed / self._done * (self._total - self._done):.0f} s left" if self._done else ""
            line = f"{self._done}/{self._total} rows{rest}: {name}"
            self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
            self._stream.flush()
            self._drawn = True

    def done(self) -> None:
        """One more is measured."""
        self._done += 1
        if self._bar is not None:
            self._bar.update()
