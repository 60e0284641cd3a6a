"""Fixtures of all tests. The ISA under test is the library's own choice: CONVKIT_ISA=avx2 pytest tests."""

import os

import pytest

import convkit as ck


def pytest_report_header(config):
    return f"convkit: ISA {ck._core.active_isa()} of {', '.join(ck._core.available_isas())}"


def pytest_configure(config):
    """A forced ISA must be the one that runs: a silent fall-back would test nothing."""
    forced = os.environ.get("CONVKIT_ISA")
    if forced and forced != ck._core.active_isa():
        raise pytest.UsageError(f"CONVKIT_ISA={forced}, but {ck._core.active_isa()} runs.")


@pytest.fixture
def threads():
    """set_num_threads, undone after the test."""
    before = ck.get_num_threads()
    yield ck.set_num_threads
    ck.set_num_threads(before)


@pytest.fixture(params=ck._core.available_isas())
def each_isa(request):
    """Runs the test once per ISA that this machine has."""
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
