"""load_torch and export_torch: order of axes, names, checkpoints as users have them, agreement with PyTorch."""

import numpy as np
import pytest

import convkit as ck
from checkpoints import WRITERS, archive, mapping, named, storage, tensor
from convkit import interop, models, nn, weights


def network():
    """Every kind of layer whose axes are in another order, and a Linear that reads a flattened image of 2x3x6."""
    return nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), stride=2, groups=2),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 4, (2, 3), stride=2, groups=2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 2 * 3, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


FLATTEN = {"6": (4, 2, 3)}
IMAGE = (5, 7, 4)


def torch_state(seed=0):
    """A state_dict in PyTorch's order of axes, without num_batches_tracked."""
    rng = np.random.default_rng(seed)
    shapes = {"0.weight": (6, 2, 3, 2), "0.bias": (6,), "1.weight": (6,), "1.bias": (6,)}
    shapes |= {"1.running_mean": (6,), "1.running_var": (6,), "3.weight": (6, 2, 2, 3), "3.bias": (4,)}
    shapes |= {"6.weight": (5, 24), "6.bias": (5,), "8.weight": (3, 5), "8.bias": (3,)}
    state = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return state | {"1.running_var": np.abs(state["1.running_var"]) + 0.5}


def arrays(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def assert_holds(model, state):
    """The definition, element by element."""
    found = arrays(model)
    for name in ("0.weight", "3.weight"):
        a, i, r, s = np.indices(state[name].shape)
        np.testing.assert_array_equal(found[name][a, r, s, i], state[name])
    for c in range(4):
        for h in range(2):
            for w in range(3):
                np.testing.assert_array_equal(
                    found["6.weight"][:, (h * 3 + w) * 4 + c], state["6.weight"][:, c * 6 + h * 3 + w]
                )
    for name in state.keys() - {"0.weight", "3.weight", "6.weight"}:
        np.testing.assert_array_equal(found[name], state[name])


@pytest.mark.parametrize("prefix", ["_orig_mod.module.", "module._orig_mod.", "module.module."])
def test_prefixes_in_any_order(prefix):
    model, state = network(), torch_state()
    interop.load_torch({prefix + name: value for name, value in state.items()}, model, flatten=FLATTEN)
    assert_holds(model, state)


@pytest.mark.parametrize("bias", [np.ones(3, np.complex64), np.array(["a", "b", "c"]), np.array([None] * 3)])
def test_weights_that_are_not_numbers(bias):
    model = nn.Linear(2, 3)
    before = arrays(model)
    with pytest.raises(TypeError, match=r"\[load_torch\] weights are real numbers. Received: bias of "):
        interop.load_torch({"weight": np.ones((3, 2)), "bias": bias}, model)
    with pytest.raises(ValueError):
        model.load_state_dict({"weight": np.ones((3, 2)), "bias": np.array(["a", "b", "c"])})
    for key, value in arrays(model).items():
        np.testing.assert_array_equal(value, before[key])


def test_arguments_of_other_types():
    with pytest.raises(
        TypeError, match=r"\[load_torch\] needs a path or a state_dict, and a Module. Received: int, Linear"
    ):
        interop.load_torch(5, nn.Linear(2, 3))
    with pytest.raises(TypeError, match=r"Received: dict, str"):
        interop.load_torch({}, "resnet18")
    for flatten in ("6", [("6", (4, 2, 3))], {"6": 24}, {"6": ("4", 2, 3)}):
        with pytest.raises(TypeError, match=r"\[interop\] flatten is a dict"):
            interop.load_torch(torch_state(), network(), flatten=flatten)


def test_a_dictionary_of_arrays():
    model, state = network(), torch_state()
    result = interop.load_torch(state, model, flatten=FLATTEN)
    assert result == ([], []) and result.missing_keys == []
    assert_holds(model, state)
    assert model[1].num_batches_tracked.item() == 0


def test_a_linear_that_is_not_named_is_copied_as_is():
    model, state = network(), torch_state()
    interop.load_torch(state, model)
    np.testing.assert_array_equal(model[6].weight.numpy(), state["6.weight"])


@pytest.mark.parametrize("container", [*WRITERS, "safetensors"])
def test_files(tmp_path, container):
    model, state, path = network(), torch_state(), tmp_path / "w"
    if container == "safetensors":
        weights.save(path, state)
    else:
        WRITERS[container](path, state)
    interop.load_torch(path, model, flatten=FLATTEN)
    assert_holds(model, state)
    interop.load_torch(str(path), model, flatten=FLATTEN)


@pytest.mark.parametrize("wrap", ["state_dict", "model", "model_state_dict"])
def test_checkpoints_of_a_training_run(wrap):
    model, state = network(), torch_state()
    interop.load_torch({"epoch": 3, wrap: state, "optimizer": {"state": {}}}, model, flatten=FLATTEN)
    assert_holds(model, state)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers(prefix):
    model, state = network(), torch_state()
    interop.load_torch({prefix + name: value for name, value in state.items()}, model, flatten=FLATTEN)
    assert_holds(model, state)


def test_a_model_that_has_a_child_called_module():
    model = nn.Sequential({"module": nn.Linear(2, 1)})
    interop.load_torch({"module.weight": np.ones((1, 2)), "module.bias": np.ones(1)}, model)
    assert model.module.bias.item() == 1


def test_tensors_of_ours_and_half_precision(tmp_path):
    state = torch_state()
    model = network()
    interop.load_torch({name: ck.tensor(value) for name, value in state.items()}, model, flatten=FLATTEN)
    assert_holds(model, state)
    half = {name: value.astype(np.float16) for name, value in state.items()}
    interop.load_torch(WRITERS["zip"](tmp_path / "h", half), model, flatten=FLATTEN)
    assert_holds(model, {name: value.astype(np.float32) for name, value in half.items()})
    bits = {name: (value.view(np.uint32) >> 16).astype(np.uint16) for name, value in state.items()}
    interop.load_torch(WRITERS["legacy"](tmp_path / "b", bits), model, flatten=FLATTEN)
    rounded = {name: (value.astype(np.uint32) << 16).view(np.float32) for name, value in bits.items()}
    assert_holds(model, rounded)
    double = network().to(ck.float64)
    interop.load_torch(state, double, flatten=FLATTEN)
    assert double[0].weight.dtype == np.float64


def test_all_that_does_not_fit_is_one_error():
    model, state = network(), torch_state()
    before = arrays(model)
    del state["0.bias"], state["1.running_mean"]
    state |= {"9.weight": np.zeros(1), "8.bias": np.zeros(4)}
    with pytest.raises(ValueError, match=r"missing: 0.bias, 1.running_mean; unexpected: 9.weight; wrong shape: 8.b"):
        interop.load_torch(state, model)
    with pytest.raises(ValueError, match=r"does not fit this Sequential. wrong shape: 8.bias"):
        interop.load_torch(state, model, strict=False)
    for name, value in arrays(model).items():
        np.testing.assert_array_equal(value, before[name])
    del state["8.bias"]
    result = interop.load_torch(state, model, strict=False, flatten=FLATTEN)
    assert result.missing_keys == ["0.bias", "1.running_mean", "8.bias"] and result.unexpected_keys == ["9.weight"]
    np.testing.assert_array_equal(model[0].bias.numpy(), before["0.bias"])


def test_filters_of_other_shapes_are_reported_not_moved():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Linear(8, 2, bias=False))
    huge = np.broadcast_to(np.float32(0), (2**40, 8))  # as a damaged file may claim
    with pytest.raises(ValueError, match=r"0.weight has \(2, 9\).* 1.weight has \(1099511627776, 8\)"):
        interop.load_torch({"0.weight": np.zeros((2, 9)), "1.weight": huge}, model, flatten={"1": (2, 2, 2)})


