"""Optimizers against their written-out rules in numpy float64 (and torch where it is installed); schedules likewise."""

import math

import numpy as np
import pytest

import convkit as ck
from convkit import nn, optim

SHAPES = [(3, 2), (17,), (), (2, 3, 3, 5)]
STEPS = 5


def make_params(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(np.asarray(rng.standard_normal(shape), dtype)) for shape in SHAPES]


def gradients(steps=STEPS, seed=1):
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(steps)]


def give(params, grads):
    for param, grad in zip(params, grads):
        param.grad = ck.tensor(np.asarray(grad, param.numpy().dtype))


def run(optimizer, params, steps):
    for grads in steps:
        give(params, grads)
        optimizer.step()
    return [param.numpy().copy() for param in params]


def sgd_rule(values, steps, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
    velocity = [np.zeros_like(value) for value in values]
    for grads in steps:
        for i, grad in enumerate(grads):
            g = grad + weight_decay * values[i]
            velocity[i] = momentum * velocity[i] + g
            values[i] = values[i] - lr * (g + momentum * velocity[i] if nesterov else velocity[i])
    return values


def adam_rule(values, steps, lr, betas, eps, weight_decay, decoupled):
    m = [np.zeros_like(value) for value in values]
    v = [np.zeros_like(value) for value in values]
    for t, grads in enumerate(steps, 1):
        for i, grad in enumerate(grads):
            g = grad if decoupled else grad + weight_decay * values[i]
            if decoupled:
                values[i] = values[i] * (1 - lr * weight_decay)
            m[i] = betas[0] * m[i] + (1 - betas[0]) * g
            v[i] = betas[1] * v[i] + (1 - betas[1]) * g * g
            step = lr / (1 - betas[0] ** t)
            values[i] = values[i] - step * m[i] / (np.sqrt(v[i]) / math.sqrt(1 - betas[1] ** t) + eps)
    return values


SGDS = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3, "nesterov": True},
    {"lr": 0.1, "weight_decay": 0.3},
]
ADAMS = [
    (optim.Adam, {}),
    (optim.Adam, {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.2}),
    (optim.AdamW, {}),
    (optim.AdamW, {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.2}),
]


def assert_close(found, expected, dtype):
    # Each step adds a few roundings to values of size <= about 4.
    tolerance = 16 * STEPS * np.finfo(dtype).eps
    for a, b in zip(found, expected):
        assert a.dtype == dtype and a.shape == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", SGDS)
