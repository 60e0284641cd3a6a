"""No kernel reads or writes a byte outside its arrays: ops on inputs that end at an unreadable page."""

import subprocess
import sys
from pathlib import Path

import pytest

import convkit as ck


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")
@pytest.mark.parametrize("isa", ck._core.available_isas())
def test_inputs_at_the_edge_of_readable_memory(isa):
    script = Path(__file__).parent / "guarded.py"
    done = subprocess.run([sys.executable, str(script), isa], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines() or ["nothing"]
    assert done.returncode == 0 and lines[-1] == "done", f"exit {done.returncode} in {lines[-1]}\n{done.stderr[-2000:]}"
