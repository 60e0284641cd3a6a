"""The graph: accumulation, shared tensors, freeing, depth, threads."""

import copy
import gc
import threading
import weakref

import numpy as np
import pytest

import convkit as ck


def leaf(*values):
    return ck.tensor(list(values), requires_grad=True)


def test_gradient_accumulates_over_backward_calls():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    (x * 4).sum().backward()
    assert x.grad.tolist() == [7.0, 7.0]


def test_tensor_used_twice_gets_both_gradients():
    x = leaf(2.0, 5.0)
    y = x * x
    (y + y * x).sum().backward()
    assert x.grad.tolist() == [2 * 2 + 3 * 4, 2 * 5 + 3 * 25]


@pytest.mark.parametrize("shape", [(24, 24, 3, 1), (12, 9, 1, 2), (16, 16, 1, 1), (3, 20, 5, 1)])
def test_branches_that_meet_at_a_convolution(shape):
    """Its data gradient takes up what the other users of its input have sent so far."""
    channels, filters, size, stride = shape
    x = ck.randn(2, 11, 10, channels, requires_grad=True)
    w = ck.randn(filters, size, size, channels)
    options = {"stride": stride, "padding": size // 2}

    def gradient(*branches):
        x.grad = None
        y = x * 2
        losses = [(out * out).sum() for out in (branch(y) for branch in branches)]
        sum(losses[1:], losses[0]).backward()
        return np.array(x.grad.tolist())

    def convolution(y):
        return ck.conv2d(y, w, **options)

    def other(y):
        return y * y

    separate = gradient(convolution) + gradient(other)
    for together in (gradient(convolution, other), gradient(other, convolution)):
        np.testing.assert_allclose(together, separate, rtol=1e-4, atol=1e-4 * np.abs(separate).max())
    twice = gradient(convolution, convolution)
    np.testing.assert_allclose(twice, 2 * gradient(convolution), rtol=1e-5, atol=1e-5 * np.abs(twice).max())


def test_diamond_runs_each_node_once():
    x = leaf(1.0)
    a = x * 2
    b = a + a
    c = b * b
    c.backward()
    assert x.grad.tolist() == [32.0]


def test_second_backward_names_retain_graph():
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_second_backward_through_a_shared_part_is_refused():
    x = leaf(3.0)
    shared = x * x
    shared.sum().backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        (shared + 1).sum().backward()


def test_non_scalar_needs_grad():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"needs the argument grad. Received: shape \(2,\)"):
        (x * 1).backward()
    (x * 5).backward(ck.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [5.0, 50.0]
    with pytest.raises(ValueError, match="grad must match"):
        (x * 5).backward(ck.tensor([1.0]))


def test_backward_without_any_gradient_is_refused():
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        ck.tensor([1.0]).sum().backward()


def test_backward_of_a_leaf_fills_its_own_gradient():
    x = ck.tensor(2.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1.0


def test_detach_and_no_grad_record_nothing():
    x = leaf(1.0)
    assert not x.detach().requires_grad
    with ck.no_grad():
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @ck.no_grad()
    def f():
        return x * 2

    assert not f().requires_grad


def test_no_grad_is_per_thread():
    seen = []
    x = leaf(1.0)
    with ck.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_no_grad_ends_with_an_exception():
    with pytest.raises(KeyError), ck.no_grad():
        raise KeyError
    assert (leaf(1.0) * 2).requires_grad


@pytest.mark.parametrize("depth", [10_000, 100_000])
def test_deep_graph_needs_no_recursion(depth):
    x = leaf(1.0)
    y = x
    for _ in range(depth):
        y = y + 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
    del y


def test_deep_graph_is_released_without_backward():
    y = leaf(1.0)
    for _ in range(100_000):
        y = y + 1.0
    del y


def test_graph_frees_what_it_saved_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = ck.exp(x * 2)
        ref = weakref.ref(y)
        y.sum().backward()
        del y
        assert ref() is None
    finally:
        gc.enable()


def test_gradient_of_an_unused_leaf_stays_none():
    x, z = leaf(1.0), leaf(1.0)
    (x * 2).sum().backward()
    assert z.grad is None


def test_broadcast_gradients_sum_over_the_repeated_axes():
    a = ck.tensor(np.ones((4, 1, 3), np.float32), requires_grad=True)
    b = ck.tensor(np.full((5, 1), 2.0, np.float32), requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.shape == (4, 1, 3) and b.grad.shape == (5, 1)
    assert np.all(a.grad.numpy() == 10.0) and np.all(b.grad.numpy() == 12.0)


def test_max_gradient_goes_to_the_first_maximum():
    x = ck.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 1.0]], requires_grad=True)
    x.max(axis=1).sum().backward()
    assert x.grad.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_max_over_separate_axes_scatters_back():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x = ck.tensor(values, requires_grad=True)
    y = x.max(axis=(0, 2))
    assert y.tolist() == values.max(axis=(0, 2)).tolist()
    y.backward(ck.tensor([1.0, 2.0, 3.0]))
    expected = np.zeros_like(values)
    expected[1, :, 3] = [1, 2, 3]
    assert np.array_equal(x.grad.numpy(), expected)


def test_slice_gradient_lands_where_the_slice_was():
    x = ck.tensor(np.zeros((4, 5), np.float32), requires_grad=True)
    x[1::2, -2].sum().backward()
    expected = np.zeros((4, 5), np.float32)
    expected[1::2, -2] = 1
    assert np.array_equal(x.grad.numpy(), expected)


