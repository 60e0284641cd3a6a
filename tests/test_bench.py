"""The command convkit bench: what it measures, writes and returns. Figures of time are never asserted."""

import csv
import io
import json

import numpy as np
import pytest

import convkit as ck
from convkit.bench import cases, command, peers, progress, report, run, shapes
from convkit.cli import main

SMALL = ("--shape", "n1c5h9o7k3p1", "--shape", "gemm:m5n6k7nt", "--rounds", 3, "--seconds", 0.001, "--threads", 1)


@pytest.fixture(autouse=True)
def settings():
    """The command sets ISA and threads for its process."""
    isa, threads = ck._core.active_isa(), ck.get_num_threads()
    yield
    ck._core.set_isa(isa)
    ck.set_num_threads(threads)


def bench(capsys, *arguments):
    """(exit status, standard output, standard error)."""
    try:
        status = main(["bench", *map(str, arguments)])
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def as_json(capsys, *arguments):
    status, out, err = bench(capsys, *arguments, "--format", "json")
    assert status == 0, err
    return json.loads(out)


def test_json_holds_every_figure(capsys):
    result = as_json(capsys, *SMALL)
    assert [(row["problem"], row["direction"]) for row in result["rows"]] == [
        ("conv:n1c5h9o7k3p1", "forward"), ("conv:n1c5h9o7k3p1", "data"), ("conv:n1c5h9o7k3p1", "weights"),
        ("gemm:m5n6k7nt", "nt"),
    ]  # fmt: skip
    for row in result["rows"]:
        assert row["right"] and 0 <= row["error"] < 1e-5 and row["scratch_mb"] >= 0
        assert row["milliseconds"] > 0 and row["gflops"] > 0 and row["gigabytes"] > 0
        assert row["quartiles"][0] <= row["milliseconds"] <= row["quartiles"][1]
        assert row["threads"] == 1 and row["rounds"] >= 3 and row["isa"] == ck._core.active_isa()
        assert row["ratio"] is None and row["dtype"] == "float32"
    assert result["rows"][3]["flops"] == 2 * 5 * 6 * 7 and result["rows"][3]["bytes"] == 4 * (35 + 42 + 30)
    facts = {"version", "git", "compiler", "CPU", "ISA", "GPU", "threads", "FMA peak", "copy bandwidth"}
    assert facts <= result["machine"].keys() and all(result["machine"].values())
    groups = {group["name"]: group["rows"] for group in result["classes"]["1"]}
    assert groups["all rows"] == [row["name"] for row in result["rows"]]
    assert groups["GEMM, skinny and dense layers"] == ["gemm:m5n6k7nt"]


def test_text_and_markdown(capsys):
    status, out, _ = bench(capsys, *SMALL)
    assert status == 0
    for text in ("FMA peak:", "copy bandwidth:", "GFLOP/s", "scratch MB", "error", "quartiles", "all rows", "padding"):
        assert text in out
    rows = [line.split() for line in out.splitlines() if line.startswith("n1c5h9o7k3p1")]
    assert [row[2] for row in rows] == ["forward", "data", "weights"]
    status, out, _ = bench(capsys, *SMALL, "--format", "md")
    assert status == 0 and "- CPU: " in out and "**1 thread, geometric mean of each class**" in out
    table = [line for line in out.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table[:6]}) == 1 and set(table[1]) <= set("|-: ")


def test_csv_to_a_file(capsys, tmp_path):
    status, out, _ = bench(capsys, *SMALL, "--format", "csv", "--out", tmp_path / "new/rows.csv")
    assert status == 0 and out == f"4 rows: {tmp_path / 'new/rows.csv'}\n"
    lines = (tmp_path / "new/rows.csv").read_text().splitlines()
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in lines if not line.startswith("#")))))
    assert any(line.startswith("# CPU: ") for line in lines)
    assert [row["direction"] for row in rows] == ["forward", "data", "weights", "nt"]
    assert all(float(row["milliseconds"]) > 0 and row["right"] == "True" for row in rows)


def test_module_is_the_command(capsys):
    assert command.main(list(map(str, SMALL))) == 0
    assert "gemm:m5n6k7nt" in capsys.readouterr().out
    assert "compare" in bench(capsys, "--help")[1] and "bench" in _help(capsys)


def _help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    return capsys.readouterr().out


