"""The problem strings and files that tests and benchmarks share."""

import pytest

from convkit.bench.shapes import Conv2d, Gemm, Pool2d, names, parse, read


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


@pytest.mark.parametrize(
    "text", ["n1c2", "conv:n1c2h3o4", "conv:n1n2", "gemm:m1n2k3ceil", "conv:n1c2h3o4k3q1", "pool:"]
)
def test_bad_strings_are_value_errors_that_show_them(text):
    with pytest.raises(ValueError, match=r"\[shapes\] .* Received: .*" + text):
        parse(text)


@pytest.mark.parametrize("name", names())
def test_every_file_reads(name):
    assert len(read(name)) >= 5


def test_the_files_cover_every_kind():
    problems = [problem for name in names() for problem in read(name).values()]
    assert {type(problem) for problem in problems} == {Conv2d, Pool2d, Gemm}
    assert {"small", "lenet", "resnet18", "mobilenet_v2"} <= set(names())
