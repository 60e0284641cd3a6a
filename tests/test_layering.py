"""Who may include what: python -> bindings -> ops -> {cpu | cuda} -> cpu/isa -> core, never up or sideways."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CSRC = ROOT / "csrc"
SOURCES = sorted(p.relative_to(CSRC).as_posix() for p in CSRC.rglob("*") if p.suffix in {".h", ".cpp", ".cu", ".def"})
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)

# Folder -> the folders it may include besides itself. cpu/isa sees of cpu only the sheet of kernels it fills.
ALLOWED = {
    "core": set(),
    "cpu/isa": {"core", "cpu/kernels.h"},
    "cpu/reference": {"core"},
    "cpu": {"core", "cpu/reference"},
    "cuda": {"core"},
    "ops": {"core", "cpu", "cpu/reference", "cuda"},
    "bindings": {"core", "cpu", "cuda", "ops"},
}
LINES = 440  # "about 400"


def text(name):
    return (CSRC / name).read_text()


def code(name):
    """The text without comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text(name), flags=re.S)


def folder(name):
    return name.rpartition("/")[0]


def includes(name):
    """-> (ours, the system's)"""
    found = INCLUDE.findall(text(name))
    return [ours for ours, _ in found if ours], [system for _, system in found if system]


def test_every_folder_has_a_layer():
    assert SOURCES
    assert {folder(name) for name in SOURCES} <= set(ALLOWED)


@pytest.mark.parametrize("layer", ALLOWED)
def test_includes_go_down(layer):
    wrong = []
    for name in SOURCES:
        if folder(name) != layer:
            continue
        for ours in includes(name)[0]:
            if not ({folder(ours), ours} & ({layer} | ALLOWED[layer])):
                wrong.append(f"{name} includes {ours}")
    assert wrong == []


def test_includes_are_written_from_csrc():
    """`#include "core/check.h"`, whoever includes it; system headers are in angle brackets."""
    missing = [(name, ours) for name in SOURCES for ours in includes(name)[0] if not (CSRC / ours).is_file()]
    assert missing == []


@pytest.mark.parametrize(
    "what, pattern, home",
    [
        ("pybind11 and Python", r"pybind11|\bPy[A-Z_]\w+|Python\.h", r"bindings/.*"),
        ("the CUDA toolkit", r"#\s*include\s*<(?:cuda|cublas|cudnn)|\bcuda[A-Z]\w+|__global__", r"cuda/.*"),
        ("intrinsics", r"\b_mm\d*_|\b__m\d+|mmintrin|arm_neon|_ia32_|\bv\w+q_[fsu]\d+\b", r"cpu/isa/vec_\w+\.h"),
        ("OpenMP and threads", r"#\s*pragma\s+omp|\bomp_\w+|std::(?:j?thread|async)\b|pthread_", r"core/parallel\.cpp"),
    ],
)  # fmt: skip
def test_has_one_home(what, pattern, home):
    users = [name for name in SOURCES if re.search(pattern, code(name))]
    assert users, f"nobody uses {what}: the pattern is wrong"
    assert [name for name in users if not re.fullmatch(home, name)] == []


def test_isa_units_use_no_library():
    """A template of the standard library compiled for AVX-512 could serve the whole program."""
    plain = {"cstddef", "cstdint", "cstring", "utility", "immintrin.h", "emmintrin.h", "arm_neon.h"}
    types = r"std::(?:make_)?(?:integer|index)_sequence"  # no code comes of these
    for name in SOURCES:
        if folder(name) == "cpu/isa":
            assert set(includes(name)[1]) <= plain, name
            assert "std::" not in re.sub(types, "", code(name)), name


def test_kernels_and_references_do_not_write_to_the_terminal():
    for name in SOURCES:
        if folder(name) in ("core", "cpu", "cpu/isa", "cpu/reference", "ops"):
            assert not re.search(r"\bprintf|std::c(?:out|err)|\babort\(|\bexit\(|\bassert\(", code(name)), name


def test_files_are_short_enough_to_read():
    files = [p for d in ("csrc", "python", "tests", "cmake") for p in (ROOT / d).rglob("*")]
    kinds = {".h", ".cpp", ".cu", ".def", ".py", ".cmake"}
    lengths = {p.relative_to(ROOT).as_posix(): p.read_text().count("\n") for p in files if p.suffix in kinds}
    assert {name: lines for name, lines in lengths.items() if lines > LINES} == {}
