"""Compiles the kernels into this package's folder: `python -m omni.runtime.build`. Needs a C compiler, nothing else.

The library's name carries a hash of its sources and flags, so that one of other sources is never loaded.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# No -ffast-math: NaN and infinity must behave. No -Werror: that is for the tests, a later compiler may warn of more.
FLAGS = ["-std=c11", "-O3", "-fno-trapping-math", "-ffp-contract=fast", "-fopenmp-simd", "-falign-loops=32", "-fPIC",
         "-shared"]


def sources() -> list[Path]:
    """The C files, headers among them, in the order of their names."""
    return sorted(path for path in (HERE / "csrc").iterdir() if path.suffix in (".c", ".h"))


def library() -> Path:
    """Where the library of these sources is, once it is built."""
    digest = hashlib.sha256(" ".join([platform.machine(), *FLAGS]).encode())
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return HERE / f"_kernels-{digest.hexdigest()[:16]}.so"


def compiler() -> list[str] | None:
    """The command of the C compiler: $CC, or else the first of cc, gcc and clang on PATH; None if there is none."""
    asked = shlex.split(os.environ.get("CC", ""))
    return next((command for command in ([asked] if asked else [["cc"], ["gcc"], ["clang"]])
                 if shutil.which(command[0])), None)


def compile_library(folder: Path | None = None) -> Path:
    """Compiles the library unless it is there.

    Args:
        folder: where to, this package's folder if None. Libraries of other sources that lie there are removed.

    Returns:
        The library's path.

    Raises:
        RuntimeError: no compiler, or it failed; one line (the compiler's own first complaint).
    """
    target = (folder or HERE) / library().name
    if target.exists():
        return target
    command = compiler()
    if command is None:
        looked = f"CC={os.environ['CC']}" if os.environ.get("CC") else "cc, gcc, clang"
        raise RuntimeError(f"no C compiler found ({looked}): install one, or numpy is used, which is slower")
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    files = [str(path) for path in sources() if path.suffix == ".c"]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = [*command, *FLAGS, "-o", str(part), *files, "-lm"]
        ran = subprocess.run(whole, capture_output=True, text=True, check=False)
        if ran.returncode:
            lines = [line for line in ran.stderr.splitlines() if "error" in line] or ran.stderr.splitlines() or ["?"]
            raise RuntimeError(f"{' '.join(command)} failed (exit code {ran.returncode}): {lines[0].strip()}")
        os.replace(part, target)
    except OSError as error:
        raise RuntimeError(f"cannot build {target}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    for old in target.parent.glob("_kernels-*.so"):
        if old != target:
            old.unlink(missing_ok=True)
    return target


def main() -> None:
    try:
        print(compile_library())
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
