"""Fixtures of all tests. The ISA under test is the library's own choice: CONVKIT_ISA=avx2 pytest tests."""

import os

import pytest

import convkit as ck
import device

FORCED_ISA = os.environ.get("CONVKIT_ISA")


def pytest_report_header(config):
    on = "" if not device.is_cuda() else f"device {device.DEVICE}, "
    return f"convkit: {on}ISA {ck._core.active_isa()} of {', '.join(ck._core.available_isas())}"


def pytest_configure(config):
    """A forced ISA must be the one that runs: a silent fall-back would test nothing."""
    if FORCED_ISA and ck._core.active_isa() != FORCED_ISA:
        raise pytest.UsageError(f"CONVKIT_ISA={FORCED_ISA}, but {ck._core.active_isa()} runs.")
    if device.is_cuda():
        if reason := ck.cuda.unavailable_reason():
            raise pytest.UsageError(f"CONVKIT_TEST_DEVICE={device.DEVICE}, but {reason}.")
        device.place_new_tensors()


def pytest_collection_modifyitems(items):
    """`cpu_only` marks what has no meaning on a device; `cuda` what has none without one."""
    absent = pytest.mark.skip(reason="about the CPU alone" if device.is_cuda() else "needs CONVKIT_TEST_DEVICE=cuda")
    for item in items:
        if item.get_closest_marker("cpu_only" if device.is_cuda() else "cuda"):
            item.add_marker(absent)


def pytest_runtest_setup():
    ck.set_precision(device.PRECISION)


@pytest.fixture
def threads():
    """set_num_threads, undone after the test."""
    before = ck.get_num_threads()
    yield ck.set_num_threads
    ck.set_num_threads(before)


def isas():
    """Those this machine has, or the forced one; on a device it does not matter which one runs beside it."""
    if FORCED_ISA or device.is_cuda():
        return [ck._core.active_isa()]
    return ck._core.available_isas()


@pytest.fixture(params=isas())
def each_isa(request):
    """Runs the test once per ISA that is under test."""
    before = ck._core.active_isa()
    ck._core.set_isa(request.param)
    yield request.param
    ck._core.set_isa(before)


@pytest.fixture
def settings_kept():
    """ISA and threads are put back after the test: the command convkit bench sets them for its process."""
    isa, threads = ck._core.active_isa(), ck.get_num_threads()
    yield
    ck._core.set_isa(isa)
    ck.set_num_threads(threads)