def test_sgd_rule(options, dtype):
    params = make_params(dtype)
    expected = sgd_rule([param.numpy().astype(np.float64) for param in params], gradients(), **options)
    assert_close(run(optim.SGD(params, **options), params, gradients()), expected, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind,options", ADAMS)
def test_adam_rule(kind, options, dtype):
    params = make_params(dtype)
    decay = 0.01 if kind is optim.AdamW else 0.0
    full = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": decay} | options
    start = [param.numpy().astype(np.float64) for param in params]
    expected = adam_rule(start, gradients(), **full, decoupled=kind is optim.AdamW)
    assert_close(run(kind(params, **options), params, gradients()), expected, dtype)


@pytest.mark.parametrize("kind,options", [(optim.SGD, options) for options in SGDS] + ADAMS)
def test_same_as_torch(kind, options):
    torch = pytest.importorskip("torch")
    params = make_params()
    theirs = [torch.nn.Parameter(torch.tensor(param.numpy().copy())) for param in params]
    peer = getattr(torch.optim, kind.__name__)(theirs, **options)
    for grads in gradients():
        for param, grad in zip(theirs, grads):
            param.grad = torch.tensor(grad)
        peer.step()
    assert_close(run(kind(params, **options), params, gradients()), [p.detach().numpy() for p in theirs], np.float64)


def test_groups_have_their_own_options():
    params = make_params()
    optimizer = optim.SGD([{"params": params[:1], "lr": 0.0}, {"params": params[1:], "weight_decay": 0.5}], lr=0.1)
    before = [param.numpy().copy() for param in params]
    after = run(optimizer, params, gradients(1))
    np.testing.assert_array_equal(after[0], before[0])
    expected = sgd_rule(before[1:], [gradients(1)[0][1:]], lr=0.1, weight_decay=0.5)
    assert_close(after[1:], expected, np.float64)


def test_no_gradient_no_update():
    params = make_params()
    optimizer = optim.Adam(params, weight_decay=0.5)
    before = [param.numpy().copy() for param in params]
    params[0].grad = ck.tensor(np.ones(SHAPES[0]))
    optimizer.step()
    assert not np.array_equal(params[0].numpy(), before[0])
    for param, value in zip(params[1:], before[1:]):
        np.testing.assert_array_equal(param.numpy(), value)
    assert list(optimizer.state_dict()["state"]) == [0]


@pytest.mark.parametrize("kind,op", [(optim.SGD, "sgd_step"), (optim.Adam, "adam_step")])
def test_a_group_is_one_call_of_the_core(kind, op, monkeypatch):
    params, calls, step = make_params(), [], getattr(ck._core, op)

    def counted(params, *rest):
        calls.append(len(params))
        step(params, *rest)

    monkeypatch.setattr(ck._core, op, counted)
    run(kind(params, lr=0.1), params, gradients(2))
    assert calls == [len(SHAPES)] * 2


@pytest.mark.parametrize("kind,options", [(optim.SGD, SGDS[3]), (optim.Adam, {}), (optim.AdamW, ADAMS[3][1])])
def test_together_as_alone(kind, options):
    """Dtypes mixed, one parameter without a gradient at first, an empty one, more than one launch on a GPU takes."""
    shapes = [(3, 2), (0, 4)] + [(n % 7 + 1,) for n in range(80)]
    rng = np.random.default_rng(3)
    values = [rng.standard_normal(shape).astype((np.float32, np.float64)[i % 2]) for i, shape in enumerate(shapes)]
    steps = [[rng.standard_normal(shape) for shape in shapes] for _ in range(3)]
    together = [nn.Parameter(value) for value in values]
    alone = [nn.Parameter(value) for value in values]
    for optimizers, params in (([kind(together, **options)], together), ([kind([p], **options) for p in alone], alone)):
        for number, grads in enumerate(steps):
            give(params, grads)
            if number == 0:
                params[2].grad = None
            for optimizer in optimizers:
                optimizer.step()
    for a, b in zip(together, alone):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_zero_grad_sets_none():
    params = make_params()
    give(params, gradients(1)[0])
    optim.SGD(params, lr=0.1).zero_grad()
    assert all(param.grad is None for param in params)


@pytest.mark.parametrize("kind,options", [(optim.SGD, SGDS[3]), (optim.Adam, {}), (optim.AdamW, ADAMS[3][1])])
def test_resumes_bit_for_bit(kind, options):
    steps = gradients(6)
    params = make_params(np.float32)
    straight = run(kind(params, **options), params, steps)

    params = make_params(np.float32)
    first = kind(params, **options)
    run(first, params, steps[:3])
    copies = [nn.Parameter(param.numpy()) for param in params]
    second = kind(copies, lr=99.0)
    second.load_state_dict(first.state_dict())
    run(first, params, steps[3:])  # must not touch the copy's state
    for a, b in zip(run(second, copies, steps[3:]), straight):
        assert a.tobytes() == b.tobytes()


def test_state_dict_of_another_optimizer():
    params = make_params()
    optimizer = optim.Adam(params)
    with pytest.raises(ValueError, match=r"\[Adam\] the state is of groups of \[1\] parameters, not of \[4\]"):
        optimizer.load_state_dict(optim.Adam(params[:1]).state_dict())
    other = optim.Adam(list(reversed(params)))
    run(other, list(reversed(params)), [list(reversed(gradients(1)[0]))])
    with pytest.raises(ValueError, match=r"\[Adam\] exp_avg has shape \(2, 3, 3, 5\), its parameter \(3, 2\)"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(
        ValueError, match=r"\[Adam\] the state needs \['exp_avg', 'exp_avg_sq', 'step'\], not \['momentum_"
    ):
        sgd = optim.SGD(params, lr=0.1, momentum=0.9)
        run(sgd, params, gradients(1))
        optimizer.load_state_dict({**sgd.state_dict(), "param_groups": optimizer.state_dict()["param_groups"]})
    good = optimizer.state_dict()
    for damaged in (
        {},
        {**good, "state": None},
        {**good, "state": {9: {}}},
        {**good, "state": {"x": {}}},
        {**good, "param_groups": [{}]},
        {**good, "param_groups": [{**good["param_groups"][0], "lr": "fast"}]},
        {**good, "param_groups": [{**good["param_groups"][0], "lr": -1.0}]},
        {**good, "state": {0: {"step": "x", "exp_avg": np.zeros((3, 2)), "exp_avg_sq": np.zeros((3, 2))}}},
    ):
        with pytest.raises(ValueError):
            optimizer.load_state_dict(damaged)
    assert optimizer.state_dict() == good and good["state"] == {}


def test_refusals():
    params = make_params()
    with pytest.raises(ValueError, match=r"\[SGD\] there is no parameter"):
        optim.SGD([], lr=0.1)
    with pytest.raises(ValueError, match=r"\[SGD\] lr must be at least 0. Received: lr=-1"):
        optim.SGD(params, lr=-1)
    with pytest.raises(ValueError, match=r"\[SGD\] lr must be at least 0. Received: lr=nan"):
        optim.SGD(params, lr=math.nan)
    with pytest.raises(ValueError, match=r"\[SGD\] nesterov needs a momentum"):
        optim.SGD(params, lr=0.1, nesterov=True)
    with pytest.raises(ValueError, match=r"\[Adam\] betas are two numbers in \[0, 1\)"):
        optim.Adam(params, betas=(0.9, 1.0))
    with pytest.raises(ValueError, match=r"\[AdamW\] weight_decay must be at least 0"):
        optim.AdamW(params, weight_decay=-0.1)
    with pytest.raises(ValueError, match=r"\[SGD\] a parameter of shape \(3, 2\) is given twice"):
        optim.SGD([params[0], params[0]], lr=0.1)
    with pytest.raises(
        ValueError, match=r"\[SGD\] a group holds params and any of lr, .* Received: \['params', 'momentun'\]"
    ):
        optim.SGD([{"params": params, "momentun": 0.9}], lr=0.1)
    with pytest.raises(TypeError, match=r"\[SGD\] parameters are tensors. Received: ndarray"):
        optim.SGD([np.zeros(3)], lr=0.1)


# Groups and clipping


def test_decay_groups_spare_vectors():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    decayed, spared = optim.decay_groups(model, 0.3)
    assert decayed["weight_decay"] == 0.3 and spared["weight_decay"] == 0.0
    assert [id(p) for p in decayed["params"]] == [id(model[0].weight), id(model[3].weight)]
    assert {id(p) for p in spared["params"]} == {id(p) for p in (model[0].bias, *model[1].parameters(), model[3].bias)}
    optimizer = optim.SGD([decayed, spared], lr=1.0)
    before = {name: value.numpy().copy() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = ck.zeros(*parameter.shape)
    optimizer.step()
    for name, value in model.named_parameters():
        rate = 1.0 if value.ndim == 1 else np.float32(1 - np.float32(0.3))
        np.testing.assert_allclose(value.numpy(), before[name] * rate, rtol=1e-6, err_msg=name)
    assert len(optim.decay_groups(nn.BatchNorm2d(3), 0.3)) == 1  # a group without parameters is none


@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clip_gradients(limit):
    params = make_params(np.float32)
    give(params, gradients(1)[0])
    params[1].grad = None
    before = [None if p.grad is None else p.grad.numpy().astype(np.float64) for p in params]
    norm = math.sqrt(sum(np.square(g).sum() for g in before if g is not None))
    # 97 squares summed in float32, then a root, a quotient and a product.
    assert optim.clip_gradients(params, limit) == pytest.approx(norm, rel=97 * 2.0**-23)
    for param, grad in zip(params, before):
        if grad is not None:
            expected = grad * min(1.0, limit / norm)
            np.testing.assert_allclose(param.grad.numpy(), expected, rtol=100 * np.finfo(np.float32).eps)
    assert params[1].grad is None


def test_clip_gradients_leaves_what_it_cannot_cure():
    params = make_params(np.float32)
    assert optim.clip_gradients(params, 1.0) == 0.0
    give(params, gradients(1)[0])
    kept = params[1].grad.numpy().copy()
    params[0].grad = ck.tensor(np.full(SHAPES[0], np.inf, np.float32))
    assert optim.clip_gradients(params, 1.0) == math.inf
    np.testing.assert_array_equal(params[1].grad.numpy(), kept)


def test_clip_gradients_as_torch():
    torch = pytest.importorskip("torch")
    params = make_params()
    theirs = [torch.nn.Parameter(torch.tensor(param.numpy().copy())) for param in params]
    give(params, gradients(1)[0])
    for param, grad in zip(theirs, gradients(1)[0]):
        param.grad = torch.tensor(grad)
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.5).item()
    assert optim.clip_gradients(params, 0.5) == pytest.approx(norm, rel=1e-14)
    for param, other in zip(params, theirs):  # torch adds 1e-6 to the norm
        np.testing.assert_allclose(param.grad.numpy(), other.grad.numpy(), rtol=1e-6)


# Schedules


def rates(make, count, lr=0.5):
    optimizer = optim.SGD(make_params(), lr=lr)
    schedule = make(optimizer)
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(count):
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_step_lr():
    found = rates(lambda o: optim.StepLR(o, 2, gamma=0.1), 5)
    np.testing.assert_allclose(found, [0.5, 0.5, 0.05, 0.05, 0.005, 0.005], rtol=1e-15)


def test_cosine_annealing():
    found = rates(lambda o: optim.CosineAnnealingLR(o, 4, eta_min=0.1), 4)
    np.testing.assert_allclose(
        found, [0.5, 0.3 + 0.2 * math.sqrt(0.5), 0.3, 0.3 - 0.2 * math.sqrt(0.5), 0.1], rtol=1e-15
    )


def test_one_cycle():
    found = rates(lambda o: optim.OneCycleLR(o, 1.0, total_steps=10), 9)
    assert found[0] == pytest.approx(1 / 25) and found[2] == 1.0 and found[9] == pytest.approx(1 / 25e4)
    assert found[:3] == sorted(found[:3]) and found[2:] == sorted(found[2:], reverse=True)

    found = rates(lambda o: optim.OneCycleLR(o, 1.0, 11, 0.2, "linear"), 11)
    assert found[0] == 1 / 25 and found[1] == pytest.approx(0.84) and found[10:] == pytest.approx([1 / 25e4] * 2)
    assert np.diff(found[:11], 2)[2:] == pytest.approx(np.zeros(7), abs=1e-12)


@pytest.mark.parametrize(
    "name,options,count",
    [
        ("StepLR", {"step_size": 3, "gamma": 0.7}, 20),
        ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}, 20),
        ("OneCycleLR", {"max_lr": 0.9, "total_steps": 21}, 21),
        ("OneCycleLR", {"max_lr": 0.9, "total_steps": 50, "pct_start": 0.13}, 50),
        ("OneCycleLR", {"max_lr": 0.9, "total_steps": 50, "pct_start": 0.2, "anneal_strategy": "linear"}, 49),
        ("OneCycleLR", {"max_lr": 0.9, "total_steps": 8, "pct_start": 0.0}, 7),
        ("OneCycleLR", {"max_lr": 0.9, "total_steps": 8, "pct_start": 1.0}, 7),
    ],
)
def test_schedules_as_torch(name, options, count):
    torch = pytest.importorskip("torch")
    peer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    extra = {"cycle_momentum": False} if name == "OneCycleLR" else {}
    schedule = getattr(torch.optim.lr_scheduler, name)(peer, **options, **extra)
    expected = [peer.param_groups[0]["lr"]]
    for _ in range(count):
        peer.step()
        schedule.step()
        expected.append(peer.param_groups[0]["lr"])
    found = rates(lambda o: getattr(optim, name)(o, **options), count)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_schedule_of_two_groups():
    params = make_params()
    optimizer = optim.SGD([{"params": params[:1], "lr": 0.2}, {"params": params[1:]}], lr=0.1)
    schedule = optim.StepLR(optimizer, 1, gamma=0.5)
    schedule.step()
    assert schedule.get_last_lr() == [0.1, 0.05]
    optim.OneCycleLR(optimizer, [1.0, 2.0], 10)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.04, 0.08])


