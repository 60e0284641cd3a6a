"""The examples of the documentation run and say what they show."""

from importlib.util import find_spec
from pathlib import Path

import pytest

import documentation

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if documentation.examples(page)]
NEEDS = {"seeing.md": ("matplotlib",), "transfer.md": ("PIL", "matplotlib")}


def test_there_are_examples():
    assert {page.name for page in PAGES} >= set(NEEDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page, tmp_path):
    if missing := [name for name in NEEDS.get(page.name, ()) if find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    documentation.run(page, tmp_path)
    for name in documentation.pictures(page):
        assert (tmp_path / name).exists(), f"no example writes {name}"
        assert (DOCS / "pictures" / name).exists()


def test_a_wrong_result_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 2\n```\ntext\n```python\n>>> x + 1\n3\n>>> x + 2\n5\n```\n")
    with pytest.raises(AssertionError, match=r"(?s)page.md.*Expected:\s+5\s+Got:\s+4"):
        documentation.run(page, tmp_path)
    page.write_text("```python\nx = 2\n```\n\n```python\nassert x == 3\n```\n")
    with pytest.raises(AssertionError) as error:
        documentation.run(page, tmp_path)
    assert error.traceback[-1].lineno + 1 == 6
