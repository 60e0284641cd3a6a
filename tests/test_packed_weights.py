"""Packed weights: kept from the second use at one version, gone at any write, never for memory that others write."""

import gc
import threading

import numpy as np
import pytest

import convkit as ck
from convkit import _core

pytestmark = [
    pytest.mark.skipif(_core.active_isa() == "reference", reason="the plain loops pack nothing"),
    pytest.mark.cpu_only,
]

NO_LIMIT = 2**63 - 1
rng = np.random.default_rng(7)
X = ck.tensor(rng.standard_normal((2, 9, 10, 24), np.float32))
ROWS = ck.tensor(rng.standard_normal((400, 33), np.float32))  # several blocks of rows: they share a packed matrix

# name -> the shape of the weight, an op that reads it
USES = {
    "conv2d": ((40, 3, 3, 24), lambda w: ck.conv2d(X, w, padding=1)),
    "conv2d grouped": ((40, 3, 3, 12), lambda w: ck.conv2d(X, w, groups=2)),
    "conv_transpose2d": ((24, 3, 3, 40), lambda w: ck.conv_transpose2d(X, w, stride=2)),
    "linear": ((130, 33), lambda w: ck.linear(ROWS, w)),
    "matmul": ((33, 130), lambda w: ROWS @ w),
}
use_cases = pytest.mark.parametrize("shape, use", USES.values(), ids=USES)


def weights(shape):
    return rng.standard_normal(shape, np.float32)


@pytest.fixture(autouse=True)
def nothing_kept_before_and_after():
    ck.set_workspace_limit(NO_LIMIT)  # drops what earlier tests have left
    assert _core.retained_bytes() == 0
    yield
    gc.collect()
    assert _core.retained_bytes() == 0


def check(use, w, values):
    """The op sees `values`, however often it has packed the weights before."""
    want = use(ck.tensor(values)).numpy()
    for _ in range(3):
        assert np.array_equal(use(w).numpy(), want)


@use_cases
def test_kept_from_the_second_use_until_written(shape, use):
    w = ck.tensor(weights(shape))
    use(w)
    assert _core.retained_bytes() == 0
    use(w)
    kept = _core.retained_bytes()
    assert kept >= w.numpy().nbytes
    use(w)
    assert _core.retained_bytes() == kept
    w.copy_(weights(shape))
    assert _core.retained_bytes() == 0


@use_cases
def test_every_way_to_write_is_seen(shape, use):
    w = ck.tensor(weights(shape), requires_grad=True)
    check(use, w, w.numpy())
    w.copy_(weights(shape))
    check(use, w, w.numpy())
    for optimizer in (ck.optim.SGD([w], lr=0.1), ck.optim.Adam([w], lr=0.1)):
        before = w.numpy().copy()
        use(w).sum().backward()
        optimizer.step()
        assert not np.array_equal(before, w.numpy())
        check(use, w, w.numpy())


def test_load_state_dict_is_seen():
    layers = [ck.nn.Conv2d(24, 40, 3) for _ in range(2)]
    want = layers[1](X).numpy()
    for _ in range(3):
        layers[0](X)
    assert _core.retained_bytes() > 0
    layers[0].load_state_dict(layers[1].state_dict())
    for _ in range(3):
        assert np.array_equal(layers[0](X).numpy(), want)
    assert set(layers[0].state_dict()) == {"weight", "bias"}


