"""The command convkit bench: what it measures, writes and returns. Figures of time are never asserted."""

import csv
import io
import json

import pytest

import convkit as ck
from benching import SMALL, as_json, bench
from convkit.bench import command, progress, run, shapes
from convkit.cli import main

pytestmark = pytest.mark.usefixtures("settings_kept")


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


def test_overhead(capsys, monkeypatch, tmp_path):
    def fake(threads):
        return [
            {"name": "relu", "forward_us": 1.25, "backward_us": 2.5},
            {"name": "step", "outside_us": 1000.0 * threads},
        ]

    monkeypatch.setattr("convkit.bench.overhead.report", fake)
    status, out, _ = bench(capsys, "--overhead", "--threads", "1,2")
    assert status == 0 and "CPU:" in out
    table = [line.split() for line in out.partition("\n\n")[2].splitlines()]
    assert table[0] == ["threads", "name", "forward_us", "backward_us", "outside_us"]
    assert table[1:3] == [["1", "relu", "1.25", "2.5", "-"], ["1", "step", "-", "-", "1e+03"]]
    status, out, _ = bench(capsys, "--overhead", "--threads", 2, "--format", "json", "--out", tmp_path / "o.json")
    assert status == 0 and out == f"2 rows: {tmp_path / 'o.json'}\n"
    assert json.loads((tmp_path / "o.json").read_text())["rows"][1] == {
        "threads": 2,
        "name": "step",
        "outside_us": 2000,
    }


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
    monkeypatch.setattr(run, "Bench", lambda *arguments: pytest.fail("measured"))
    status, _, err = bench(capsys, *SMALL, "--plot", "x.png")
    assert status == 2 and 'pip install "convkit[viz]"' in err


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