@pytest.mark.parametrize("flatten", [{"6": (4, 2, 2)}, {"7": (4, 2, 3)}, {"nowhere": (1, 1, 1)}, {"6": (24,)}])
def test_flatten_that_names_no_such_linear(flatten):
    with pytest.raises(ValueError, match=r"\[interop\] flatten names a Linear .* Linears: 6 \(24\), 8 \(5\)"):
        interop.load_torch(torch_state(), network(), flatten=flatten)


@pytest.mark.parametrize(
    "content,message",
    [
        ({"epoch": 3, "net": {}}, "Received: int as 'epoch'"),
        ({"net": {"weight": np.zeros(1)}}, "Received: dict as 'net'"),
        ({3: np.zeros(1)}, "Received: ndarray as '3'"),
        ({"state_dict": {"model": {"weight": np.zeros(1)}}}, "Received: dict as 'model'"),
    ],
)
def test_what_is_not_a_state_dict(content, message):
    with pytest.raises(ValueError, match=rf"\[load_torch\] a state_dict maps names to tensors.* {message}"):
        interop.load_torch(content, network())


def test_the_weights_below_other_entries_of_a_file(tmp_path):
    content = mapping(state_dict=named({"module.weight": tensor(storage("0"))}), arch=b"N")
    path = archive(tmp_path / "w", content, {"0": np.arange(6, dtype=np.float32).tobytes()})
    model = nn.Linear(3, 2, bias=False)
    interop.load_torch(path, model)
    np.testing.assert_array_equal(model.weight.numpy(), [[0, 1, 2], [3, 4, 5]])