@pytest.mark.cpu_only
def test_astype_gradient_returns_to_the_dtype_of_the_leaf():
    x = leaf(1.0, 2.0)
    (x.astype(ck.float64) * 3.0).sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [3.0, 3.0]


def test_deepcopy_of_a_leaf_is_independent():
    x = leaf(1.0)
    y = copy.deepcopy(x)
    y.copy_([5.0])
    assert x.item() == 1.0 and y.item() == 5.0 and y.requires_grad


def test_gradients_share_no_memory():
    a, b, c = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    (a + b + c.reshape(1, 2).reshape(2)).sum().backward()
    a.grad.copy_(ck.zeros(2))
    assert b.grad.tolist() == c.grad.tolist() == [1, 1]


def test_the_gradient_that_is_passed_stays_the_callers():
    a, b, given = leaf(1.0, 2.0), leaf(3.0, 4.0), ck.ones(2)
    a.backward(given)
    (b + 1).backward(given)
    given.copy_(ck.zeros(2))
    assert a.grad.tolist() == b.grad.tolist() == [1, 1]


def write(t):
    t.copy_(np.ones(t.shape, np.float32))


READS = {  # the op, the tensors that its gradient reads, and those that it does not
    "multiply": (lambda x, w: x * w, "xw", "y"),
    "multiply by a constant": (lambda x, w: x * w.detach(), "w", "xy"),
    "add": (lambda x, w: x + w, "", "xwy"),
    "log": (lambda x, w: x.log(), "x", "y"),
    "exp": (lambda x, w: x.exp(), "y", "x"),
    "matmul": (lambda x, w: x @ w, "xw", "y"),
    "linear": (lambda x, w: ck.linear(x, w), "xw", "y"),
    "frozen linear": (lambda x, w: ck.linear(x, w.detach(), activation="relu"), "wy", "x"),
    "conv2d": (lambda x, w: ck.conv2d(x, w.reshape(4, 1, 1, 4)), "xw", "y"),
    "conv2d of an image": (lambda x, w: ck.conv2d(x.detach(), w.reshape(4, 1, 1, 4)), "x", "wy"),
    "conv2d and pool": (lambda x, w: ck.ops.conv2d_max_pool2d(x, w.reshape(4, 1, 1, 4)), "xw", "y"),
    "conv_transpose2d": (lambda x, w: ck.conv_transpose2d(x, w.reshape(4, 1, 1, 4)), "xw", "y"),
    "max_pool2d": (lambda x, w: ck.max_pool2d(x, 2), "", "xy"),
    "power": (lambda x, w: x.detach() ** w, "xy", "w"),
    "power zero": (lambda x, w: x**0, "", "xy"),
    "shift of batch_norm": (lambda x, w: ck.batch_norm(x, None, None, None, w[0], training=True), "x", "wy"),
    "batch_norm": (lambda x, w: ck.batch_norm(x, None, None, w.reshape(16)[:4], training=True), "x", "wy"),
    "cross_entropy": (lambda x, w: ck.cross_entropy(x.reshape(8, 4), np.zeros(8, int)), "x", "y"),
    "checkpoint": (lambda x, w: ck.checkpoint(lambda x: x + 1, x), "x", "y"),
}


@pytest.mark.parametrize("op", READS)
def test_a_write_before_backward_is_refused_where_it_matters(op):
    function, read, unread = READS[op]
    for name in read + unread:
        x, w = ck.rand(1, 2, 4, 4, requires_grad=True), ck.rand(4, 4, requires_grad=True)
        y = function(x, w)
        loss = y.sum()
        write({"x": x, "w": w, "y": y}[name])
        if name in read:
            with pytest.raises(RuntimeError, match=r"\[backward\] a tensor of shape .* was written"):
                loss.backward()
        else:
            loss.backward()


def test_a_step_between_two_backward_passes_is_refused():
    w = ck.rand(3, requires_grad=True)
    loss = (w * w).sum()
    optimizer = ck.optim.SGD([w], 0.1)
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="was written"):
        loss.backward()


def test_a_loan_that_has_ended_is_no_write():
    x = ck.rand(3, device="cpu", requires_grad=True)
    y = x.exp()
    lent = np.from_dlpack(y.detach())
    assert lent.shape == (3,)
    del lent
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), y.numpy())


def test_a_write_that_is_refused_leaves_gradients_and_graph_alone():
    x, w = ck.rand(3, requires_grad=True), ck.rand(3, requires_grad=True)
    factor = ck.rand(3)
    early, late = x * factor, x.exp() * w.exp()  # the walk meets the later ones first
    loss = (early + late).sum()
    write(factor)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="was written"):
            loss.backward()
        assert x.grad is None and w.grad is None
    late.sum().backward()  # nothing was freed
    assert x.grad.tolist() == late.tolist()


def test_parameters_of_a_checkpoint_may_not_be_written():
    layer, x = ck.nn.Linear(3, 2), ck.rand(4, 3)
    loss = ck.checkpoint(layer, x).sum()
    loss.backward(retain_graph=True)
    ck.optim.SGD(layer.parameters(), 0.1).step()
    with pytest.raises(RuntimeError, match="was written"):
        loss.backward()