@use_cases
def test_another_shape_of_the_same_memory_is_packed_anew(shape, use):
    w = ck.tensor(weights(shape))
    check(use, w, w.numpy())
    flat = w.reshape(w.size // 3, 3)
    narrow = ck.tensor(rng.standard_normal((400, 3), np.float32))
    check(lambda v: ck.linear(narrow, v), flat, flat.numpy())
    check(use, w, w.numpy())


@use_cases
def test_memory_that_numpy_writes(shape, use):
    array = weights(shape)
    w = ck.from_numpy(array, copy=False)
    locked = array.view()
    locked.flags.writeable = False
    read_only = ck.from_numpy(locked, copy=False)  # of this view only
    for _ in range(3):
        check(use, w, array)
        check(use, read_only, array)
        array += 1
    assert _core.retained_bytes() == 0


@use_cases
def test_memory_lent_to_a_dlpack_consumer(shape, use):
    torch = pytest.importorskip("torch", reason="torch is an optional peer")
    w = ck.tensor(weights(shape))
    check(use, w, w.numpy())
    assert _core.retained_bytes() > 0
    lent = torch.from_dlpack(w)
    assert _core.retained_bytes() == 0
    for _ in range(3):
        check(use, w, w.numpy())
        lent += 1
    assert _core.retained_bytes() == 0
    del lent
    check(use, w, w.numpy())
    assert _core.retained_bytes() > 0
    borrowed = torch.from_numpy(weights(shape))
    v = ck.from_dlpack(borrowed)
    for _ in range(3):
        check(use, v, borrowed.numpy())
        borrowed += 1


def test_an_unused_capsule_lends_until_it_is_freed():
    t = ck.tensor(weights((3, 5)))
    for versioned in (False, True):
        before = _core.versions([t._data])
        capsule = _core.to_dlpack(t._data, versioned)
        del capsule
        assert _core.versions([t._data]) > before


def test_a_training_step_keeps_nothing_and_inference_does():
    model = ck.nn.Sequential(
        ck.nn.Conv2d(24, 40, 3), ck.nn.ReLU(), ck.nn.Flatten(), ck.nn.Linear(40 * 7 * 8, 33), ck.nn.Linear(33, 10)
    )
    optimizer = ck.optim.Adam(model.parameters())
    x = ck.tensor(rng.standard_normal((200, 9, 10, 24), np.float32), requires_grad=True)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).sum().backward()
        assert _core.retained_bytes() == 0
        optimizer.step()
    model.eval()
    first = model(x).numpy()
    assert _core.retained_bytes() == 0
    assert np.array_equal(model(x).numpy(), first)
    assert _core.retained_bytes() >= 4 * 40 * 3 * 3 * 24


def test_the_workspace_limit_bounds_it():
    shape, use = USES["conv2d"]
    w, v = ck.tensor(weights(shape)), ck.tensor(weights(shape))
    for t in (w, w, v, v):
        use(t)
    one = _core.retained_bytes() // 2
    try:
        ck.set_workspace_limit(one + 100)
        assert _core.retained_bytes() == 0
        for t in (w, v, w, v, w, v):
            use(t)
        assert _core.retained_bytes() == one
        assert _core.retained_bytes() + _core.cached_bytes() <= one + 100
        ck.set_workspace_limit(0)
        check(use, w, w.numpy())
        assert _core.retained_bytes() == _core.cached_bytes() == 0
    finally:
        ck.set_workspace_limit(NO_LIMIT)


def test_each_isa_packs_for_itself():
    active = _core.active_isa()
    shape, use = USES["conv2d"]
    w = ck.tensor(weights(shape))
    try:
        for isa in _core.available_isas() * 3:
            _core.set_isa(isa)
            assert np.array_equal(use(w).numpy(), use(ck.tensor(w.numpy())).numpy())
    finally:
        _core.set_isa(active)


@use_cases
def test_threads_that_use_and_write_the_same_weights(shape, use):
    """Whoever writes last, a use afterwards sees it; a use meanwhile may see a mixture, but no freed memory."""
    w = ck.tensor(weights(shape))
    values = [ck.tensor(weights(shape)) for _ in range(2)]

    def read():
        for _ in range(40):
            use(w)

    def write(value):
        for _ in range(40):
            w.copy_(value)

    threads = [threading.Thread(target=read) for _ in range(2)]
    threads += [threading.Thread(target=write, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(use, w, w.numpy())
    w.copy_(values[0])
    check(use, w, values[0].numpy())