def test_importing_convkit_imports_no_benchmark():
    import subprocess
    import sys

    code = "import sys, convkit, convkit.cli; sys.exit(any(name.startswith('convkit.bench') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_threads_batch_isa_and_dtype(capsys):
    rows = as_json(
        capsys, "--shape", "n8c5h6o4k3", "--batch", 2, "--threads", "1,2", "--dtype", "float64", "--isa", "reference",
        "--rounds", 3, "--seconds", 0.001,
    )["rows"]  # fmt: skip
    assert [(row["direction"], row["threads"]) for row in rows] == [
        (direction, threads) for direction in ("forward", "data", "weights") for threads in (1, 2)
    ]
    for row in rows:
        assert row["problem"] == "conv:n2c5h6o4k3" and row["dtype"] == "float64" and row["isa"] == "reference"
        assert row["peak_share"] is None and row["error"] < 1e-13


def test_presets_are_joined_and_each_problem_measured_once():
    entries = [entry for name in command.PRESETS["all"] for entry in shapes.entries(name)]
    todo = run.tasks(entries)
    assert len({task[1:] for task in todo}) == len(todo) < sum(len(entry.directions) for entry in entries)
    names = {"lenet", "alexnet", "vgg16", "resnet18", "resnet50", "mobilenetv2", "unet", "tails", "all", "quick"}
    assert names <= set(command.PRESETS)
    assert {problem for _, problem, _ in todo} >= set(shapes.read("resnet50").values())


def test_a_preset_runs(capsys, monkeypatch):
    """Every line of a file, with the directions it asks for; `quick` itself would take most of a minute."""
    monkeypatch.setitem(command.PRESETS, "quick", ("small",))
    status, out, err = bench(capsys, "--rounds", 3, "--seconds", 0.001, "--threads", 1, "--format", "json")
    assert status == 0, err
    rows = json.loads(out)["rows"]
    assert {row["problem"] for row in rows} == {shapes.text(problem) for problem in shapes.read("small").values()}
    assert json.loads(out)["settings"]["presets"] == ["quick"]


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


# Algorithms


@pytest.fixture
def algorithms(monkeypatch):
    """Two algorithms for convolutions but for weight gradients; -> the list of what was asked for."""
    asked, active = [], ["auto"]

    def force(name):
        if name not in ("auto", "direct", "winograd"):
            raise ValueError(f"[set_conv2d_algorithm] no such algorithm: {name}")
        active[0] = name
        asked.append(name)

    def chosen(direction, *shape):
        return "direct" if direction == "weights" or active[0] == "auto" else active[0]

    def applicable(direction, *shape):
        return ["direct"] if direction == "weights" else ["direct", "winograd"]

    monkeypatch.setattr(ck._core, "set_conv2d_algorithm", force, raising=False)
    monkeypatch.setattr(ck._core, "conv2d_algorithm", chosen, raising=False)
    monkeypatch.setattr(ck._core, "conv2d_algorithms", applicable, raising=False)
    return asked


def test_all_algorithms(capsys, algorithms):
    result = as_json(capsys, *SMALL, "--algo", "all")
    rows = [(row["direction"], row["forced"], row["algorithm"], row["chosen"]) for row in result["rows"]]
    assert rows == [
        ("forward", "direct", "direct", True), ("forward", "winograd", "winograd", False),
        ("data", "direct", "direct", True), ("data", "winograd", "winograd", False),
        ("weights", "auto", "direct", None), ("nt", "auto", "", None),
    ]  # fmt: skip
    costs = [row["choice_cost"] for row in result["rows"] if row["chosen"]]
    assert len(costs) == 2 and min(costs) >= 1
    assert any("of 2 rows with a choice" in remark for remark in result["remarks"])
    assert algorithms[-1] == "auto"


def test_one_algorithm(capsys, algorithms):
    rows = as_json(capsys, *SMALL, "--algo", "winograd")["rows"]
    assert [row["algorithm"] for row in rows] == ["winograd", "winograd", "direct", ""]
    assert {row["forced"] for row in rows} == {"winograd"} and algorithms[-1] == "auto"


