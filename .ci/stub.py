"""Writes python/convkit/_core.pyi from the extension that this Python imports; --check compares instead.

Needs .ci/requirements.txt: other versions of the tools may word the stub differently.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "python/convkit/_core.pyi"


def generate() -> str:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pybind11_stubgen", "convkit._core", "-o", folder, "--exit-code"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        text = (Path(folder) / "convkit/_core.pyi").read_text()
    text = re.sub(r"^__all__.*\n", "", text, flags=re.M)
    text = re.sub(r"^(\w+: \w+) = .*$", r"\1", text, flags=re.M)  # values of this one build
    for command in (["check", "--select", "I,UP", "--fix", "--exit-zero", "-q"], ["format", "-q"]):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", STUB, "-"],
            input=text,
            check=True,
            cwd=ROOT,
            capture_output=True,
            text=True,
        ).stdout
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the committed stub differs")
    check = parser.parse_args().check
    text = generate()
    if check and STUB.read_text() != text:
        print(f"{STUB.relative_to(ROOT)} is not current: run python .ci/stub.py")
        return 1
    if not check:
        STUB.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
