"""Creation, facts, indexing, comparison and conversion of tensors."""

import numpy as np
import pytest

import convkit as ck
from convkit import _core


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1.5, np.float32),
        ([1.0, 2.0], np.float32),
        (3, np.int64),
        ([1, 2], np.int64),
        ([True, False], np.bool_),
        (np.zeros(2, np.float64), np.float64),
        (np.zeros(2, np.float32), np.float32),
        (np.zeros(2, np.uint8), np.uint8),
        (np.zeros(2, np.int16), np.int64),
        (np.zeros(2, np.uint32), np.int64),
        (np.float64(1), np.float64),
        (np.arange(3, dtype=">f4"), np.float32),
        (np.arange(3, dtype=">i4"), np.int64),
        ([], np.float32),
    ],
)
def test_dtype_of_new_tensors(data, dtype):
    t = ck.tensor(data)
    assert t.dtype == dtype
    assert np.array_equal(t.numpy(), np.asarray(data))


@pytest.mark.parametrize("data", [np.zeros(2, np.float16), np.zeros(2, np.complex64), np.array(["a"]), "text", [None]])
def test_unsupported_data_is_a_type_error(data):
    with pytest.raises(TypeError, match=r"^\[(tensor|from_numpy)\] "):
        ck.tensor(data)


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match=r"\[tensor\] nested lists must have equal lengths"):
        ck.tensor([[1.0], [1.0, 2.0]])


def test_tensor_copies():
    a = np.ones(3, np.float32)
    t = ck.tensor(a)
    a[0] = 5
    assert t.tolist() == [1, 1, 1]
    u = ck.tensor(t)
    u.copy_([2.0, 2.0, 2.0])
    assert t.tolist() == [1, 1, 1]


def test_arrays_of_any_byte_order_and_alignment():
    """Of bytes of a file, say; "<" spelled out is not what numpy calls native, though it is the same."""
    data = b"\0" + np.arange(4, dtype="<f4").tobytes()
    for array in (
        np.frombuffer(data, "<f4", offset=1),
        np.frombuffer(data[1:], np.dtype("f4").newbyteorder("<")),
        np.arange(4, dtype=">f4"),
        np.arange(4, dtype=">i2"),
    ):
        assert ck.tensor(array).tolist() == ck.tensor(array, dtype=ck.float32).tolist() == [0, 1, 2, 3]


@pytest.mark.cpu_only
def test_dtype_names_equal_numpys():
    assert ck.float32 == np.float32 and ck.uint8 == np.uint8 and ck.float32 == "float32"
    assert ck.bfloat16 != ck.float32
    with pytest.raises(TypeError, match="bfloat16 tensors live on CUDA only"):
        ck.zeros(2).astype(ck.bfloat16)


def test_creation():
    assert ck.zeros(2, 3).shape == ck.zeros((2, 3)).shape == (2, 3)
    assert ck.ones(2).tolist() == [1, 1] and ck.full((2,), 7).dtype == np.int64
    assert ck.full((2,), 7.0).dtype == np.float32 and ck.full((), True).dtype == np.bool_
    assert ck.arange(5).tolist() == [0, 1, 2, 3, 4] and ck.arange(1.0, 2.0, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
    assert ck.arange(3, 0, -1).tolist() == [3, 2, 1] and ck.arange(3, 1).shape == (0,)


@pytest.mark.cpu_only
def test_scalars_take_the_dtype_of_the_tensor():
    assert (ck.zeros(2, dtype=ck.float64) + 1.5).dtype == np.float64
    assert (1 - ck.zeros(2)).dtype == np.float32
    assert (ck.arange(3) * 2 + 1).tolist() == [1, 3, 5]
    with pytest.raises(TypeError, match="needs an integer"):
        ck.arange(3) + 0.5


def test_mixed_dtypes_are_refused():
    with pytest.raises(TypeError, match="Received: float32 and float64"):
        ck.zeros(2) + ck.zeros(2, dtype=ck.float64)


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ValueError, match=r"\[add\] shapes must broadcast.*Received: \[2,3\] and \[2,4\]"):
        ck.zeros(2, 3) + ck.zeros(2, 4)


def test_comparisons_give_bool():
    a = ck.tensor([1.0, float("nan"), 3.0])
    assert (a > 1).tolist() == [False, False, True]
    assert (a != a).tolist() == [False, True, False]
    assert (ck.tensor([1, 2, 3]) == np.array([1, 5, 3])).tolist() == [True, False, True]
    assert (ck.tensor(np.array([250], np.uint8)) < 300).tolist() == [True]
    assert (ck.arange(3) > 0.5).tolist() == [False, True, True]
    assert (ck.arange(3) == ck.tensor([0.0, 1.5, 2.0])).tolist() == [True, False, True]