def test_models_know_their_flattened_linears(monkeypatch):
    for fill in ("uniform_", "normal_"):
        monkeypatch.setattr(nn.init, fill, lambda t, *args, **kwargs: t)
    for name, linear, (c, h, w) in [
        ("alexnet", "classifier.1", (256, 6, 6)),
        ("vgg11_bn", "classifier.0", (512, 7, 7)),
        ("lenet5", "dense1", (16, 5, 5)),
        ("illustrated.lenet", "dense1", (64, 12, 12)),
    ]:
        model = models.build(name, num_classes=2)
        own = arrays(model)
        key = f"{linear}.weight"
        inputs = np.arange(c * h * w, dtype=np.float32)
        interop.load_torch({key: np.broadcast_to(inputs, own[key].shape)}, model, strict=False)
        expected = inputs.reshape(c, h, w).transpose(1, 2, 0).ravel()
        np.testing.assert_array_equal(model.state_dict()[key].numpy()[-1], expected)
        # inside of another model as well, and not where a user has put a Linear of his own
        whole = nn.Sequential({"trunk": model})
        interop.load_torch({f"trunk.{key}": np.broadcast_to(inputs, own[key].shape)}, whole, strict=False)
        np.testing.assert_array_equal(model.state_dict()[key].numpy()[-1], expected)
        models.build(name, num_classes=2, include_top=False)
    lenet = models.lenet5()
    lenet.dense1 = nn.Linear(3, 120)
    state = {"dense1.weight": np.arange(360.0).reshape(120, 3)}
    interop.load_torch(state, lenet, strict=False)
    np.testing.assert_array_equal(lenet.dense1.weight.numpy(), state["dense1.weight"])


def test_export_and_back(tmp_path):
    ck.manual_seed(3)
    model, state = network(), torch_state()
    interop.load_torch(state, model, flatten=FLATTEN)
    model[1].num_batches_tracked.copy_(ck.tensor(5))
    interop.export_torch(model, tmp_path / "w.safetensors", flatten=FLATTEN)
    exported, metadata = weights.load(tmp_path / "w.safetensors")
    assert metadata == {"format": "pt"}
    for name, value in state.items():
        np.testing.assert_array_equal(exported[name], value)
    twin = network()
    interop.load_torch(tmp_path / "w.safetensors", twin, flatten=FLATTEN)
    for name, value in arrays(model).items():
        np.testing.assert_array_equal(arrays(twin)[name], value)


@pytest.mark.parametrize("name", ["lenet5", "illustrated.lenet", "resnet20", "mobilenet_v2"])
def test_every_model_goes_out_and_in(tmp_path, name):
    ck.manual_seed(1)
    model, twin = models.build(name), models.build(name)
    interop.export_torch(model, tmp_path / "w")
    interop.load_torch(tmp_path / "w", twin)
    for key, value in arrays(model).items():
        np.testing.assert_array_equal(arrays(twin)[key], value)


# With PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch")


