"""Runs the Python examples of a Markdown page: pytest to test them, by hand to make the pictures they write:

python tests/documentation.py docs/seeing.md docs/pictures
"""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import sys
from pathlib import Path

_FENCED = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def examples(page: Path) -> list[tuple[int, str]]:
    """(line before it, source) of each block that is fenced as Python."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in _FENCED.finditer(text)]


def pictures(page: Path) -> list[str]:
    """File names of the pictures in the page."""
    return re.findall(r"!\[[^]]*\]\(pictures/([^)]+)\)", page.read_text(encoding="utf-8"))


def run(page: Path, folder: Path) -> None:
    """Run the examples of the page in order, as one program, in ``folder``.

    A block that starts with >>> is a session whose output must be as written; others are plain code. AssertionError
    for a session that differs, and whatever plain code raises; both name the line of the page.
    """
    names: dict = {"__name__": "documentation"}
    with _inside(folder):
        for line, source in examples(page):
            if source.startswith(">>>"):
                _run_session(page, line, source, names)
            else:
                exec(compile("\n" * line + source, str(page), "exec"), names)


def _run_session(page: Path, line: int, source: str, names: dict) -> None:
    session = doctest.DocTestParser().get_doctest(source, names, page.name, str(page), line)
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(session, out=report.append, clear_globs=False)
    names.update(session.globs)
    assert not runner.failures, "".join(report)


@contextlib.contextmanager
def _inside(folder: Path):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
