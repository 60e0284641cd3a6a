"""Devices from Python: moving tensors, memory, random numbers, mixed precision, whole models. On a GPU or emulated."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import convkit as ck
from convkit import nn
from device import on_cpu

pytestmark = pytest.mark.cuda


def integers(*shape, low=-4, high=5, seed=3):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.float32)


def lenet(device, seed=5, **arguments):
    ck.manual_seed(seed)
    return ck.models.lenet5(**arguments).to(device)


# Tensors


def test_there_and_back():
    x = integers(3, 5, 2)
    t = ck.tensor(x, device="cpu").to("cuda")
    assert t.device == "cuda:0" and t.to("cuda") is t and t.to("cuda:0") is t
    assert (on_cpu(t) == x).all()
    for array in (np.arange(4), np.array([True, False]), np.zeros((0, 3), np.float32), np.uint8([1, 255])):
        moved = ck.tensor(array, device="cuda")
        assert moved.dtype == array.dtype and (on_cpu(moved) == array).all() and moved.shape == array.shape


def test_moving_is_differentiable():
    x = ck.tensor(integers(4), device="cpu", requires_grad=True)
    (x.to("cuda") * 3.0).sum().to("cpu").backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [3.0] * 4


def test_results_stay_on_the_device():
    x = ck.tensor([[1.0, -2.0]], device="cuda", requires_grad=True)
    y = (ck.relu(x) + 1).sum()
    y.backward()
    assert y.device == x.grad.device == "cuda:0" and float(y) == 3.0
    assert "device='cuda:0'" in repr(x) and x.tolist() == [[1.0, -2.0]]


def test_mixed_devices_are_refused():
    with pytest.raises(TypeError, match=r"one device\. Received: cuda:0 and cpu"):
        ck.matmul(ck.ones(2, 2, device="cuda"), ck.ones(2, 2, device="cpu"))
    with pytest.raises(ValueError, match="grad must match"):
        ck.ones(2, device="cuda", requires_grad=True).backward(ck.ones(2, device="cpu"))


def test_devices_that_are_not_there():
    with pytest.raises(RuntimeError, match=r"CUDA device\(s\), counted from 0. Received: cuda:77"):
        ck.ones(2, device="cuda:77")
    with pytest.raises(ValueError, match="device must be"):
        ck.ones(2, device="gpu")


def test_float64_stays_on_the_cpu():
    t = ck.tensor([1.0, 2.0], dtype="float64").to("cuda")
    assert on_cpu(t).tolist() == [1.0, 2.0]
    with pytest.raises(TypeError, match="float64 has kernels on the CPU only"):
        t + t


def test_copies_pickles_and_new_devices():
    t = ck.tensor(integers(3), device="cuda", requires_grad=True)
    for twin in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert twin.device == "cuda:0" and twin.requires_grad and twin.tolist() == t.tolist()
    target = ck.zeros(3, device="cpu")
    assert target.copy_(t).tolist() == t.tolist()


def test_dlpack_names_the_device():
    t = ck.tensor(integers(3, 2), device="cuda")
    assert t.__dlpack_device__() == (2, 0)
    twin = ck.from_dlpack(t)
    assert twin.device == "cuda:0" and twin.tolist() == t.tolist()


# Memory


def test_memory_is_counted_and_given_back():
    ck.cuda.empty_cache()
    before = ck.cuda.memory_stats()
    t = ck.zeros(1 << 20, device="cuda")
    during = ck.cuda.memory_stats()
    assert during["allocated"] - before["allocated"] == 4 << 20 and during["peak"] >= during["allocated"]
    del t
    assert ck.cuda.memory_stats()["allocated"] == before["allocated"]
    assert ck.cuda.memory_stats()["cached"] >= 4 << 20
    hits = ck.cuda.memory_stats()["hits"]
    again = ck.zeros(1 << 20, device="cuda")
    assert ck.cuda.memory_stats()["hits"] == hits + 1
    del again
    ck.cuda.empty_cache()
    assert ck.cuda.memory_stats()["cached"] == before["cached"]


def test_blocks_are_split_and_joined():
    ck.cuda.empty_cache()
    before = ck.cuda.memory_stats()["segments"]
    big = ck.zeros(3 << 20, device="cuda")
    del big
    parts = [ck.full((1 << 20,), float(i), device="cuda") for i in range(3)]
    assert ck.cuda.memory_stats()["segments"] == before + 1
    assert [on_cpu(part)[17] for part in parts] == [0.0, 1.0, 2.0]
    del parts
    big = ck.zeros(3 << 20, device="cuda")
    assert ck.cuda.memory_stats()["segments"] == before + 1
    del big


def test_out_of_memory_says_how_much():
    size = 1 << 40
    with pytest.raises(RuntimeError, match=rf"out of memory on cuda:0. Received: {size * 4} bytes; \d+ are in tensors"):
        ck.zeros(size, device="cuda")
    assert ck.ones(3, device="cuda").sum().item() == 3


def test_a_forked_child_is_told_why():
    ck.ones(3, device="cuda")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ck.ones(3, device="cuda")
            text = "no error"
        except RuntimeError as error:
            text = str(error)
        os.write(writer, text.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert "a forked child cannot use it" in os.read(reader, 1000).decode()


def test_import_does_not_wake_the_driver():
    code = "import convkit as ck; ck.ones(3) + 1; print(ck.cuda.memory_stats()['segments'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


# Random numbers


def test_dropout_has_the_bits_of_the_cpu():
    x = np.ones((5, 7, 11), np.float32)
    ck.manual_seed(7)
    expected = on_cpu(ck.dropout(ck.tensor(x, device="cpu"), 0.3, True))
    ck.manual_seed(7)
    assert (on_cpu(ck.dropout(ck.tensor(x, device="cuda"), 0.3, True)) == expected).all()


# Labels are not checked on a device


def test_a_label_out_of_range_is_nan():
    logits = ck.tensor(integers(3, 4), device="cuda", requires_grad=True)
    weight = ck.ones(4, device="cuda")
    for arguments in ({}, {"weight": weight}):
        losses = ck.cross_entropy(logits, np.array([0, 4, -1]), reduction="none", **arguments).tolist()
        assert np.isfinite(losses[0]) and np.isnan(losses[1:]).all()
        assert np.isnan(ck.cross_entropy(logits, np.array([0, 4, 1]), **arguments).item())


# Models


@pytest.mark.parametrize("precision, allowed", [("precise", 2e-6), ("fast", 2e-3)])
def test_a_training_step_of_lenet_is_the_cpus(precision, allowed):
    x, y = integers(4, 28, 28, 1) / 4, np.arange(4)
    ck.set_precision(precision)
    try:
        steps = []
        for device in ("cpu", "cuda"):
            model = lenet(device)
            loss = ck.cross_entropy(model(ck.tensor(x, device=device)), ck.tensor(y, device=device))
            loss.backward()
            steps.append([on_cpu(loss), *(on_cpu(p.grad) for p in model.parameters())])
    finally:
        ck.set_precision("fast")
    for cpu, cuda in zip(*steps):
        assert np.linalg.norm(cpu - cuda) <= allowed * max(np.linalg.norm(cpu), 1e-3)


def test_a_training_step_of_a_small_resnet_is_the_cpus():
    x, y = np.random.default_rng(1).random((2, 16, 16, 3), np.float32), np.arange(2)
    ck.set_precision("precise")
    try:
        steps = []
        for device in ("cpu", "cuda"):
            ck.manual_seed(2)
            model = ck.models.resnet20().to(device)
            loss = ck.cross_entropy(model(ck.tensor(x, device=device)), ck.tensor(y, device=device))
            loss.backward()
            steps.append(
                [on_cpu(loss)] + [on_cpu(t) for t in (*(p.grad for p in model.parameters()), *model.buffers())]
            )
    finally:
        ck.set_precision("fast")
    for cpu, cuda in zip(*steps):
        assert np.linalg.norm(cpu - cuda) <= 1e-3 * max(np.linalg.norm(cpu), 1e-3)


def images(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 12, 12, 1), np.uint8), rng.integers(0, 3, n)


def small_net(device, dropout=0.25):
    ck.manual_seed(11)
    layers = [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(150, 3)).to(device)


def fit(model, **arguments):
    arguments = {"epochs": 2, "batch_size": 8, "progress": False, "optimizer": None} | arguments
    arguments["optimizer"] = arguments["optimizer"] or ck.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    ck.manual_seed(1)
    return ck.train.fit(model, images(20), **arguments)


def test_fit_learns_as_on_the_cpu():
    ck.set_precision("precise")
    try:
        histories = [fit(small_net(device)) for device in ("cpu", "cuda")]
    finally:
        ck.set_precision("fast")
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)


def test_the_same_run_has_the_same_bits():
    states = []
    for _ in range(2):
        model = small_net("cuda")
        fit(model)
        states.append({name: on_cpu(t).tobytes() for name, t in model.state_dict().items()})
    assert states[0] == states[1]


def test_a_graph_changes_no_bit():
    states = []
    for graph in (False, True):
        model = small_net("cuda")
        history = fit(model, cuda_graph=graph)
        states.append(
            [history["loss"], history["accuracy"], [on_cpu(t).tobytes() for t in model.state_dict().values()]]
        )
    assert states[0] == states[1]


def test_checkpoints_move_between_devices(tmp_path):
    model = small_net("cuda", dropout=0.0)
    fit(model, epochs=1, checkpoint_dir=tmp_path)
    on_host = small_net("cpu", dropout=0.0).load(tmp_path / "last.safetensors")
    x = images(4)[0]
    np.testing.assert_allclose(ck.train.predict(model, x), ck.train.predict(on_host, x), rtol=2e-3, atol=2e-3)
    continued = fit(on_host, epochs=2, checkpoint_dir=tmp_path, resume=True)
    assert continued.epochs == 2 and next(on_host.parameters()).device == "cpu"


# bfloat16


def test_bfloat16_rounds_to_nearest_even():
    x = np.float32([1, 1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-9), np.inf, -0.0, 3e38])
    t = ck.tensor(x, device="cuda").astype(ck.bfloat16)
    assert t.dtype is ck.bfloat16
    assert on_cpu(t.astype(ck.float32)).tolist() == [1, 1, 1 + 2**-6, -1, np.inf, 0, float.fromhex("0x1.c4p+127")]
    with pytest.raises(TypeError, match="numpy has no bfloat16"):
        t.to("cpu").numpy()


def test_autocast_keeps_master_weights():
    x = ck.tensor(integers(2, 12, 12, 1) / 4, device="cuda")
    model = small_net("cuda", dropout=0.0)
    with ck.autocast("cuda", ck.bfloat16):
        y = ck.conv2d(x, ck.ones(4, 3, 3, 1, device="cuda"))
        assert y.dtype is ck.bfloat16
        loss = ck.cross_entropy(model(x), np.array([0, 1]))
    assert loss.dtype == np.float32 and ck.conv2d(x, ck.ones(4, 3, 3, 1, device="cuda")).dtype == np.float32
    loss.backward()
    plain = small_net("cuda", dropout=0.0)
    ck.cross_entropy(plain(x), np.array([0, 1])).backward()
    for p, q in zip(model.parameters(), plain.parameters()):
        assert p.dtype == p.grad.dtype == np.float32
        # 8 bits of mantissa; the bias before batch norm has a gradient of nothing but rounding
        assert np.linalg.norm(on_cpu(p.grad) - on_cpu(q.grad)) <= 0.05 * np.linalg.norm(on_cpu(q.grad)) + 5e-3


def test_autocast_leaves_the_cpu_alone():
    with ck.autocast("cuda", ck.bfloat16):
        assert ck.matmul(ck.ones(2, 2, device="cpu"), ck.ones(2, 2, device="cpu")).dtype == np.float32


# Products


@pytest.mark.skipif(ck._core.cuda_architectures != "emulated", reason="chooses the emulated device's kind")
@pytest.mark.parametrize(
    "wanted,capability,message",
    [
        ("wmgma", "90", "ValueError: [cuda] CONVKIT_CUDA_PRODUCTS must be mma or wgmma. Received: wmgma."),
        ("wgmma", "80", "CONVKIT_CUDA_PRODUCTS=wgmma needs a GPU of compute capability 9.0"),
        ("mma", "80", ""),
    ],
)
def test_a_choice_of_products_that_cannot_be_is_refused(wanted, capability, message):
    code = "import convkit as ck; x = ck.ones(8, 8, device='cuda'); print((x @ x).sum().item())"
    choice = {"CONVKIT_CUDA_PRODUCTS": wanted, "CONVKIT_EMULATION_CAPABILITY": capability}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | choice)
    assert message in done.stderr and (done.stdout.strip() == "512.0") == (not message)
