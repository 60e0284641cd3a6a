"""What the tests of convkit bench share."""

import json

from convkit.cli import main

SMALL = ("--shape", "n1c5h9o7k3p1", "--shape", "gemm:m5n6k7nt", "--rounds", 3, "--seconds", 0.001, "--threads", 1)


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
