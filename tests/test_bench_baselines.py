"""convkit bench: wrong results, baselines and the comparison of two runs. Figures of time are never asserted."""

import json

import numpy as np
import pytest

from benching import SMALL, as_json, bench
from convkit.bench import cases, peers, report, run

pytestmark = pytest.mark.usefixtures("settings_kept")


# Wrong results


def test_a_wrong_result_is_reported_not_timed_and_fails(capsys, monkeypatch):
    results = cases.GemmCase.results
    monkeypatch.setattr(cases.GemmCase, "results", lambda self: tuple(array + 1 for array in results(self)))
    status, out, _ = bench(capsys, *SMALL)
    assert status == 1 and "WRONG RESULT: gemm:m5n6k7nt" in out
    status, out, _ = bench(capsys, *SMALL, "--format", "json")
    wrong = [row for row in json.loads(out)["rows"] if not row["right"]]
    assert status == 1 and [row["problem"] for row in wrong] == ["gemm:m5n6k7nt"]
    assert wrong[0]["milliseconds"] is None and wrong[0]["error"] > 0.1


def test_a_wrong_peer_is_left_out(capsys, monkeypatch):
    class Wrong(peers.Peer):
        name, version = "wrong", "1"

        def set_threads(self, count):
            pass

        def contestants(self, case):
            good = peers.Contestant(case.run, case.results)
            bad = peers.Contestant(case.run, lambda: tuple(array + 1 for array in case.results()))
            return {"good": good, "bad": bad}

    monkeypatch.setattr(peers, "load", lambda name: Wrong())
    status, out, _ = bench(capsys, *SMALL, "--against", "reference")
    assert status == 0 and "wrong bad left out: its error is" in out and "wrong good" in out


# Baselines


def test_against_the_reference(capsys):
    result = as_json(capsys, *SMALL, "--against", "reference")
    assert result["machine"]["baseline"].startswith("reference ")
    for row in result["rows"]:
        low, high = row["ratio_quartiles"]
        assert row["baseline"] == "reference loops" and 0 < low <= row["ratio"] <= high
    everything = result["classes"]["1"][-1]
    ratios = [row["ratio"] for row in result["rows"]]
    assert everything["ratio"] == pytest.approx(np.exp(np.mean(np.log(ratios))))
    assert everything["worst"] == min(ratios)


def test_against_a_file(capsys, tmp_path):
    old = tmp_path / "old.json"
    assert bench(capsys, *SMALL, "--format", "json", "--out", old)[0] == 0
    earlier = {row["problem"] + row["direction"]: row for row in json.loads(old.read_text())["rows"]}
    for row in as_json(capsys, *SMALL, "--against", old)["rows"]:
        before = earlier[row["problem"] + row["direction"]]["milliseconds"]
        assert row["ratio"] == pytest.approx(before / row["milliseconds"]) and row["baseline"] == "file"


def test_against_torch(capsys):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    rows = as_json(capsys, *SMALL, "--against", "torch")["rows"]
    assert {row["baseline"] for row in rows} <= {"torch NCHW", "torch NHWC", "torch mm"}
    assert all(row["ratio"] > 0 for row in rows)


def test_a_peer_that_is_not_installed_is_named(capsys, monkeypatch):
    import importlib

    real = importlib.import_module

    def without(name, *arguments):
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", without)
    status, _, err = bench(capsys, *SMALL, "--against", "onnxruntime")
    assert status == 2 and err.count("\n") == 1 and "pip install onnxruntime" in err


# Compare


def write_run(path, factor=1.0, **changes):
    """A result whose rows take 1, 2 and 3 ms times ``factor``; ``changes`` multiply single rows by their name."""
    rows = [
        run.Row(
            name=f"row{i}", problem=f"gemm:m{i}n2k3nn", direction="nn", group="GEMM, skinny and dense layers",
            threads=1, isa="avx2", dtype="float32", device="cpu", forced="auto", algorithm="",
            milliseconds=i * factor * changes.get(f"row{i}", 1.0),
        )
        for i in (1, 2, 3)
    ]  # fmt: skip
    facts = {"CPU": "a CPU", "ISA": "avx2", "compiler": "GNU"}
    path.write_text(report.render(report.Report(facts, {}, rows), "json"))
    return path


def test_compare(capsys, tmp_path):
    old, same = write_run(tmp_path / "old.json"), write_run(tmp_path / "same.json", 1.05)
    slower = write_run(tmp_path / "slower.json", row2=1.2)
    status, out, _ = bench(capsys, "compare", old, same, "--fail-above", "1.10")
    assert status == 0 and "3 rows, geometric mean of new/old 1.050" in out
    status, out, _ = bench(capsys, "compare", old, slower, "--fail-above", "1.10")
    assert status == 1 and "1 rows take more than 1.1 times" in out
    first = out.splitlines()[1].split()
    assert first[0] == "row2" and first[-2:] == ["1.200", "slower"]
    assert bench(capsys, "compare", old, slower, "--fail-above", "1.25")[0] == 0
    assert bench(capsys, "compare", old, slower)[0] == 0
    assert bench(capsys, "compare", slower, old, "--fail-above", "1.10")[0] == 0


def test_compare_says_what_is_missing_and_what_differs(capsys, tmp_path):
    old, new = write_run(tmp_path / "old.json"), write_run(tmp_path / "new.json")
    content = json.loads(new.read_text())
    content["rows"][0]["right"], content["rows"][0]["milliseconds"] = False, None
    content["machine"]["CPU"] = "another"
    new.write_text(json.dumps(content))
    status, out, _ = bench(capsys, "compare", old, new, "--fail-above", 2)
    assert status == 1 and "wrong result in new: row1" in out
    assert "1 rows only in old: row1" in out and "the runs differ in CPU: a CPU and another" in out
    content["rows"] = []
    new.write_text(json.dumps(content))
    status, _, err = bench(capsys, "compare", old, new)
    assert status == 2 and "no row in common" in err
