"""Types and errors of command-line arguments, which all commands share."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable

from . import cuda


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line and exits with status 2."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def number(kind, low, high, rule: str):
    """An argparse type: a number of ``kind`` in low..high."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be {rule}, received {text!r}")
        return value

    return parse


count = number(int, 1, 2**31 - 1, "a whole number >= 1")


def device(text: str) -> str:
    """An argparse type: a device that can be used."""
    kind, _, number = text.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise argparse.ArgumentTypeError(f"must be cpu, cuda or cuda:N, received {text!r}")
    if kind == "cuda" and not cuda.is_available():
        raise argparse.ArgumentTypeError(f"{text} cannot be used: {cuda.unavailable_reason()}")
    return text


def status(prog: str, run: Callable[[], int | None]) -> int:
    """What ``run`` returns, or 0; an error is one line and status 2, Ctrl-C status 130."""
    try:
        return run() or 0
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python's flush at exit complains
        return 128 + signal.SIGPIPE
    except (ValueError, OSError, ImportError) as error:
        print(f"{prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
