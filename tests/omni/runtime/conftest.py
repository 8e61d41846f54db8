"""The kernels are compiled once, and every test leaves the instruction set as it was."""

from __future__ import annotations

import platform

import pytest

from omni import runtime
from omni.runtime import build

ISAS = (*(["neon"] if platform.machine() == "aarch64" else ["avx512", "avx2"]), "portable", "numpy")


@pytest.fixture(scope="session")
def compiled():
    """The library's path; without a C compiler the test is skipped."""
    if not build.library().exists() and build.compiler() is None:
        pytest.skip("no C compiler")
    return build.compile_library()


@pytest.fixture(params=ISAS)
def isa(request, compiled):
    """Each instruction set of this machine in turn, and numpy."""
    if request.param not in runtime.available():
        pytest.skip(f"this machine has no {request.param}")
    before = runtime.isa()
    runtime.use(request.param)
    yield request.param
    runtime.use(before)


@pytest.fixture(params=["compiled", "numpy"])
def engine(request):
    """The recognizer's step and search as calls of C, and by numpy."""
    if request.param == "compiled":
        request.getfixturevalue("compiled")
    before = runtime.isa()
    runtime.use(before if request.param == "compiled" else "numpy")
    yield request.param
    runtime.use(before)
