"""bench/models.py compares, in small; how fast anything was is not a test's business."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "bench/models.py"


def results(tmp_path, *arguments):
    out = tmp_path / "out.json"
    command = [sys.executable, SCRIPT, *arguments, "--threads", "1", "--json", out]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.read_text())["results"], text


def test_a_peer_that_is_not_installed_is_one_line(tmp_path):
    tasks = ("--tasks", "infer:lenet5:2", "--peers", "nobody", "--seconds", "0")
    (result,), text = results(tmp_path, "inference", *tasks)
    assert result["peers"] == {} and result["convkit_ms"] > 0
    (line,) = (line for line in text.splitlines() if "nobody" in line)
    assert "cannot be imported" in line and "bench/peers/nobody.py" in line


@pytest.mark.parametrize("task", ["train:illustrated.lenet:2", "train:mobilenet_v2:2", "infer:resnet18:1"])
def test_torch_agrees_and_is_timed(tmp_path, task):
    pytest.importorskip("torch")
    command = "steps" if task.startswith("train") else "inference"
    (result,), _ = results(tmp_path, command, "--tasks", task, "--peers", "torch_eager", "--seconds", "0")
    peer = result["peers"]["torch_eager"]
    assert peer["ratio"] > 0 and peer["error"] <= 0.2 and result["rounds"] >= 5
