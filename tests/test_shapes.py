"""The problem strings and files that tests and benchmarks share."""

import pytest

from convkit.bench import networks
from convkit.bench.shapes import (
    DIRECTORY,
    BatchNorm,
    Conv2d,
    Gemm,
    Layer,
    Network,
    Pool2d,
    entries,
    names,
    parse,
    read,
    text,
    with_batch,
)  # fmt: skip


def test_convolution_strings():
    assert parse("conv:n1c64h56o64k3s1p1g1d1") == Conv2d(1, 64, (56, 56), 64, (3, 3), padding=1)
    assert parse("conv:n2c4h9x10o8k1x5s2x1p1,2,0,3g2") == Conv2d(
        2, 4, (9, 10), 8, (1, 5), stride=(2, 1), padding=((1, 2), (0, 3)), groups=2
    )
    assert parse("conv:n1c1h8o1k2psame").padding == "same"
    assert parse("conv:n1c1h8o1k2p1,0").padding == (1, 0)
    assert parse("convt:n1c1h8o1k3s2p1e1") == Conv2d(
        1, 1, (8, 8), 1, (3, 3), stride=(2, 2), padding=1, output_padding=(1, 1), transposed=True
    )


def test_pool_and_gemm_strings():
    assert parse("maxpool:n1c2h9k3s2p1ceil") == Pool2d("max", 1, 2, (9, 9), (3, 3), (2, 2), 1, ceil_mode=True)
    assert parse("avgpool:n1c2h9k2x3").stride == (2, 3)
    assert parse("gemm:m1n2k3tn") == Gemm(1, 2, 3, "tn")
    assert parse("gemm:m1n2k3").layout == "nn"


def test_the_other_kinds():
    assert parse("bn:n2c3h4x5addrelu") == BatchNorm(2, 3, (4, 5), ("add", "relu"))
    conv = Conv2d(1, 2, (8, 8), 3, (3, 3), padding=1)
    assert parse("layer:n1c2h8o3k3p1bnrelu") == Layer(conv, ("bn", "relu"))
    assert parse("training:n128:illustrated.lenet") == Network("training", 128, "illustrated.lenet")
    assert parse("n1c2h8o3k3p1") == conv, "a convolution needs no kind"


def test_another_batch():
    for line in ("conv:n1c2h8o3k3", "maxpool:n1c2h8k2", "bn:n1c2h8", "layer:n1c2h8o3k3relu", "inference:n1:lenet5"):
        assert text(with_batch(parse(line), 7)) == line.replace("n1", "n7")
    assert with_batch(parse("gemm:m1n2k3"), 7) == parse("gemm:m1n2k3")


@pytest.mark.parametrize(
    "text",
    [
        "n1c2",
        "conv:n1c2h3o4",
        "conv:n1n2",
        "gemm:m1n2k3ceil",
        "conv:n1c2h3o4k3q1",
        "pool:",
        "conv:n1x2c2h3o4k3",
        "gemm:m1n2k3nnnt",
        "bn:n1c2h3pool",
        "training:lenet5",
        "layer:n1c2h3o4k3relurelu",
    ],
)
def test_bad_strings_are_value_errors_that_show_them(text):
    with pytest.raises(ValueError, match=r"\[shapes\] .* Received: .*" + text):
        parse(text)


@pytest.mark.parametrize("lines", ["a conv:n1c2h3o4k3 forward,backward", "a gemm:m1n2k3nt nn", "a gemm:m1n2k3 nn x"])
def test_bad_lines_are_value_errors_that_show_them(lines, tmp_path, monkeypatch):
    (tmp_path / "bad.txt").write_text(lines)
    monkeypatch.setattr("convkit.bench.shapes.DIRECTORY", tmp_path)
    with pytest.raises(ValueError, match=f"Received: bad.txt:1: '{lines}'"):
        entries("bad")


@pytest.mark.parametrize("name", names())
def test_every_file_reads(name):
    assert len(read(name)) >= 5
    assert all(parse(text(problem)) == problem for problem in read(name).values())


@pytest.mark.parametrize("file", networks.FILES)
def test_the_files_of_the_networks_agree_with_the_models(file):
    """python -m convkit.bench.networks writes them again."""
    assert (DIRECTORY / f"{file}.txt").read_text() == networks.content(file)


def test_the_files_cover_every_kind():
    problems = [problem for name in names() for problem in read(name).values()]
    assert {type(problem) for problem in problems} == {Conv2d, Pool2d, Gemm, BatchNorm, Layer, Network}
    assert {"small", "lenet", "resnet18", "mobilenetv2"} <= set(names())
