"""How the library is built, found and chosen, in processes of their own."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from omni.runtime import available, build

pytestmark = pytest.mark.one_stack

ROOT = Path(__file__).resolve().parents[3]
OTHER = "avx2" if platform.machine() == "aarch64" else "neon"  # what this machine cannot have
USE = """
import numpy, sys
from omni.runtime import Matrix, isa
for _ in range(2):
    y = Matrix.dense(numpy.ones((2, 3), numpy.int8)).apply(numpy.ones((1, 3), numpy.float32))
assert y.tolist() == [[3, 3]] and "torch" not in sys.modules
print(isa())
"""


def python(*args: str, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if name not in ("OMNI_ISA", "CC", "PYTHONPATH")}
    return subprocess.run([sys.executable, *args], env={**clean, **environment}, cwd=root, text=True,
                          capture_output=True, check=False)


@pytest.fixture
def copy(tmp_path):
    """A copy of the package without its library."""
    (tmp_path / "omni").mkdir()
    shutil.copy(ROOT / "omni" / "__init__.py", tmp_path / "omni")
    shutil.copytree(ROOT / "omni" / "runtime", tmp_path / "omni" / "runtime",
                    ignore=shutil.ignore_patterns("_kernels-*", "__pycache__"))
    return tmp_path


def compiler_that(folder: Path, line: str) -> str:
    """A compiler that does `line` in a shell; $out is what it should write."""
    script = folder / "compiler"
    script.write_text(f'#!/bin/sh\nfor one; do [ "$last" = -o ] && out=$one; last=$one; done\n{line}\n')
    script.chmod(0o755)
    return str(script)


def test_without_the_library_numpy_is_used_and_one_line_says_so(copy):
    ran = python("-c", USE, root=copy)
    assert ran.returncode == 0 and ran.stdout == "numpy\n"
    assert ran.stderr.count("RuntimeWarning") == 1 and "`python -m omni.runtime.build` compiles them" in ran.stderr


def test_numpy_can_be_asked_for_without_a_word(copy):
    ran = python("-c", USE, root=copy, OMNI_ISA="numpy")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "numpy\n", "")


def test_an_instruction_set_of_no_library_is_refused(copy):
    ran = python("-c", USE, root=copy, OMNI_ISA="portable")
    assert ran.stderr.splitlines()[-1] == ("ValueError: OMNI_ISA=portable: the compiled kernels are not there; "
                                           "`python -m omni.runtime.build` compiles them")


def test_the_environment_chooses_the_instruction_set(compiled):
    for isa in available():
        ran = python("-c", USE, OMNI_ISA=isa)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{isa}\n", "")
    ran = python("-c", USE, OMNI_ISA=OTHER)
    has = ", ".join(available()[:-1])
    assert ran.stderr.splitlines()[-1] == f"ValueError: OMNI_ISA={OTHER}: this machine has {has} and numpy"


def test_building_twice_compiles_once(compiled):
    ran = python("-m", "omni.runtime.build", CC="/nowhere/cc")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{compiled}\n", "")


@pytest.mark.parametrize("environment, said", [({"CC": "/nowhere/cc"}, "(CC=/nowhere/cc)"),
                                               ({"PATH": "/nowhere"}, "(cc, gcc, clang)")])
def test_without_a_compiler_one_line_and_an_exit_code(copy, environment, said):
    ran = python("-m", "omni.runtime.build", root=copy, **environment)
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr == f"error: no C compiler found {said}: install one, or numpy is used, which is slower\n"


def test_a_compiler_that_fails_leaves_nothing_behind(copy):
    ran = python("-m", "omni.runtime.build", root=copy,
                 CC=compiler_that(copy, 'echo half > "$out"; echo "x.c:1: error: no" >&2; exit 3'))
    assert ran.returncode == 2 and "failed (exit code 3): x.c:1: error: no\n" in ran.stderr
    assert not list((copy / "omni" / "runtime").glob("_kernels-*"))


def test_a_library_of_other_sources_is_not_loaded_but_replaced(copy):
    compiler = compiler_that(copy, 'echo library > "$out"')
    first = Path(python("-m", "omni.runtime.build", root=copy, CC=compiler).stdout.strip())
    assert first.read_text() == "library\n"
    assert "the compiled kernels cannot be loaded" in python("-c", USE, root=copy).stderr
    with open(copy / "omni" / "runtime" / "csrc" / "tiles.h", "a") as file:
        file.write("/* another */\n")
    assert "the compiled kernels are not there" in python("-c", USE, root=copy).stderr
    second = Path(python("-m", "omni.runtime.build", root=copy, CC=compiler).stdout.strip())
    assert second.exists() and second != first and not first.exists()


def test_every_flag_that_changes_numbers_is_absent():
    assert not any("fast-math" in flag or "march" in flag for flag in build.FLAGS)
