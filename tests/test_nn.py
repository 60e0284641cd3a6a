"""Modules: registration, state, hooks, errors; containers and their fusion of activations."""

import copy

import numpy as np
import pytest

import convkit as ck
from convkit import nn, ops


def rand(*shape, seed=0):
    return ck.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def assert_equal(found, expected):
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


class Block(nn.Module):
    """A model in the way users write one."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.inner = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())
        self.register_buffer("offset", ck.tensor([1.0]))

    def forward(self, x):
        return self.inner(self.conv(x) * self.scale + self.offset)


# Registration and the tree


def test_names_in_the_order_of_assignment():
    model = Block()
    names = ["conv.weight", "conv.bias", "scale", "inner.0.weight", "inner.0.bias"]
    assert sorted(name for name, _ in model.named_parameters()) == sorted(names)
    assert [name for name, _ in model.named_modules()] == ["", "conv", "inner", "inner.0", "inner.1"]
    assert list(model.children()) == [model.conv, model.inner]
    assert len(list(model.modules())) == 5 and len(list(model.parameters())) == 5
    assert [id(b) for b in model.buffers()] == [
        id(b)
        for b in (
            model.offset,
            model.inner[0].running_mean,
            model.inner[0].running_var,
            model.inner[0].num_batches_tracked,
        )
    ]


def test_deleted_and_replaced_attributes():
    model = Block()
    del model.scale
    model.conv.bias = None
    model.inner = nn.Identity()
    assert [name for name, _ in model.named_parameters()] == ["conv.weight"]
    model.offset = ck.tensor([5.0])  # a buffer's name stays a buffer
    assert model.state_dict()["offset"].item() == 5.0


def test_what_is_no_parameter_does_not_take_its_place():
    layer = nn.Linear(2, 3)
    for value in (ck.zeros((3, 2)), np.zeros((3, 2)), 1.0):
        with pytest.raises(TypeError, match=rf"\[Linear\] weight is a Parameter.*copy_.*{type(value).__name__}"):
            layer.weight = value
    layer.weight = nn.Parameter(ck.zeros((3, 2)))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    layer.bias = None
    del layer.weight
    layer.weight = ck.zeros((3, 2))
    assert not list(layer.named_parameters())


def test_a_module_without_super_init():
    class Plain(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 3)

        def forward(self, x):
            return self.layer(x)

    assert Plain().num_parameters() == 9 and Plain()(rand(4, 2)).shape == (4, 3)


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.Sequential(layer))
    other = nn.Linear(3, 3)
    other.weight = layer.weight
    model.append(other)
    assert model.num_parameters() == 9 + 3 + 3
    assert set(model.state_dict()) == {"0.weight", "0.bias", "1.0.weight", "1.0.bias", "2.weight", "2.bias"}
    assert [path for path, _ in model.named_modules()] == ["", "0", "1", "2"]
    assert [path for path, _ in model.named_modules(remove_duplicate=False)] == ["", "0", "1", "1.0", "2"]


def test_parameter():
    p = nn.Parameter([1.0, 2.0])
    assert isinstance(p, ck.Tensor) and p.requires_grad and p.dtype == ck.float32
    assert not nn.Parameter(p, requires_grad=False).requires_grad
    (p * 3.0).sum().backward()
    assert_equal(p.grad, [3.0, 3.0])


def test_register_buffer_refuses_arrays():
    with pytest.raises(TypeError, match=r"\[register_buffer\] a buffer is a Tensor. Received: 'x' of ndarray"):
        nn.Module().register_buffer("x", np.zeros(2))


def test_no_forward():
    with pytest.raises(NotImplementedError, match=r"Module defines no forward"):
        nn.Module()(rand(1))


def test_train_eval_requires_grad():
    model = Block()
    assert all(m.training for m in model.modules())
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert model.train() is model and all(m.training for m in model.modules())
    assert model.requires_grad_(False) is model and not any(p.requires_grad for p in model.parameters())
    assert not model.eval()(rand(1, 4, 4, 2)).requires_grad
    model.requires_grad_()
    assert model(rand(1, 4, 4, 2)).requires_grad


@pytest.mark.cpu_only
def test_to_dtype_keeps_the_objects():
    model = Block()
    before = list(model.parameters())
    model(rand(2, 4, 4, 2)).sum().backward()
    assert model.to(ck.float64) is model
    assert all(a is b for a, b in zip(before, model.parameters()))
    assert all(p.dtype == np.float64 and p.grad.dtype == np.float64 for p in before)
    assert model.inner[0].running_mean.dtype == np.float64
    assert model.inner[0].num_batches_tracked.dtype == np.int64
    assert model(rand(2, 4, 4, 2).astype(ck.float64)).dtype == np.float64


def test_to_device():
    model = Block()
    assert model.to("cpu") is model
    with pytest.raises(ValueError, match="device"):
        model.to("tpu")


def test_deepcopy_is_independent():
    model = Block()
    twin = copy.deepcopy(model)
    x = rand(2, 4, 4, 2)
    assert_equal(twin.eval()(x), model.eval()(x))
    nn.init.zeros_(twin.scale)
    assert_equal(model.scale, np.ones(3))


def test_repr():
    assert repr(nn.Conv2d(1, 2, (3, 1), stride=2, bias=False)) == (
        "Conv2d(1, 2, kernel_size=(3, 1), stride=2, bias=False)"
    )
    assert repr(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Dropout(0.1)))) == (
        "Sequential(\n  (0): ReLU()\n  (1): Sequential(\n    (0): Dropout(p=0.1)\n  )\n)"
    )


# State


def test_state_dict_is_detached_and_shares_memory():
    model = Block()
    state = model.state_dict()
    assert set(state) == {
        *(name for name, _ in model.named_parameters()),
        *("offset", "inner.0.running_mean", "inner.0.running_var", "inner.0.num_batches_tracked"),
    }
    assert not any(value.requires_grad for value in state.values())
    assert state["inner.0.num_batches_tracked"].dtype == np.int64
    nn.init.constant_(model.scale, 7.0)
    assert_equal(state["scale"], np.full(3, 7.0))


def test_load_state_dict_copies():
    source, target = Block(), Block()
    source(rand(2, 4, 4, 2))  # moves the statistics
    result = target.load_state_dict(source.state_dict())
    assert result.missing_keys == [] and result.unexpected_keys == []
    for name, value in source.state_dict().items():
        assert_equal(target.state_dict()[name], value)
    nn.init.zeros_(source.scale)
    assert_equal(target.scale, np.ones(3))


def test_load_state_dict_lists_every_problem_and_copies_nothing():
    model = Block()
    state = {name: np.zeros(value.shape, np.float32) for name, value in model.state_dict().items()}
    del state["conv.bias"], state["inner.0.running_var"]
    state["scale"] = np.zeros(4, np.float32)
    state["head.weight"] = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match=r"\[load_state_dict\] the state does not fit this Block") as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    assert "missing: conv.bias, inner.0.running_var" in message
    assert "unexpected: head.weight" in message
    assert "wrong shape: scale has (4,), the model needs (3,)" in message
    assert not np.array_equal(model.conv.weight, state["conv.weight"])
    with pytest.raises(ValueError, match=r"does not fit this Block. wrong shape: scale") as caught:
        model.load_state_dict(state, strict=False)
    state["scale"] = np.zeros(3)  # float64 is converted
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["conv.bias", "inner.0.running_var"]
    assert result.unexpected_keys == ["head.weight"]
    assert_equal(model.scale, np.zeros(3))
    assert model.scale.dtype == np.float32


# Hooks and errors


def test_forward_hook_sees_and_replaces():
    layer, seen = nn.Linear(2, 3), []
    first = layer.register_forward_hook(lambda module, args, out: seen.append((module, args, out)))
    second = layer.register_forward_hook(lambda module, args, out: out * 2.0)
    x = rand(4, 2)
    doubled = layer(x)
    assert seen[0][0] is layer and seen[0][1] == (x,)
    assert_equal(doubled, seen[0][2] * 2.0)
    second.remove()
    assert_equal(layer(x), seen[0][2])
    first.remove()
    first.remove()  # twice does no harm
    layer(x)
    assert len(seen) == 2


def test_errors_name_the_layer():
    model = nn.Sequential({"features": nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(3, 4, 3))})
    with pytest.raises(ValueError, match=r"^in layer 'features\.2' \(Conv2d\): \[conv2d\] ") as caught:
        model(rand(1, 8, 8, 1))
    assert str(caught.value).count("in layer") == 1
    with pytest.raises(ValueError, match=r"^in Linear: \[linear\] "):
        nn.Linear(3, 4)(rand(1, 5))


def test_errors_keep_their_type_and_foreign_ones_their_text():
    class Failing(nn.Module):
        def __init__(self, error):
            self.error = error

        def forward(self, x):
            raise self.error

    for error in (TypeError("t"), RuntimeError("r"), ValueError("v")):
        with pytest.raises(type(error), match=r"^in layer '1' \(Failing\): "):
            nn.Sequential(nn.Identity(), Failing(error))(rand(1))
    with pytest.raises(KeyError, match=r"^'k'$"):
        nn.Sequential(Failing(KeyError("k")))(rand(1))
    unicode_error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")
    with pytest.raises(UnicodeDecodeError, match="can't decode byte 0xff"):
        nn.Sequential(Failing(unicode_error))(rand(1))


# Containers


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4)
    model = nn.Sequential(a, b, c)
    assert len(model) == 3 and list(model) == [a, b, c] and model[-1] is c
    assert list(model[1:]) == [b, c] and [name for name, _ in model[1:].named_modules()] == ["", "1", "2"]
    assert model[1:].append(nn.ReLU())[-1] is not c
    named = nn.Sequential({"hidden": a, "act": b})
    assert named.hidden is a and [name for name, _ in named.named_parameters()] == ["hidden.weight", "hidden.bias"]
    model[1] = nn.ReLU6()
    x = rand(5, 2)
    assert_equal(model(x), c(ops.relu6(a(x))))
    x2 = nn.Sequential()(x)
    assert x2 is x


def test_containers_refuse():
    with pytest.raises(TypeError, match=r"\[Sequential\] holds modules only. Received: <function relu"):
        nn.Sequential(ck.relu)
    with pytest.raises(ValueError, match=r"\[Sequential\] this name cannot be a module's. Received: 'forward'"):
        nn.Sequential({"forward": nn.ReLU()})
    with pytest.raises(ValueError, match=r"Received: 'a.b'"):
        nn.Sequential({"a.b": nn.ReLU()})
    with pytest.raises(IndexError):
        nn.Sequential(nn.ReLU())[1]


def test_module_list():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    layers.append(nn.ReLU()).extend([nn.Tanh()])
    assert len(layers) == 5 and layers[1:3] == [layers[1], layers[2]]
    assert [name for name, _ in layers.named_children()] == ["0", "1", "2", "3", "4"]
    assert layers.num_parameters() == 18


@pytest.fixture
def recorded(monkeypatch):
    """(op, activation) of each call of an op that can fuse, relu and tanh included."""
    calls = []

    def spy(name):
        op = getattr(ops, name)

        def call(*args, **kwargs):
            calls.append((name, kwargs.get("activation")))
            return op(*args, **kwargs)

        monkeypatch.setattr(ops, name, call)

    for name in (
        "conv2d",
        "conv_transpose2d",
        "linear",
        "batch_norm",
        "relu",
        "relu6",
        "leaky_relu",
        "tanh",
        "sigmoid",
    ):
        spy(name)
    return calls


def layers_that_fuse():
    return [
        nn.Conv2d(3, 3, 1),
        nn.Conv2d(3, 3, 1, groups=3),
        nn.ConvTranspose2d(3, 3, 1),
        nn.Linear(3, 3),
        nn.BatchNorm2d(3),
    ]


ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("index", range(5))
def test_sequential_fuses(recorded, index, activation):
    layer = layers_that_fuse()[index]
    model = nn.Sequential(layer, ACTIVATIONS[activation](), nn.Identity()).eval()
    x = rand(2, 4, 5, 3)
    fused = model(x)
    assert [call[1] for call in recorded] == [activation]
    recorded.clear()
    handle = model[1].register_forward_hook(lambda *_: None)
    separate = model(x)
    assert [call[1] for call in recorded] == [None, None] and recorded[1][0] == activation
    # The op and the function may sum or round once differently: a few eps of values of size about 1.
    np.testing.assert_allclose(fused.numpy(), separate.numpy(), rtol=0, atol=16 * np.finfo(np.float32).eps)
    handle.remove()
    layer.register_forward_hook(lambda *_: None)
    recorded.clear()
    model(x)
    assert [call[1] for call in recorded] == [None, None]


def test_what_is_not_fused(recorded):
    class MyConv(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) + 1.0

    x = rand(1, 4, 4, 3)
    nn.Sequential(MyConv(3, 3, 1), nn.ReLU())(x)
    nn.Sequential(nn.Conv2d(3, 3, 1), nn.LeakyReLU(0.2))(x)
    nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU()))(x)
    nn.Sequential(nn.Conv2d(3, 3, 1), nn.Softmax())(x)
    nn.Sequential(nn.MaxPool2d(2), nn.ReLU())(x)
    assert all(activation is None for _, activation in recorded)


def test_fused_error_names_the_layer():
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU())
    with pytest.raises(ValueError, match=r"^in layer '0' \(Conv2d\): \[conv2d\]"):
        model(rand(1, 4, 4, 3))


def test_only_floating_dtypes():
    with pytest.raises(TypeError, match="floating"):
        nn.Linear(2, 2).to(ck.int64)


def test_a_name_with_a_slash_is_refused():
    with pytest.raises(ValueError, match="a/b"):
        nn.Sequential({"a/b": nn.Linear(1, 1)})


def test_a_hook_registered_twice_is_removed_once():
    model, calls = nn.Linear(1, 1), []
    hook = lambda *_: calls.append(1)  # noqa: E731
    first, second = model.register_forward_hook(hook), model.register_forward_hook(hook)
    first.remove()
    first.remove()
    model(rand(1, 1))
    assert len(calls) == 1
    second.remove()
    model(rand(1, 1))
    assert len(calls) == 1
