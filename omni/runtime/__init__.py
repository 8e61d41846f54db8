"""Runs pruned models without torch: kernels in C for block-sparse and dense weights, and the same in numpy.

    python -m omni.runtime.build             # compiles the kernels, if `pip install` has not

    from omni.runtime import Matrix
    matrix = Matrix.sparse(values, columns, starts, shape=(576, 144), blocks=(8, 1), scale=scale, bias=bias)
    y = matrix.apply(x)                      # (M, 576) of x (M, 144), float32

    from omni.runtime import Recognizer      # speech to text, see docs/runtime.md
"""

from .kernels import Matrix
from .library import available, isa, use

__all__ = ["Matrix", "Recognizer", "available", "isa", "use"]


def __getattr__(name: str):
    if name != "Recognizer":
        raise AttributeError(f"module 'omni.runtime' has no attribute {name!r}")
    from .recognizer import Recognizer

    return Recognizer
