"""Cases of the benchmark: truths that accept right results and refuse wrong ones, peers that compute the same."""

import numpy as np
import pytest

import convkit as ck
from convkit.bench import cases, classes, lowering, networks, peers, shapes

PROBLEMS = {
    f"{name} {direction}": (problem, direction)
    for name, problem in shapes.read("small").items()
    for direction in problem.directions
}
OTHERS = {
    text: shapes.parse(text)
    for text in (
        "bn:n3c17h5relu",
        "bn:n3c17h5addrelu",
        "bn:n2c33h4addrelu6",
        "bn:n4c8h3",
        "layer:n2c5h9o7k3p1bnrelu",
        "layer:n2c3h10o4k3p1relupool",
        "training:n4:lenet5",
        "inference:n2:lenet5",
    )
}
PROBLEMS |= {
    f"{text} {direction}": (problem, direction) for text, problem in OTHERS.items() for direction in problem.directions
}


def results_of(name, dtype=np.float32):
    case = cases.build(*PROBLEMS[name], dtype)
    return case, case.results()


@pytest.mark.parametrize("name", PROBLEMS)
def test_results_are_right_and_a_change_is_noticed(name):
    case, results = results_of(name)
    error, right = case.error(results)
    assert right and error < 1e-4
    for i, part in enumerate(case.truth):
        if part.value.size == 0:
            continue
        changed = [np.array(result, copy=True) for result in results]
        np.reshape(changed[i], -1)[...] += np.float32(0.1 * max(1.0, np.abs(part.value).max()))
        assert not case.error(tuple(changed))[1], f"result {i}"
        changed[i][...] = np.nan
        assert not case.error(tuple(changed))[1], f"result {i}"


@pytest.mark.parametrize(
    "name", ["conv.uneven forward", "convt.groups weights", "maxpool.3s2 backward", "gemm.prime nn"]
)
def test_float64(name):
    case, results = results_of(name, np.float64)
    error, right = case.error(results)
    assert right and error < 1e-12 and results[0].dtype == np.float64


def test_large_problems_are_sampled_up_to_their_ends():
    case = cases.build(shapes.parse("conv:n4c64h40o70k3p1"), "forward", np.float32)
    (part,) = case.truth
    assert 0 < part.value.shape[0] < 4 * 40 * 40 and part.value.shape[1] == 70
    result = np.array(case.results()[0])
    result[-1, -1, -1, -1] += 1e-2
    assert not case.error((result,))[1]


def test_flops_count_padding_and_bytes_count_every_array_once():
    case = cases.build(shapes.parse("conv:n2c3h8o5k3p1"), "data", np.float32)
    assert case.flops == 2 * (2 * 8 * 8) * 5 * (3 * 3 * 3)
    assert case.bytes == 4 * (2 * 8 * 8 * 3 + 5 * 3 * 3 * 3 + 2 * 8 * 8 * 5)
    case = cases.build(shapes.parse("convt:n2c3h8o5k2s2"), "forward", np.float32)
    assert case.flops == 2 * (2 * 8 * 8) * 3 * (2 * 2 * 5)
    assert cases.build(shapes.parse("gemm:m3n4k5"), "nn", np.float64).bytes == 8 * (15 + 20 + 12)
    assert cases.build(shapes.parse("conv:n1c8h6o8k3g8"), "forward").flops == 2 * 16 * 8 * 9
    lenet = networks.macs(ck.models.illustrated.lenet())
    assert lenet == 26 * 26 * 32 * 9 + 24 * 24 * 64 * 288 + 9216 * 128 + 1280
    assert cases.build(shapes.parse("training:n4:illustrated.lenet"), "training").flops == 3 * 2 * 4 * lenet


def test_a_step_that_is_timed_leaves_the_weights_that_peers_copy():
    case = cases.build(shapes.parse("training:n4:lenet5"), "training", np.float32)
    before = [parameter.numpy().copy() for parameter in case.model.parameters()]
    first, second = (float(np.asarray(case.run()[0])) for _ in range(2))
    assert first != second
    assert all(np.array_equal(old, new.numpy()) for old, new in zip(before, case.model.parameters()))


# Peers

TORCH = [name for name in PROBLEMS if "empty" not in name and "same" not in name]


def check_peer(peer, name):
    """How many of the peer's ways gave the right result."""
    case = cases.build(*PROBLEMS[name], np.float32)
    found = peer.contestants(case)
    for way, contestant in found.items():
        error, right = case.error(contestant.results())
        assert right, f"{way}: {error}"
        contestant.call()
    return len(found)


@pytest.fixture(scope="module")
def torch_peer():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return peers.load("torch")