def test_numpy_on_the_left_of_a_tensor():
    a = np.ones((2, 2), np.float32)
    result = a + ck.ones(2, 2)
    assert isinstance(result, ck.Tensor) and result.tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(None),
        slice(1, None, 2),
        slice(-3, -1),
        slice(5, 2),
        (0, 1),
        (slice(None), 2),
        (Ellipsis, 1),
        (0, Ellipsis, slice(None, None, 3)),
        None,
        (None, 1, None, Ellipsis, None),
        (slice(1, 3), slice(0, 100), 3),
        Ellipsis,
        (),
        np.int64(2),
    ],
)
def test_indexing_follows_numpy(index):
    a = np.arange(4 * 5 * 7, dtype=np.float32).reshape(4, 5, 7)
    got = ck.tensor(a)[index]
    assert got.shape == a[index].shape
    assert np.array_equal(got.numpy(), a[index])


@pytest.mark.parametrize(
    "index, error",
    [
        (4, IndexError),
        ((0, 0, 0, 0), IndexError),
        ((Ellipsis, Ellipsis), IndexError),
        (slice(None, None, -1), ValueError),
        ([0, 1], TypeError),
        (1.0, TypeError),
        (True, TypeError),
    ],
)
def test_refused_indices(index, error):
    with pytest.raises(error, match=r"^\[getitem\] .*Received: "):
        ck.zeros(4, 5, 7)[index]


def test_items_cannot_be_assigned():
    with pytest.raises(TypeError):
        ck.zeros(3)[0] = 1.0


def test_reshape_and_transpose():
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    t = ck.tensor(a)
    assert t.reshape(4, -1).shape == t.reshape((4, 6)).shape == (4, 6)
    assert t.reshape(-1).shape == (24,)
    assert np.array_equal(t.T.numpy(), a.T)
    assert np.array_equal(t.transpose(1, 0, 2).numpy(), a.transpose(1, 0, 2))
    assert np.array_equal(t.transpose((2, 0, 1)).numpy(), a.transpose(2, 0, 1))
    assert np.array_equal(t.transpose(-1, 0, 1).numpy(), a.transpose(-1, 0, 1))
    with pytest.raises(ValueError, match="number of elements must stay the same"):
        t.reshape(5, 5)
    with pytest.raises(ValueError, match="-1 must stand for a whole size"):
        t.reshape(5, -1)
    with pytest.raises(ValueError, match="must be a permutation"):
        t.transpose(0, 0, 1)


def test_reductions_follow_numpy():
    a = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    t = ck.tensor(a)
    for axis in (None, 0, 1, -1, (0, 1), (0, 2), (1, 2), (0, 1, 2), ()):
        for keepdims in (False, True):
            got = t.sum(axis, keepdims).numpy()
            want = a.astype(np.float64).sum(axis=axis, keepdims=keepdims)
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(t.mean(axis, keepdims).numpy(), a.mean(axis=axis, keepdims=keepdims), atol=1e-6)
            assert np.array_equal(t.max(axis, keepdims).numpy(), a.max(axis=axis, keepdims=keepdims))
    for axis in (None, 0, 1, 2, -1):
        assert np.array_equal(t.argmax(axis).numpy(), a.argmax(axis=axis))
    with pytest.raises(ValueError, match=r"\[sum\] axis must be in \[-3,3\). Received: axis=3"):
        t.sum(3)
    with pytest.raises(ValueError, match="maximum of no elements"):
        ck.zeros(0, 3).max(axis=0)
    assert ck.zeros(0, 3).sum(axis=0).tolist() == [0, 0, 0]
    assert ck.tensor([1, 5, 2]).argmax().item() == 1


def test_astype():
    t = ck.tensor([1.7, -2.7, float("nan")])
    assert t.astype(ck.int64).tolist()[:2] == [1, -2]
    assert t.astype(bool).tolist() == [True, True, True]
    assert ck.tensor([0, 3]).astype(np.float64).dtype == np.float64
    with pytest.raises(TypeError, match=r"\[astype\] dtype must be"):
        t.astype("float16")


def test_item_and_python_numbers():
    assert ck.tensor(2.5).item() == 2.5 and float(ck.tensor([2.5])) == 2.5 and int(ck.tensor(3)) == 3
    assert bool(ck.tensor(1.0)) and isinstance(ck.tensor(3).item(), int)
    with pytest.raises(ValueError, match=r"\[item\] needs a tensor of one element. Received: shape \[2\]"):
        ck.zeros(2).item()


@pytest.mark.cpu_only
def test_sizes_that_overflow_or_are_negative_are_refused():
    with pytest.raises(ValueError, match="more than 2\\^60 elements"):
        ck.zeros(2**31, 2**31, 4)
    with pytest.raises(ValueError, match="sizes must not be negative"):
        ck.zeros(-1)
    with pytest.raises(ValueError, match="not enough memory for"):
        ck.zeros(2**45)
    with pytest.raises(ValueError, match="at most 8 axes"):
        ck.zeros((1,) * 9)
    assert ck.zeros(0, 2**40).shape == (0, 2**40)


def test_copy_needs_equal_shapes_and_dtypes():
    t = ck.zeros(2, 2)
    t.copy_(np.ones((2, 2), np.float32))
    assert t.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match=r"\[copy_\] the source must have shape"):
        t.copy_(ck.zeros(4))
    with pytest.raises(TypeError, match="one dtype"):
        t.copy_(ck.zeros(2, 2, dtype=ck.float64))