def twin_of(torch):
    t = torch.nn
    return t.Sequential(
        t.Conv2d(4, 6, (3, 2), stride=2, groups=2),
        t.BatchNorm2d(6),
        t.ReLU(),
        t.ConvTranspose2d(6, 4, (2, 3), stride=2, groups=2),
        t.MaxPool2d(2),
        t.Flatten(),
        t.Linear(4 * 2 * 3, 5),
        t.ReLU(),
        t.Linear(5, 3),
    ).eval()


def assert_agree(torch, model, theirs):
    images = np.random.default_rng(0).standard_normal((2, *IMAGE))
    with torch.no_grad():
        expected = theirs.double()(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(model.to(ck.float64).eval()(ck.tensor(images)).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("how", ["zip", "legacy", "protocol 4", "dict", "parallel", "checkpoint", "safetensors"])
def test_what_torch_saves(tmp_path, torch, how):
    theirs, model, path = twin_of(torch), network(), tmp_path / "w.pth"
    theirs(torch.randn(1, 4, 5, 7))
    state = theirs.state_dict()
    if how == "dict":
        interop.load_torch(dict(theirs.named_parameters()) | state, model, flatten=FLATTEN)
        assert_agree(torch, model, theirs)
        return
    if how == "safetensors":
        pytest.importorskip("safetensors.torch", reason="writes the file").save_file(state, path)
    elif how == "checkpoint":
        optimizer = torch.optim.SGD(theirs.parameters(), 0.1, momentum=0.9)
        theirs(torch.randn(2, 4, 5, 7)).sum().backward()
        optimizer.step()
        torch.save(
            {"epoch": 1, "state_dict": state, "optimizer": optimizer.state_dict(), "best": torch.tensor(0.5)}, path
        )
    elif how == "parallel":
        torch.save(torch.nn.DataParallel(theirs).state_dict(), path)
    else:
        torch.save(
            state, path, _use_new_zipfile_serialization=how != "legacy", pickle_protocol=4 if how == "protocol 4" else 2
        )
    interop.load_torch(path, model, flatten=FLATTEN)
    assert_agree(torch, model, theirs)


@pytest.mark.parametrize("legacy", [True, False])
def test_dtypes_and_views_that_torch_saves(tmp_path, torch, legacy):
    names = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    base = torch.arange(12.0).reshape(3, 4)
    state = {name: torch.tensor([0, 1, 3]).to(getattr(torch, name)) for name in names}
    state |= {"view": base.T, "row": base[1], "repeated": torch.tensor([2.0]).expand(3), "scalar": torch.tensor(3)}
    state["parameter"] = torch.nn.Parameter(base)
    torch.save(state, tmp_path / "w", _use_new_zipfile_serialization=not legacy)
    from convkit.interop import torch_files

    found = torch_files.read(tmp_path / "w")
    assert list(found) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value.detach().to(torch.float64).numpy(), err_msg=name)
        assert str(found[name].dtype) == str(value.dtype).removeprefix("torch.").replace("bfloat16", "float32")


def test_torch_reads_what_we_export(tmp_path, torch):
    read = pytest.importorskip("safetensors.torch", reason="reads the file").load_file
    ck.manual_seed(2)
    model, theirs = network(), twin_of(torch)
    model(ck.randn(4, *IMAGE))
    interop.export_torch(model, tmp_path / "w", flatten=FLATTEN)
    theirs.load_state_dict(read(tmp_path / "w"))
    assert theirs[1].num_batches_tracked.item() == 1
    assert_agree(torch, model, theirs)


def test_a_whole_model_is_refused(tmp_path, torch):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w")
    with pytest.raises(ValueError, match=r"asks for torch\.nn\.modules\.linear\.Linear, .*\(model\.state_dict\(\)"):
        interop.load_torch(tmp_path / "w", nn.Linear(2, 2))


def test_a_counter_with_an_axis():
    model = network()
    interop.load_torch(torch_state() | {"1.num_batches_tracked": np.array([7])}, model, flatten=FLATTEN)
    assert model[1].num_batches_tracked.item() == 7 and model[1].num_batches_tracked.shape == ()
