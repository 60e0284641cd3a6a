"""The measurement of Python's overhead says what it promises; how long anything took is not a test's business."""

import gc
import json

import pytest

import convkit as ck
from convkit.bench import overhead


def test_report():
    before = ck.get_num_threads()
    rows = overhead.report(threads=2)
    assert ck.get_num_threads() == before and gc.isenabled()
    assert [row["name"] for row in rows[:-1]] == list(overhead.cases())
    assert all(row["forward_us"] > 0 and row["backward_us"] > 0 for row in rows[:-1])
    step = rows[-1]
    assert 0 < step["outside_us"] < step["step_us"]
    assert step["outside_share"] == pytest.approx(step["outside_us"] / step["step_us"])
    json.dumps(rows)
    lines = overhead.text(rows).splitlines()
    assert len(lines) == len(rows) + 1 and "outside kernels" in lines[-1]
