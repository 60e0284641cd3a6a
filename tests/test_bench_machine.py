"""What the benchmark measures with: probes of the machine, scratch statistics, rounds that count."""

import pytest

import convkit as ck
from convkit.bench import machine, timing

pytestmark = pytest.mark.usefixtures("settings_kept")


@pytest.mark.parametrize("isa", ck._core.available_isas())
def test_probes(isa):
    ck._core.set_isa(isa)
    operations, bandwidth = ck._core.fma_probe(20.0), ck._core.copy_bandwidth(1 << 20)
    if isa == "reference":
        assert operations == bandwidth == 0
    else:
        assert operations > 0 and bandwidth > 0
        ck.set_num_threads(2 * ck.get_num_threads())
        assert ck._core.fma_probe(20.0) == 2 * operations


def test_scratch_peak_counts_what_an_op_holds_at_once():
    ck._core.drop_packed_weights()  # kept scratch of earlier tests
    x = ck.rand(8, 20, 20, 33)
    ck._core.reset_scratch_peak()
    assert ck._core.scratch_peak() == 0
    ck.conv2d(x, ck.rand(40, 3, 3, 33), padding=1)
    peak = ck._core.scratch_peak()
    if ck._core.active_isa() != "reference":
        assert 40 * 9 * 33 * 4 <= peak < 100 << 20  # packed filters at least
    ck.relu(x)
    assert ck._core.scratch_peak() == peak
    ck._core.reset_scratch_peak()
    assert ck._core.scratch_peak() == 0


def test_packed_weights_are_kept_until_they_are_dropped():
    ck._core.set_isa(ck._core.available_isas()[0])
    ck._core.drop_packed_weights()
    x, w = ck.rand(1, 9, 9, 32), ck.rand(48, 3, 3, 32)
    for _ in range(3):
        ck.conv2d(x, w)
    kept = ck._core.retained_bytes()
    ck._core.drop_packed_weights()
    assert ck._core.retained_bytes() == 0
    if ck._core.active_isa() != "reference":
        assert kept > 0


def test_git_hash_of_the_checkout_or_the_build(monkeypatch, tmp_path):
    assert isinstance(machine.git_hash(), str)
    monkeypatch.setattr(machine, "_ROOT", tmp_path)
    assert machine.git_hash() == ck._core.git_hash


class Slices:
    """A peak of which the rates are given."""

    def __init__(self, rates):
        self.rates, self.best = iter(rates), 100.0

    def sample(self):
        return next(self.rates)


def test_rounds_that_are_not_quiet_are_left_out_unless_few_remain():
    calls = {"a": lambda: None, "b": lambda: None}
    times = timing.measure(calls, 1, Slices([90, 90, 50, 90] * 20), rounds=4, seconds=60)
    assert times.kept == 4 and times.quiet and times.rounds > 4 and len(times.seconds["a"]) == 4
    times = timing.measure(calls, 1, Slices([90, 70] * 20), rounds=4, seconds=1e-9)
    assert times.kept == 0 and not times.quiet and len(times.seconds["b"]) == times.rounds == 3


@pytest.mark.parametrize("threads, pauses", [(1, 0), (2, 1)])
def test_several_threads_wait_for_those_that_checked_the_result(threads, pauses, monkeypatch):
    events = []
    monkeypatch.setattr(timing.time, "sleep", lambda seconds: events.append("pause"))
    timing.measure({"a": lambda: events.append("a")}, threads, Slices([90] * 20), rounds=3, seconds=60)
    assert events.index("a") == pauses and events.count("pause") == pauses


def test_ratios_are_paired_by_round():
    times = timing.Times({"ours": [1.0, 2.0, 4.0], "theirs": [2.0, 6.0, 4.0]}, 3, 3)
    assert times.ratios("ours", "theirs") == [2.0, 3.0, 1.0] and times.median("ours") == 2.0
