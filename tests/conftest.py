"""Fixtures of all tests. The ISA under test is the library's own choice: CONVKIT_ISA=avx2 pytest tests."""

import os

import pytest

import convkit as ck

FORCED_ISA = os.environ.get("CONVKIT_ISA")


def pytest_report_header(config):
    return f"convkit: ISA {ck._core.active_isa()} of {', '.join(ck._core.available_isas())}"


def pytest_configure(config):
    """A forced ISA must be the one that runs: a silent fall-back would test nothing."""
    if FORCED_ISA and ck._core.active_isa() != FORCED_ISA:
        raise pytest.UsageError(f"CONVKIT_ISA={FORCED_ISA}, but {ck._core.active_isa()} runs.")


@pytest.fixture
def threads():
    """set_num_threads, undone after the test."""
    before = ck.get_num_threads()
    yield ck.set_num_threads
    ck.set_num_threads(before)


@pytest.fixture(params=[FORCED_ISA] if FORCED_ISA else ck._core.available_isas())
def each_isa(request):
    """Runs the test once per ISA that this machine has, or on the forced one alone."""
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