def test_weights_are_packed_in_every_call_but_for_inference(capsys, monkeypatch):
    shape = ("--shape", "n4c5h9o7k3p1", *SMALL)
    rows = as_json(capsys, *shape)["rows"]
    assert [row["weights"] for row in rows] == ["fresh", "fresh", "", "kept", "fresh", "", "fresh"]
    drop, dropped = ck._core.drop_packed_weights, []
    monkeypatch.setattr(ck._core, "drop_packed_weights", lambda: dropped.append(drop()))
    rows = as_json(capsys, *shape, "--weights", "kept")["rows"]
    assert [row["weights"] for row in rows] == ["kept", "kept", "", "kept", "kept", "", "kept"] and not dropped
    as_json(capsys, *shape, "--weights", "fresh")
    assert len(dropped) >= 5 * 3


# Drawing and progress


def test_plot(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from matplotlib.image import imread

    for extra in ((), ("--against", "reference")):
        status, _, err = bench(capsys, *SMALL, *extra, "--plot", tmp_path / "rows.png")
        assert status == 0 and err.endswith(f"plot: {tmp_path / 'rows.png'}\n")
        picture = imread(tmp_path / "rows.png")
        assert picture.shape[1] == 800 and picture[..., :3].std() > 0.05


def test_plot_needs_matplotlib_before_anything_is_measured(capsys, monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(command, "_bench", lambda arguments: pytest.fail("measured"))
    status, _, err = bench(capsys, *SMALL, "--plot", "x.png")
    assert status == 2 and "pip install matplotlib" in err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("bar", ["plain", "tqdm"])
def test_progress_on_a_terminal(monkeypatch, bar):
    if bar == "plain":
        monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    else:
        pytest.importorskip("tqdm", reason="tqdm is not installed")
    stream = Terminal()
    with progress.Progress(2, stream) as shown:
        shown.next("first forward")
        shown.done()
        shown.next("second forward")
        shown.done()
    text = stream.getvalue()
    assert "1/2" in text and ("second forward" in text)


def test_progress_is_silent_elsewhere():
    stream = io.StringIO()
    with progress.Progress(1, stream) as shown:
        shown.next("row")
        shown.done()
    assert stream.getvalue() == ""


def test_ctrl_c_reports_what_was_measured(capsys, monkeypatch):
    real = run.Bench.rows

    def rows(self, todo):
        if todo[0][2] == "data":
            raise KeyboardInterrupt
        return real(self, todo)

    monkeypatch.setattr(run.Bench, "rows", rows)
    status, out, err = bench(capsys, *SMALL)
    assert status == 130 and "forward" in out and "gemm" not in out and "interrupted" in err


# Arguments


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["resnet"], "must be one of quick, lenet"),
        (["--preset", "none"], "must be one of quick, lenet"),
        (["--shape", "n1c2"], "conv needs h, o, k"),
        (["--shape", "pool:n1"], "the kind must be one of conv"),
        (["--threads", "1,0"], "must be a whole number >= 1, received '0'"),
        (["--batch", "none"], "must be a whole number >= 1"),
        (["--device", "tpu"], "must be cpu, cuda or cuda:N"),
        (["--dtype", "int8"], "invalid choice: 'int8'"),
        (["--isa", "vax"], "invalid choice: 'vax'"),
        (["--format", "xml"], "invalid choice: 'xml'"),
        (["--against", "keras"], "--against must be one of torch, onnxruntime, numpy, reference or a FILE.json"),
        (["--against", "missing.json"], "missing.json"),
        (["--rounds", "0"], "must be a whole number >= 1"),
        (["compare", "one.json"], "the following arguments are required: NEW"),
        (["compare", "one.json", "two.json"], "one.json"),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(capsys, arguments, text):
    status, _, err = bench(capsys, *arguments)
    assert status == 2 and err.count("\n") == 1 and text in err and err.startswith("convkit bench"), err


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_measured(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "Bench", lambda *arguments: pytest.fail("measured"))
    for option in ("--out", "--plot"):
        status, _, err = bench(capsys, *SMALL, option, tmp_path)
        assert status == 2 and f"{tmp_path} cannot be written" in err


def test_a_file_that_is_no_result(capsys, tmp_path):
    for content in ("{}", "text", "[1]", '{"rows": [{}], "machine": {}}'):
        (tmp_path / "x.json").write_text(content)
        status, _, err = bench(capsys, "--against", tmp_path / "x.json", *SMALL)
        assert status == 2 and "is no result of convkit bench --format json" in err
