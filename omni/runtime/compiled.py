"""The streaming encoder's step and greedy search as one call of C each: csrc/encoder.h and csrc/greedy.h by ctypes."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, List, Sequence

import numpy as np

from .encoder import CONVOLUTIONS, KERNEL, Encoder
from .kernels import Matrix
from .layers import LayerNorm
from .library import address, library

ACTIVATIONS = {"relu": 0, "gelu": 1, "silu": 2}  # OMNI_RELU and so on
_INT, _FLOAT, _POINTER = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p


class _Linear(ctypes.Structure):  # omni_linear
    _fields_ = [("sparse", _POINTER), ("dense", _POINTER)]


class _Norm(ctypes.Structure):  # omni_norm
    _fields_ = [("weight", _POINTER), ("bias", _POINTER)]


class _Layer(ctypes.Structure):  # omni_layer
    _fields_ = [(name, _Norm) for name in ("input", "feed_forward", "output")]
    _fields_ += [(name, _Linear) for name in ("key_value", "query", "out", "up", "down")]


class _Encoder(ctypes.Structure):  # omni_encoder
    _fields_ = [(name, _INT) for name in (
        "stack", "features", "projected", "dim", "heads", "hidden", "layers", "convolutions", "kernel", "segment",
        "right", "left", "activation")]
    _fields_ += [("mean", _FLOAT), ("deviation", _FLOAT), ("projection", _Linear), ("stacked", _Linear),
                 ("convs", _POINTER), ("norm", _Norm), ("positions", _POINTER), ("layer", _POINTER)]


class _Joiner(ctypes.Structure):  # omni_joiner
    _fields_ = [(name, _INT) for name in ("vocabulary", "dim", "joint", "blank", "type")]
    _fields_ += [("embedding", _POINTER), ("embedding_scale", _POINTER), ("convolution", _POINTER)]
    _fields_ += [("decoder", _Linear), ("output", _Linear)]


def _typed() -> Any:
    """The library with the argument types of these functions."""
    found = library()
    if not hasattr(found, "_omni_typed"):
        found.omni_encoder_state.restype = found.omni_encoder_work.restype = ctypes.c_size_t
        found.omni_joiner_work.restype = ctypes.c_size_t
        found.omni_encoder_state.argtypes = [_POINTER]
        found.omni_encoder_work.argtypes = found.omni_joiner_work.argtypes = [_POINTER, _INT]
        found.omni_encoder_step.argtypes = [_POINTER, _INT] + [_POINTER] * 6
        found.omni_predict.argtypes = [_POINTER, _INT] + [_POINTER] * 3
        found.omni_greedy.argtypes = [_POINTER, _INT, _INT, _POINTER, _POINTER, _FLOAT] + [_POINTER] * 4
        found._omni_typed = True
    return found


def _linear(matrix: Matrix) -> _Linear:
    place = ctypes.addressof(matrix.struct)
    return _Linear(None, place) if matrix.is_dense else _Linear(place, None)


def _norm(norm: LayerNorm) -> _Norm:
    return _Norm(address(norm.weight), address(norm.bias))


class Workspace:
    """The arrays of a step over `batch` streams; `features` and `out` as those of encoder.Workspace.

    Args:
        larger: one whose memory this one shares; None: its own.
    """

    def __init__(self, encoder: "CompiledEncoder", batch: int, larger: "Workspace | None" = None) -> None:
        settings = encoder.settings
        if larger is None:
            self.features = np.zeros((batch, settings.chunk_length * settings.stack, settings.bins), np.float32)
            self.out = np.zeros((batch, settings.segment_length, settings.encoder_dim), np.float32)
            self.lengths, self.past = np.zeros(batch, np.int32), np.zeros(batch, np.int64)
            self.states = (_POINTER * batch)()
            self.work = np.zeros(encoder.library.omni_encoder_work(encoder.pointer, batch), np.float32)
        else:
            for name in ("features", "out", "lengths", "past"):
                setattr(self, name, getattr(larger, name)[:batch])
            self.states, self.work = larger.states, larger.work
        self.batch = batch
        self.arguments = [encoder.pointer, batch, *map(address, (self.features, self.lengths, self.past)),
                          ctypes.addressof(self.states), address(self.out), address(self.work)]


class State:
    """What one stream keeps from chunk to chunk.

    Attributes:
        floats: last inputs of the convolutions, then keys and values of the left context, as csrc/encoder.c has them.
        past: frames of the chunks before.
    """

    __slots__ = ("floats", "place", "past")

    def __init__(self, floats: int) -> None:
        self.floats = np.zeros(max(floats, 1), np.float32)
        self.place, self.past = address(self.floats), 0


class CompiledEncoder(Encoder):
    """Encoder, whose step is one call of C. Wants the compiled library, whichever instruction set it then uses."""

    def __init__(self, settings: Any, weights: Any) -> None:
        super().__init__(settings, weights)
        self.library = _typed()
        layers = (_Layer * settings.num_layers)(*[
            _Layer(_norm(layer.norm_input), _norm(layer.norm_ff), _norm(layer.norm_output), _linear(layer.key_value),
                   _linear(layer.query), _linear(layer.out), _linear(layer.ff_in), _linear(layer.ff_out))
            for layer in self._layers])
        convs = (_Linear * CONVOLUTIONS)(*map(_linear, self._convs))
        self._struct = _Encoder(
            settings.stack, settings.bins, settings.projection_dim, settings.encoder_dim, settings.num_heads,
            settings.ffn_dim, settings.num_layers, CONVOLUTIONS, KERNEL, settings.segment_length,
            settings.right_context_length, settings.left_context_length, ACTIVATIONS[settings.activation],
            settings.mean, settings.std, _linear(self._projection), _linear(self._stacked), ctypes.addressof(convs),
            _norm(self._norm), address(self._positions), ctypes.addressof(layers))
        self._held = (layers, convs)
        self.pointer = ctypes.addressof(self._struct)
        self._spaces: Dict[int, Workspace] = {}

    def state(self) -> State:
        return State(self.library.omni_encoder_state(self.pointer))

    def workspace(self, batch: int) -> Workspace:
        if batch not in self._spaces:
            largest = max(self._spaces.values(), key=lambda space: space.batch, default=None)
            if largest is None or batch > largest.batch:
                largest = None
                self._spaces.clear()
            self._spaces[batch] = Workspace(self, batch, largest)
        return self._spaces[batch]

    def step(self, work: Workspace, lengths: Sequence[int], states: List[State]) -> np.ndarray:
        for index, (length, state) in enumerate(zip(lengths, states)):
            work.lengths[index], work.past[index], work.states[index] = length, state.past, state.place
        self.library.omni_encoder_step(*work.arguments)
        for state in states:
            state.past += self.settings.segment_length
        return work.out


class CompiledGreedy:
    """Greedy search over projected frames, for batches of streams; what search/greedy.py calls where it can.

    Args:
        predictor, joiner: of the model.
    """

    def __init__(self, predictor: Any, joiner: Any) -> None:
        self._library, self._held = _typed(), (predictor, joiner)
        embedding, scale, convolution = predictor.arrays()
        self.joint = joiner.decoder_proj.shape[0]
        self._struct = _Joiner(
            *embedding.shape, self.joint, predictor.blank, int(embedding.dtype == np.int8), address(embedding),
            address(scale), address(convolution), _linear(joiner.decoder_proj), _linear(joiner.output))
        self._arrays = (embedding, scale, convolution)
        self._pointer = ctypes.addressof(self._struct)
        self._spaces: Dict[tuple, list] = {}

    def start(self, context: np.ndarray) -> np.ndarray:
        """Context (2,) int32 -> history (joint,)."""
        history = np.zeros(self.joint, np.float32)
        work = np.zeros(self._library.omni_joiner_work(self._pointer, 1), np.float32)
        self._library.omni_predict(self._pointer, 1, address(context), address(history), address(work))
        return history

    def advance(
        self, frames: np.ndarray, counts: Sequence[int], penalty: float, contexts: np.ndarray, histories: np.ndarray
    ) -> np.ndarray:
        """
        Args:
            frames: (B, T, joint) float32, contiguous; counts: frames of each stream that are there.
            penalty: taken off blank's logit.
            contexts, histories: (B, 2) int32 and (B, joint) float32, moved on.

        Returns:
            (B, T) int32 symbols, blank where none is emitted; written over by the next call.
        """
        streams, length, _ = frames.shape
        if (streams, length) not in self._spaces:
            floats = self._library.omni_joiner_work(self._pointer, streams)
            self._spaces[streams, length] = [
                np.zeros(streams, np.int32), np.zeros((streams, length), np.int32), np.zeros(floats, np.float32)]
        there, symbols, work = self._spaces[streams, length]
        there[:] = counts
        self._library.omni_greedy(self._pointer, streams, length, address(frames), address(there), penalty,
                             address(contexts), address(histories), address(symbols), address(work))
        return symbols