def test_one_step_cycle():
    assert rates(lambda o: optim.OneCycleLR(o, 1.0, total_steps=1), 0) == pytest.approx([1 / 25e4], rel=1)


def test_schedule_resumes():
    make = lambda o: optim.OneCycleLR(o, 1.0, 12)  # noqa: E731
    straight = rates(make, 12)
    first = make(optim.SGD(make_params(), lr=0.5))
    for _ in range(5):
        first.step()
    optimizer = optim.SGD(make_params(), lr=7.0)
    second = make(optimizer)
    second.load_state_dict(first.state_dict())
    assert optimizer.param_groups[0]["lr"] == straight[5]
    second.step()
    assert optimizer.param_groups[0]["lr"] == straight[6]


@pytest.mark.cpu_only
@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
def test_a_step_that_fails_does_not_count(kind):
    params, untouched = make_params(), make_params()
    optimizer = kind(params)
    for grads in gradients(2):
        give(params, grads)
        params[1].grad._data = ck.zeros(16, dtype=np.float64)._data  # of another shape than the parameter
        with pytest.raises(ValueError):
            optimizer.step()
    for ours, theirs in zip(run(optimizer, params, gradients()), run(kind(untouched), untouched, gradients())):
        np.testing.assert_array_equal(ours, theirs)


