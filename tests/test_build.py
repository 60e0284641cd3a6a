"""What was built and installed: the package's files, the stub, the state of CUDA."""

import ast
from importlib import metadata
from pathlib import Path

import pytest

import convkit as ck

PACKAGE = Path(ck.__file__).parent


def test_package_is_typed():
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_core.pyi").is_file()


def test_stub_names_everything_in_core():
    """CI compares the whole stub; this finds a binding added without it wherever the tests run."""
    named = set()
    for node in ast.parse((PACKAGE / "_core.pyi").read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            named.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            named.add(node.target.id)
    exported = {name for name in dir(ck._core) if not name.startswith("_")}
    assert exported - named == set(), "regenerate the stub, see CONTRIBUTING.md"
    assert {name for name in named if not name.startswith("_")} - exported == set()


def test_numpy_is_the_only_dependency():
    try:
        required = metadata.requires("convkit") or []
    except metadata.PackageNotFoundError:
        pytest.skip("convkit is not installed: run from a source tree")
    assert [r.split(">")[0] for r in required if "extra ==" not in r] == ["numpy"]


def test_show_config_tells_the_state_of_cuda():
    facts = dict(line.split(":", 1) for line in ck.show_config().splitlines())
    assert facts["CUDA compiled"].strip() == (ck._core.cuda_architectures or "no")
    assert (ck.cuda.unavailable_reason() or "available") in facts["CUDA"]


def test_cuda_is_unavailable_for_a_reason():
    reason = ck.cuda.unavailable_reason()
    if reason is None:
        pytest.skip("CUDA can be used here")
    runtime, driver = ck._core.cuda_versions()
    if not ck._core.cuda_architectures:
        assert reason == "this convkit was built without CUDA"
        assert (runtime, driver) == (0, 0)
    elif driver == 0:
        assert reason == "no NVIDIA driver was found"
    else:
        assert reason.startswith("the NVIDIA driver")
    with pytest.raises(RuntimeError, match=reason):
        ck.zeros((2,)).to("cuda")
    with pytest.raises(RuntimeError, match=reason):
        ck.autocast("cuda", ck.bfloat16)


def test_cuda_devices_have_names():
    for device in ck._core.cuda_devices():
        major, minor = device.compute_capability
        assert device.name and major >= 3 and minor >= 0 and device.memory > 2**28


def test_autocast_refusals():
    with pytest.raises(ValueError, match=r'^\[autocast\] the device must be "cuda". Received: \'cpu\'\.$'):
        ck.autocast("cpu", ck.bfloat16)
    with pytest.raises(TypeError, match=r"^\[autocast\] the dtype must be convkit.bfloat16. Received: dtype"):
        ck.autocast("cuda", ck.float32)


def test_memory_statistics_without_a_device():
    assert set(ck.cuda.memory_stats()) >= {"allocated", "cached", "peak"}
    assert not any(ck.cuda.memory_stats().values())
    ck.cuda.empty_cache()
