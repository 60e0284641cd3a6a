"""Muon against its rule written out with a singular value decomposition, and against SGD where it is SGD."""

import numpy as np
import pytest

from convkit import nn, optim
from test_optim import STEPS, give, gradients, make_params, run

MATRICES = [(3, 2), (2, 3), (16, 3, 3, 3), (4, 64), (64, 4), (1, 7), (1, 1)]
MUONS = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.3},
    {"lr": 0.1, "momentum": 0.9, "nesterov": False, "fixed_norm": True},
]


def muon_rule(value, steps, lr, momentum=0.95, weight_decay=0.0, nesterov=True, fixed_norm=False):
    rows, velocity = len(value), 0
    for grad in steps:
        velocity = momentum * velocity + grad
        x = (grad + momentum * velocity if nesterov else velocity).reshape(rows, -1)
        u, s, v = np.linalg.svd(x, full_matrices=False)
        s = s / np.linalg.norm(s)
        for _ in range(5):
            s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
        scale = lr * max(1, rows / x.shape[1]) ** 0.5
        value = value * (1 - lr * weight_decay) - scale * (u * s @ v).reshape(value.shape)
        if fixed_norm:
            value = value * rows**0.5 / np.linalg.norm(value)
    return value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", MUONS)
def test_muon_rule(options, dtype):
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape) for shape in MATRICES]
    steps = [[rng.standard_normal(shape) for shape in MATRICES] for _ in range(STEPS)]
    params = [nn.Parameter(value.astype(dtype)) for value in values]
    found = run(optim.Muon(params, **options), params, steps)
    for i, value in enumerate(values):
        expected = muon_rule(value, [grads[i] for grads in steps], **options)
        # The iteration multiplies an error by 3.4445 up to five times.
        np.testing.assert_allclose(found[i], expected, rtol=0, atol=2000 * np.finfo(dtype).eps)


def test_muon_brings_singular_values_near_one():
    """Those above 1/500 of their norm, as its docstring says."""
    rng = np.random.default_rng(0)
    for rows, columns in ((64, 576), (576, 64), (32, 32), (8, 8)):
        u, s, v = np.linalg.svd(rng.standard_normal((rows, columns)), full_matrices=False)
        s = np.geomspace(1, 1 / 500, len(s))
        s = np.maximum(s, np.linalg.norm(s) / 450)  # the norm grows a little by this
        assert s[-1] >= np.linalg.norm(s) / 500
        param = nn.Parameter(np.zeros((rows, columns), np.float32))
        give([param], [u * s @ v])
        optim.Muon([param], lr=1.0).step()
        values = np.linalg.svd(param.numpy(), compute_uv=False) / max(1, rows / columns) ** 0.5
        assert values.max() < 1.21 and values.min() > 0.67


def test_muon_takes_vectors_as_sgd():
    params, others = make_params(), make_params()
    group = {"params": params, "orthogonalize": False, "weight_decay": 0.3}
    muon = optim.Muon([group], lr=0.1, momentum=0.9)
    sgd = optim.SGD(others, lr=0.1, momentum=0.9, weight_decay=0.3, nesterov=True)
    for a, b in zip(run(muon, params, gradients()), run(sgd, others, gradients())):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"orthogonalize=False.*\(17,\)"):
        optim.Muon(make_params())


def test_muon_resumes_bit_for_bit():
    rng = np.random.default_rng(0)
    value, grads = rng.standard_normal((4, 6)), [[rng.standard_normal((4, 6))] for _ in range(6)]
    params = [nn.Parameter(value)]
    straight = run(optim.Muon(params, fixed_norm=True), params, grads)
    params = [nn.Parameter(value)]
    first = optim.Muon(params, fixed_norm=True)
    run(first, params, grads[:3])
    copies = [nn.Parameter(param.numpy()) for param in params]
    second = optim.Muon(copies, lr=99.0)
    second.load_state_dict(first.state_dict())
    assert run(second, copies, grads[3:])[0].tobytes() == straight[0].tobytes()


def test_muon_without_a_direction_stays():
    param = nn.Parameter(np.ones((3, 4), np.float32))
    give([param], [np.zeros((3, 4))])
    optim.Muon([param], lr=0.1).step()
    np.testing.assert_array_equal(param.numpy(), 1.0)


def test_muon_groups():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    conv, norm, _, dense = model.children()
    matrices, vectors, filters = optim.Muon(optim.muon_groups(model, 0.05, 5e-4), lr=0.2).param_groups
    assert [id(p) for p in filters["params"]] == [id(conv.weight)]
    assert (filters["lr"], filters["fixed_norm"], filters["orthogonalize"]) == (0.05, True, True)
    assert [id(p) for p in matrices["params"]] == [id(dense.weight)]
    assert [id(p) for p in vectors["params"]] == list(map(id, (conv.bias, norm.weight, norm.bias, dense.bias)))
    for group, decay in ((matrices, 5e-4), (vectors, 0.0)):
        assert (group["lr"], group["weight_decay"], group["orthogonalize"]) == (0.2, decay, False)


def test_muon_refuses_as_sgd():
    param = nn.Parameter(np.ones((2, 3), np.float32))
    optimizer = optim.Muon([param])
    give([param], [np.ones((3, 2))])
    with pytest.raises(ValueError, match="the gradient must have"):
        optimizer.step()
    np.testing.assert_array_equal(param.numpy(), 1.0)
    with pytest.raises(ValueError, match=r"\[Muon\] nesterov needs a momentum"):
        optim.Muon([param], momentum=0)


def test_muon_loads_no_state_that_it_could_not_run():
    vectors = optim.Muon([{"params": make_params(), "orthogonalize": False}])
    state = vectors.state_dict()
    state["param_groups"][0]["orthogonalize"] = True
    with pytest.raises(ValueError, match="fewer than two axes"):
        vectors.load_state_dict(state)
    assert vectors.param_groups[0]["orthogonalize"] is False


def test_muon_passes_over_what_is_empty():
    params = [nn.Parameter(np.ones(shape, np.float32)) for shape in ((0, 3), (3, 0), (2, 0, 3, 3), (2, 2))]
    give(params, [np.ones(param.shape) for param in params])
    optim.Muon(params, lr=0.1).step()
    assert [param.shape for param in params] == [(0, 3), (3, 0), (2, 0, 3, 3), (2, 2)]
    assert (params[-1].numpy() < 1).all()
