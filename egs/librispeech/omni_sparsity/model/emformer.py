"""torchaudio's Emformer (Shi et al. 2021), without the rest of torchaudio, and with an attention mask of its own."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch
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


def attention_mask(frames: int, segment: int, left: int, right: int, device: torch.device) -> Tensor:
    """True where a frame must not look, for rows and columns [right contexts of all segments, frames].

    A segment and its right context see each other and `left` frames before the segment.

    Args:
        frames: without right contexts; all lengths are in encoder frames.
    """
    segments = (frames + segment - 1) // segment
    of_right = torch.arange(segments, device=device).repeat_interleave(right)
    frame = torch.arange(frames, device=device)
    row = torch.cat([of_right, torch.div(frame, segment, rounding_mode="floor")])[:, None]  # segment of each row
    begin, end = row * segment - left, (row + 1) * segment
    return torch.cat([of_right[None, :] != row, (frame[None, :] < begin) | (frame[None, :] >= end)], dim=1)


@functools.lru_cache(maxsize=256)
def _kept_mask(frames: int, segment: int, left: int, right: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # what is kept here outlives an inference mode outside
        return attention_mask(frames, segment, left, right, device)


class Emformer(emformer_module().Emformer):
    """With an attention mask that is made at once, not segment by segment, and kept for each length that comes by."""

    def _gen_attention_mask(self, input: Tensor) -> Tensor:
        """(T, B, D) -> the bool mask of T frames and their right contexts."""
        if torch.jit.is_scripting():
            return attention_mask(
                input.size(0), self.segment_length, self.left_context_length, self.right_context_length, input.device)
        else:
            return self._mask_of(input)

    @torch.jit.unused
    def _mask_of(self, input: Tensor) -> Tensor:
        return _kept_mask(
            input.size(0), self.segment_length, self.left_context_length, self.right_context_length, input.device)
