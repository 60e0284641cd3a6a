"""The oracle against PyTorch in float64 over the generated cases, and the generator against its own promises."""

from collections import Counter

import numpy as np
import pytest

import op_table
from cases import OPS, generate
from support import max_error_ratio

SIZES = {"size", "shape", "c", "other", "a", "b", "classes", "lead", "shapes"}  # drawn, but no argument of an op


def test_every_op_and_argument_value_is_drawn_30_times():
    total = 0
    for op in OPS:
        drawn = [case.drawn for case in generate(op)]
        total += len(drawn)
        counts = Counter((name, repr(value)) for d in drawn for name, value in d.items() if name not in SIZES)
        rare = {key: n for key, n in counts.items() if n < 30}
        assert len(drawn) >= 30 and not rare, f"{op}: {len(drawn)} cases, rare {rare}"
    assert total >= 2000


def test_cases_are_reproducible():
    for first, again in zip(generate("conv2d"), generate("conv2d")):
        assert str(first) == str(again)
        assert all(np.array_equal(first.arrays[k], again.arrays[k]) for k in first.arrays)


@pytest.mark.parametrize("op", [op for op in OPS if op != "dropout"])
def test_oracle_agrees_with_torch(op):
    torch = pytest.importorskip("torch", reason="torch is not installed: the oracle is not compared with it")
    import torch_ops

    compared = 0
    for case in generate(op):
        upstream, want = op_table.upstream_and_expected(case)
        names = op_table.differentiable(case)
        try:
            got, gradients = torch_ops.run(case, torch.float64, names, upstream)
        except NotImplementedError:
            continue
        for result, truth, scale in zip(got, want.outputs, want.output_scales):
            assert result.shape == np.shape(truth), case
            assert max_error_ratio(result, truth, scale, np.float64) <= 1, case
        for name in names:
            ratio = max_error_ratio(gradients[name], want.gradients[name], want.gradient_scales[name], np.float64)
            assert ratio <= 1, f"{name} of {case}"
        compared += 1
    assert compared >= 30
