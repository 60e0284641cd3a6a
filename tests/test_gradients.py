"""Every op over the generated cases: values and all gradients.

(a) float64 (reference loops) against central differences; (b) float64 against the numpy oracle and float32 on the
active ISA against float64, within derived tolerances; float32 against PyTorch where it is installed. The families'
own files hold what is particular to them: ties, NaN, infinities, errors, edge shapes.
"""

from itertools import islice

import numpy as np
import pytest

import op_table
import support
from cases import OPS, generate

NOT_SMOOTH = {"dropout"}  # its mask is drawn anew for every run: tests/test_dropout.py checks the gradient


@pytest.mark.parametrize("op", [op for op in OPS if op not in NOT_SMOOTH])
def test_float64_gradients_equal_central_differences(op):
    cheap = (case for case in generate(op, seed=1) if sum(a.size for a in case.arrays.values()) < 2000)
    count, text = support.failures(islice(cheap, 40), support.check_central_differences)
    assert count >= 30 and not text, text


@pytest.mark.parametrize("op", OPS)
def test_values_and_gradients(op):
    count, text = support.failures(generate(op), support.check)
    assert count >= 30 and not text, text


@pytest.mark.parametrize("op", [op for op in OPS if op not in NOT_SMOOTH])
def test_float32_agrees_with_torch(op):
    torch = pytest.importorskip("torch", reason="torch is not installed: no comparison with it")
    import torch_ops

    compared = []

    def check(case):
        upstream, truth = op_table.upstream_and_expected(case)
        try:
            want = torch_ops.run(case, torch.float64, op_table.differentiable(case), upstream)
        except NotImplementedError:  # an argument that torch does not have
            return
        support.compare(case, support.run(case, np.float32, upstream), want, truth, np.float32)
        compared.append(case)

    _, text = support.failures(islice(generate(op, seed=2), 60), check)
    assert not text, text
    assert len(compared) >= 30