def test_schedule_refusals():
    optimizer = optim.SGD(make_params(), lr=0.1)
    with pytest.raises(ValueError, match=r"\[StepLR\] step_size is a positive number of steps. Received: step_size=0"):
        optim.StepLR(optimizer, 0)
    with pytest.raises(ValueError, match=r"\[CosineAnnealingLR\] T_max"):
        optim.CosineAnnealingLR(optimizer, -3)
    with pytest.raises(ValueError, match=r"\[OneCycleLR\] pct_start is a share"):
        optim.OneCycleLR(optimizer, 1.0, 10, pct_start=1.5)
    with pytest.raises(ValueError, match=r"\[OneCycleLR\] max_lr needs one number for each of 1 groups"):
        optim.OneCycleLR(optimizer, [1.0, 2.0], 10)
    with pytest.raises(ValueError, match=r"\[OneCycleLR\] anneal_strategy is"):
        optim.OneCycleLR(optimizer, 1.0, 10, anneal_strategy="cosine")
    with pytest.raises(ValueError, match="max_norm"):
        optim.clip_gradients(make_params(), -1.0)
    with pytest.raises(TypeError, match=r"\[SGD\] params is an iterable"):
        optim.SGD(make_params()[0], lr=0.1)
    schedule = optim.OneCycleLR(optimizer, 1.0, 2)
    for damaged in ({}, {"steps": 1}, {"steps": 1, "base_lrs": [1.0, 2.0]}, {"steps": "x", "base_lrs": [1.0]}):
        with pytest.raises(ValueError):
            schedule.load_state_dict(damaged)
    schedule.step()
    schedule.step()
    state, lr = schedule.state_dict(), schedule.get_last_lr()
    ended = r"\[OneCycleLR\] the cycle ends after 2 steps. Received: step 3"
    for refused in (schedule.step, schedule.step, lambda: schedule.load_state_dict({"steps": 3, "base_lrs": [5.0]})):
        with pytest.raises(ValueError, match=ended):
            refused()
        assert schedule.state_dict() == state and schedule.get_last_lr() == lr
