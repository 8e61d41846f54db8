"""torchaudio's Emformer (Shi et al. 2021), without the rest of torchaudio, and with its attention mask kept."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from torch import Tensor


def emformer_module() -> ModuleType:
    """torchaudio/models/emformer.py alone, which is plain PyTorch.

    `import torchaudio` loads compiled code for one build of torch: the wheel on PyPI is for CUDA, and fails beside a
    torch for the CPU. No version of torch needs another Emformer: the file is the same in torchaudio 0.13 and 2.11.

    Raises:
        ImportError: torchaudio is not installed, or has no such file.
    """
    name = f"{__package__}._torchaudio_emformer"
    if name not in sys.modules:
        package = importlib.util.find_spec("torchaudio")  # finds, without importing
        if package is None or package.origin is None:
            raise ImportError("torchaudio is not installed (tools/setup_env.sh installs it)")
        path = Path(package.origin).parent / "models" / "emformer.py"
        if not path.is_file():
            raise ImportError(f"{path}: not there; want a torchaudio that has the Emformer, such as 0.13 or 2.11")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


class Emformer(emformer_module().Emformer):
    """The attention mask, which is made segment by segment, is kept for each length that comes by."""

    def _gen_attention_mask(self, input: Tensor) -> Tensor:
        """(T, B, D) -> the bool mask of T frames and their right contexts."""
        key = (input.size(0), input.device)
        if not hasattr(self, "_masks"):
            self._masks = {}
        if key not in self._masks:
            if len(self._masks) >= 256:
                self._masks.clear()
            self._masks[key] = super()._gen_attention_mask(input)
        return self._masks[key]
