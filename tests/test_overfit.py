"""Every model learns one batch of 8 images by heart: the small ones here, the others in bench/results/overfit.json."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convkit import models

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.mark.parametrize("name", ["lenet5", "illustrated.lenet", "resnet20", "plain20", "illustrated.alexnet"])
def test_learns_a_batch_by_heart(tmp_path, name):
    out = tmp_path / "out.json"
    subprocess.run([sys.executable, BENCH / "overfit.py", name, "--json", out], check=True, capture_output=True)
    result = json.loads(out.read_text())[name]
    assert (
        result["losses"][0] > 1
        and result["losses"][-1] < 0.05
        and result["size"] == list(models.build(name).input_shape)
    )


def test_the_committed_results():
    """bench/overfit.py writes them."""
    results = json.loads((BENCH / "results/overfit.json").read_text())
    assert results.keys() == set(models.names())
    assert {name: result["losses"][-1] for name, result in results.items() if result["losses"][-1] >= 0.05} == {}
