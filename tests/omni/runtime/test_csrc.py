"""The same sources in other builds, each run by driver.c: under sanitizers, for aarch64, AVX-512's loops emulated."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from omni.runtime import available, build

pytestmark = pytest.mark.one_stack

HERE = Path(__file__).parent
CSRC = build.HERE / "csrc"
COMMON = ["-std=c11", "-fopenmp-simd", "-Wall", "-Wextra", "-Werror", "-DSPECIALIZED=static"]
SANITIZED = ["-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def drive(folder: Path, compiler: list[str], flags: list[str], *run: str) -> str:
    """What the driver says that was compiled with `flags`; it fails the test where that is a mistake."""
    program = folder / "driver"
    files = [path for path in build.sources() if path.suffix == ".c"]
    command = [*compiler, *COMMON, *flags, f"-I{CSRC}", "-o", program, HERE / "driver.c", *files, "-lm"]
    compiled = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr[:2000]
    ran = subprocess.run([*run, str(program)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[:2000]
    return ran.stdout


def sanitizer(folder: Path) -> list[str]:
    """The compiler, if it has the sanitizers."""
    compiler = build.compiler()
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    tried = subprocess.run([*compiler, *SANITIZED, "-o", folder / "empty", folder / "empty.c"],
                           capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"{compiler[0]} has no -fsanitize=address,undefined")
    return compiler


def test_no_access_outside_of_an_array_and_nothing_undefined(tmp_path, compiled):
    said = drive(tmp_path, sanitizer(tmp_path), SANITIZED)
    assert [line.split()[0] for line in said.splitlines()] == [
        isa for isa in ("portable", "avx2", "avx512", "neon") if isa in available()]


def test_the_loops_of_avx512_emulated(tmp_path, compiled):
    if "avx2" not in available():
        pytest.skip("the emulation needs AVX2")
    emulated = ["-DEMULATED", '-DAVX512="avx2,fma"', "-Wno-psabi", f"-I{HERE / 'emulated'}"]
    assert drive(tmp_path, sanitizer(tmp_path), [*SANITIZED, *emulated]).startswith("avx512, emulated")


def test_aarch64_under_qemu(tmp_path):
    compiler, qemu = "aarch64-linux-gnu-gcc", "qemu-aarch64"
    if platform.machine() == "aarch64":
        pytest.skip("this machine is one: the other tests run it")
    for program in (compiler, qemu):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} (apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)")
    said = drive(tmp_path, [compiler], ["-O0", "-static"], qemu)
    assert [line.split()[0] for line in said.splitlines()] == ["portable", "neon"]