@pytest.mark.parametrize("name", TORCH)
def test_torch_computes_the_same(torch_peer, name):
    torch_peer.set_threads(1)
    ways = check_peer(torch_peer, name)
    if "uneven" in name:
        assert ways == 0  # torch has no uneven padding
    else:
        assert ways == (1 if name.startswith("gemm") else 4 if "training:" in name else 2)


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "mobilenet_v2", "alexnet"])
def test_torch_runs_the_networks(torch_peer, model):
    case = cases.build(shapes.Network("inference", 1, model), "inference", np.float32)
    for contestant in torch_peer.contestants(case).values():
        error, right = case.error(contestant.results())
        assert right and error < 1e-3


def test_onnxruntime_computes_the_same():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    peer = peers.load("onnxruntime")
    peer.set_threads(1)
    names = [name for name in PROBLEMS if "empty" not in name]
    # It rounds the size of a pooled map up in another way where a window would start in the padding.
    ways = {name: check_peer(peer, name) for name in names if ".ceil" not in name}
    assert all(count == 0 for name, count in ways.items() if name.endswith(("data", "weights", "backward", "training")))
    assert all(
        ways[name] == 1 for name in ways if name.endswith((" forward", " nn", "inference")) and "bn:" not in name
    )


def test_numpy_computes_the_same():
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    peer = peers.load("numpy")
    peer.set_threads(1)
    ways = {name: check_peer(peer, name) for name in PROBLEMS if "empty" not in name}
    assert ways["gemm.tile+1 tn"] == ways["conv.11x11s4 forward"] == ways["maxpool.2 forward"] == 1
    assert ways["conv.groups2 forward"] == ways["conv.rgb data"] == 0


def test_the_reference_computes_the_same():
    before = ck._core.active_isa()
    assert check_peer(peers.load("reference"), "conv.rgb forward") == 1
    assert ck._core.active_isa() == before


def test_a_layer_without_a_peer_is_refused():
    with pytest.raises(NotImplementedError, match="no peer has the layer Upsample"):
        lowering.lower(ck.nn.Upsample(2), None, type("Empty", (), {"__getattr__": lambda self, name: None})())


# Classes


@pytest.mark.parametrize(
    "text, direction, group",
    [
        ("n8c64h56o64k3p1", "data", "3x3 s1, maps of 28 and more: forward, data"),
        ("n8c256h14o256k3p1", "forward", "3x3 s1, maps of 14 to 27: forward, data"),
        ("n8c512h7o512k3p1", "forward", "3x3 s1, maps of 7 to 13: forward, data"),
        ("n8c512h7o512k3p1", "weights", "3x3 s1: weight gradient"),
        ("n1c512h7o512k3p1", "forward", "batch 1: convolution forward"),
        ("n8c64h27o192k5p2", "weights", "5x5 s1"),
        ("n128c1h28o32k3", "forward", "first layers, 1 channel: forward"),
        ("n8c3h224o64k7s2p3", "forward", "first layers, 3 channels: forward"),
        ("n8c3h224o64k7s2p3", "data", "first layers: data gradient"),
        ("n8c256h56o64k1", "forward", "3x3 s2, 1x1, 1x1 s2: forward"),
        ("n8c256h56o512k1s2", "weights", "3x3 s2, 1x1, 1x1 s2: gradients"),
        ("n8c96h28o96k3p1g96", "data", "depthwise: gradients"),
        ("n8c96h28o96k3p1g32", "forward", "grouped: forward"),
        ("n8c64h28o64k3p2d2", "forward", "other convolutions: forward"),
        ("convt:n8c64h28o64k2s2", "weights", "other convolutions: gradients"),
        ("gemm:m64n64k64", "nn", "GEMM, square"),
        ("gemm:m8n1000k512nt", "nt", "GEMM, skinny and dense layers"),
        ("gemm:m1n1000k512nt", "nt", "batch 1: matrix products"),
        ("maxpool:n8c64h112k2", "backward", "max-pool: backward 2x2"),
        ("maxpool:n8c64h112k3s2p1", "backward", "max-pool: backward 3x3 s2"),
        ("maxpool:n8c64h112k3s2p1", "forward", "max-pool: forward"),
        ("avgpool:n8c64h112k2", "forward", "other pooling"),
        ("bn:n8c64h56addrelu", "backward", "BN + ReLU, training: backward"),
        ("bn:n8c64h56", "forward", "BN alone, training"),
        ("training:n8:resnet18", "training", "networks, training step"),
        ("inference:n1:resnet18", "inference", "networks, inference at batch 1"),
    ],
)
def test_classes(text, direction, group):
    assert classes.classify(shapes.parse(text), direction) == group


def test_every_row_of_the_presets_has_a_listed_class():
    for name in shapes.names():
        for entry in shapes.entries(name):
            assert {classes.classify(entry.problem, direction) for direction in entry.directions} <= set(classes.ORDER)
