"""Sharing memory: numpy, the buffer protocol, DLPack."""

import gc
import pickle

import numpy as np
import pytest

import convkit as ck


def test_numpy_view_shares_and_is_read_only():
    t = ck.zeros(2, 3)
    view = t.numpy()
    assert not view.flags.writeable
    t.copy_(np.ones((2, 3), np.float32))
    assert np.all(view == 1)
    with pytest.raises(ValueError):
        view[0, 0] = 2


def test_numpy_view_works_with_requires_grad_and_outlives_the_tensor():
    t = ck.tensor([1.0, 2.0], requires_grad=True)
    view = np.asarray(t)
    del t
    gc.collect()
    assert view.tolist() == [1, 2]


def test_array_protocol_converts_on_request():
    t = ck.tensor([1.0, 2.0])
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    copied = np.array(t)
    copied[0] = 9
    assert t.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 3), (2, 3, 4)])
def test_buffer_protocol(dtype, shape):
    t = ck.zeros(shape, dtype=dtype)
    view = memoryview(t)
    assert view.shape == shape and view.readonly and view.itemsize == np.dtype(dtype).itemsize
    assert np.asarray(view).dtype == dtype
    assert np.shares_memory(np.asarray(view), t.numpy()) or not np.prod(shape)


def test_from_numpy_copies_unless_told():
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    copied, shared = ck.from_numpy(a), ck.from_numpy(a, copy=False)
    a[0, 0] = 100
    assert copied[0, 0].item() == 0 and shared[0, 0].item() == 100
    shared.copy_(np.zeros((2, 3), np.float32))
    assert a.sum() == 0
    del a
    gc.collect()
    assert shared.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_from_numpy_takes_what_it_cannot_share_as_a_copy_only():
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    for array in (base[:, ::2], base.T, base[::-1]):
        assert np.array_equal(ck.from_numpy(array).numpy(), array)
        with pytest.raises(ValueError, match=r"\[from_numpy\] copy=False needs a C-contiguous"):
            ck.from_numpy(array, copy=False)
    with pytest.raises(TypeError, match="dtype must be float32"):
        ck.from_numpy(np.zeros(2, np.int32), copy=False)
    assert ck.from_numpy(np.zeros(2, np.int32)).dtype == np.int64
    with pytest.raises(TypeError, match="byte order"):
        ck.from_numpy(np.zeros(2, ">f4"), copy=False)


def test_misaligned_memory_cannot_be_shared():
    raw = np.zeros(17, np.uint8)
    array = raw[1:].view(np.float32)
    with pytest.raises(ValueError, match="aligned"):
        ck.from_numpy(array, copy=False)
    assert ck.from_numpy(array).shape == (4,)


def test_element_alignment_is_enough():
    array = np.arange(9, dtype=np.float32)[1:]
    t = ck.from_numpy(array, copy=False)
    assert np.array_equal((t * 2).numpy(), array * 2)


def test_read_only_arrays_are_shared_but_not_written():
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    t = ck.from_numpy(array, copy=False)
    with pytest.raises(ValueError, match="read-only"):
        t.copy_([1.0, 2.0, 3.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64, np.bool_])
def test_dlpack_round_trip_with_numpy(dtype):
    t = ck.ones(2, 3, dtype=dtype)
    array = np.from_dlpack(t)
    assert array.dtype == dtype and np.shares_memory(array, t.numpy())
    back = ck.from_dlpack(np.array([[1, 0], [1, 1]], dtype))
    assert back.tolist() == [[1, 0], [1, 1]] and back.dtype == dtype


def test_dlpack_keeps_the_memory_alive():
    array = np.from_dlpack(ck.full((1000,), 3.0))
    gc.collect()
    assert np.all(array == 3)
    t = ck.from_dlpack(np.full(1000, 4.0, np.float32))
    gc.collect()
    assert np.all(t.numpy() == 4)


def test_dlpack_refusals():
    with pytest.raises(ValueError, match=r"\[from_dlpack\] needs row-major"):
        ck.from_dlpack(np.zeros((4, 4), np.float32).T)
    with pytest.raises(TypeError, match="dtype must be"):
        ck.from_dlpack(np.zeros(2, np.int16))
    with pytest.raises(TypeError, match="__dlpack__"):
        ck.from_dlpack([1, 2])
    with pytest.raises(BufferError, match="stream=None"):
        ck.zeros(2).__dlpack__(stream=1)
    with pytest.raises(BufferError, match="dl_device"):
        ck.zeros(2).__dlpack__(dl_device=(2, 0))
    assert ck.zeros(2).__dlpack_device__() == (1, 0)


def test_dlpack_capsule_is_used_once():
    capsule = ck.zeros(2).__dlpack__()
    ck._core.from_dlpack(capsule)
    with pytest.raises(ValueError, match="not consumed yet"):
        ck._core.from_dlpack(capsule)


def test_dlpack_with_torch_shares_memory():
    torch = pytest.importorskip("torch", reason="torch is an optional peer")
    t = ck.zeros(2, 2)
    u = torch.from_dlpack(t)
    u[0, 0] = 5
    assert t[0, 0].item() == 5
    v = torch.arange(4, dtype=torch.float32)
    w = ck.from_dlpack(v)
    v[0] = 7
    assert w.tolist() == [7, 1, 2, 3]


def test_pickle():
    t = ck.tensor([1.0, 2.0], requires_grad=True)
    u = pickle.loads(pickle.dumps(t))
    assert u.tolist() == [1, 2] and u.requires_grad and u.dtype == np.float32


def test_numpy_functions_take_tensors_and_operators_stay_ours():
    a = np.array([-1.0, 0.0, 2.0], np.float32)
    t = ck.tensor(a, requires_grad=True)
    for function in (np.exp, np.abs, np.isnan, np.sign):
        got = function(t)
        assert type(got) is np.ndarray
        np.testing.assert_array_equal(got, function(a))
    for value, expected in (
        (a + t, a + a), (a - t, a - a), (a * t, a * a), (a / (t + 3), a / (a + 3)), (a @ t, a @ a),
        ((a + 2) ** t, (a + 2) ** a), (np.float64(2) * t, 2 * a), (np.float32(2) - t, 2 - a), (np.int64(2) + t, 2 + a),
    ):  # fmt: skip
        assert isinstance(value, ck.Tensor) and value.requires_grad and value.dtype == np.float32
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-6)
    for value, expected in ((a < t + 1, a < a + 1), (a == t, a == a), (np.float64(0) <= t, a >= 0), (a != t, a != a)):
        assert isinstance(value, ck.Tensor) and value.dtype == np.bool_
        np.testing.assert_array_equal(value.numpy(), expected)
    total = a.copy()
    total += t
    np.testing.assert_array_equal(total, a + a)