@pytest.mark.cpu_only
def test_devices():
    t = ck.zeros(2)
    assert t.device == "cpu" and t.to("cpu") is t
    with pytest.raises(ValueError, match=r'\[to\] device must be "cpu", "cuda" or "cuda:N"'):
        t.to("gpu")
    if not ck.cuda.is_available():
        with pytest.raises(RuntimeError) as error:
            t.to("cuda")
        assert ck.cuda.unavailable_reason() in str(error.value)


def test_random_draws_are_reproducible_and_independent_of_threads():
    def draw(threads):
        ck.set_num_threads(threads)
        ck.manual_seed(7)
        return ck.rand(10_007).numpy().copy(), ck.randn(333, 31).numpy().copy()

    before = ck.get_num_threads()
    try:
        one, many = draw(1), draw(3)
    finally:
        ck.set_num_threads(before)
    assert np.array_equal(one[0], many[0]) and np.array_equal(one[1], many[1])
    uniform, normal = one
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.02
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    state = ck.get_rng_state()
    a = ck.rand(5)
    ck.set_rng_state(state)
    assert ck.rand(5).tolist() == a.tolist() != ck.rand(5).tolist()


def test_philox_matches_the_published_vectors():
    # Random123's kat_vectors, philox4x32 with 10 rounds: key 0, counter 0.
    words = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ck.manual_seed(0)
    assert ck.rand(4).tolist() == [(w >> 8) / 2**24 for w in words]


@pytest.mark.cpu_only
def test_repr_is_short_and_shows_the_dtype():
    assert repr(ck.tensor([1, 2])) == "tensor([1, 2], dtype=int64)"
    assert len(repr(ck.zeros(1000, 1000))) < 2000


def test_settings_are_checked():
    with pytest.raises(ValueError, match="at least 1"):
        ck.set_num_threads(0)
    with pytest.raises(ValueError, match="must not be negative"):
        ck.set_workspace_limit(-1)
    with pytest.raises(ValueError, match='must be "fast" or "precise"'):
        ck.set_precision("exact")
    assert "ISA active" in ck.show_config()


def test_numpy_integers_are_sizes_and_values():
    assert ck.zeros(np.int64(2)).shape == (2,) and ck.full(np.int32(2), 1.0).shape == (2,)
    assert ck.arange(np.int64(3)).dtype == np.int64 and ck.arange(np.float32(3)).dtype == np.float32
    assert ck.full((1,), np.int64(2)).dtype == np.int64 and ck.full((1,), np.bool_(True)).dtype == np.bool_
    with pytest.raises(TypeError, match=r"^\[full\] a shape must be .*Received: 1\.5\.$"):
        ck.zeros(1.5)


def test_a_list_that_changes_while_it_is_read():
    class Index:
        def __init__(self, change):
            self.change = change

        def __index__(self):
            self.change()
            return 1

    for change in (lambda sizes: sizes.clear, lambda sizes: lambda: sizes.extend(range(10000))):
        sizes = [1, 1, 1]
        sizes[0] = Index(change(sizes))
        with pytest.raises(TypeError):
            _core.from_numpy(np.zeros(1, np.float32), False).reshape(sizes)


def test_integers_beyond_int64_are_refused():
    assert ck.tensor(np.array([2**63 - 1], np.uint64)).item() == 2**63 - 1
    with pytest.raises(ValueError, match=r"^\[tensor\] integers must fit into int64\. Received: 18446744073709551615"):
        ck.tensor(np.array([2**64 - 1], np.uint64))


@pytest.mark.parametrize("state", ["ab", (1,), (1, 2, 3), None, (1.5, 0), (-1, 0), (2**64, 0)])
def test_a_generator_state_that_is_none_is_refused(state):
    before = ck.get_rng_state()
    with pytest.raises(ValueError, match=r"^\[set_rng_state\] the state must be one of get_rng_state\(\)\. Received: "):
        ck.set_rng_state(state)
    assert ck.get_rng_state() == before


def test_a_device_is_named_by_a_string():
    with pytest.raises(TypeError, match=r"^\[to\] device must be a string .*Received: 3\.$"):
        ck.zeros(2).to(3)


def test_only_floats_have_gradients():
    for make in (
        lambda: ck.tensor([1], requires_grad=True),
        lambda: ck.full((2,), 3, requires_grad=True),
        lambda: ck.nn.Parameter(np.arange(3)),
    ):
        with pytest.raises(TypeError, match=r"^\[tensor\] only float32 and float64 have gradients\. .*: int64\.$"):
            make()
    assert ck.ones(2, dtype=ck.float64, requires_grad=True).requires_grad


def test_dtype_names():
    for name in ("float32", "float64", "uint8", "int64", "bool"):
        assert getattr(ck, name) == np.dtype(name) and ck.zeros(1, dtype=getattr(ck, name)).dtype == name


def test_no_tensor_equals_none():
    t = ck.zeros(2)
    assert (t == None) is False and (t != None) is True  # noqa: E711
