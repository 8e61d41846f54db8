"""The streaming encoder: one `step` takes a chunk of each of several streams, all rows in one product a matrix.

What is computed is `infer` of the recipe's StreamingEncoder: front end, position on a circle, torchaudio's Emformer
(Shi et al. 2021) without memory.
"""

from __future__ import annotations

from typing import Dict, List, Sequence

import numpy as np

from .layers import ACTIVATIONS, Weights, silu, softmax
from .settings import Settings

KERNEL = 3  # frames that a convolution of the front end sees: its own and those before
CONVOLUTIONS = 2


class State:
    """What one stream keeps from chunk to chunk; its size does not depend on how long the stream is.

    Attributes:
        convs: (CONVOLUTIONS, KERNEL - 1, D), the last inputs of each convolution.
        context: (layers, left context, 2 D), key and value of each frame of the left context, the oldest first.
        past: how many frames of the left context are there, from its end.
        position: number of the next frame on its circle.
    """

    __slots__ = ("convs", "context", "past", "position")

    def __init__(self, settings: Settings) -> None:
        self.convs = np.zeros((CONVOLUTIONS, KERNEL - 1, settings.encoder_dim), np.float32)
        self.context = np.zeros(
            (settings.num_layers, settings.left_context_length, 2 * settings.encoder_dim), np.float32)
        self.past = self.position = 0


class _Layer:
    def __init__(self, weights: Weights, name: str, settings: Settings) -> None:
        dim = settings.encoder_dim
        self.norm_input = weights.norm(f"{name}.layer_norm_input", dim)
        self.norm_output = weights.norm(f"{name}.layer_norm_output", dim)
        self.norm_ff = weights.norm(f"{name}.pos_ff.0", dim)
        self.query = weights.linear(f"{name}.attention.emb_to_query", dim, dim)
        self.key_value = weights.linear(f"{name}.attention.emb_to_key_value", 2 * dim, dim)
        self.out = weights.linear(f"{name}.attention.out_proj", dim, dim)
        self.ff_in = weights.linear(f"{name}.pos_ff.1", settings.ffn_dim, dim)
        self.ff_out = weights.linear(f"{name}.pos_ff.4", dim, settings.ffn_dim)


class Workspace:
    """The arrays of a step over `batch` streams, slices of one flat array.

    Attributes (C frames in a chunk, M = batch * C rows):
        features: (batch, C * stack, bins), what a step reads.
        out: (batch, segment, D), what it writes.
    """

    def __init__(self, settings: Settings, batch: int, flat: np.ndarray | None = None) -> None:
        dim, heads, layers = settings.encoder_dim, settings.num_heads, settings.num_layers
        chunk, stack = settings.chunk_length, settings.stack
        seen, rows = settings.left_context_length + chunk, batch * chunk
        shapes = {
            "features": (batch, chunk * stack, settings.bins), "projected": (rows * stack, settings.projection_dim),
            "x": (rows, dim), "y": (rows, dim), "work": (rows, dim), "one": (rows, 1),
            "whole": (batch, CONVOLUTIONS, KERNEL - 1 + chunk, dim), "window": (rows, KERNEL * dim),
            "query": (rows, dim), "key_value": (rows, 2 * dim), "context": (batch, layers, seen, 2 * dim),
            "scores": (batch, heads, chunk, seen), "peak": (batch, heads, chunk, 1), "mask": (batch, 1, 1, seen),
            "hidden": (rows, settings.ffn_dim), "hidden_work": (rows, settings.ffn_dim),
            "out": (batch, settings.segment_length, dim),
        }
        self.flat = np.zeros(sum(map(np.prod, shapes.values())), np.float32) if flat is None else flat
        self.batch = batch
        start = 0
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            setattr(self, name, self.flat[start : start + size].reshape(shape))
            start += size
        # Views, made once: what belongs to one stream, one head, one layer.
        self.frames = self.features.reshape(-1, settings.bins)
        self.stacked = self.projected.reshape(rows, -1)
        self.x_of = self.x.reshape(batch, chunk, dim)
        self.windows = [
            np.lib.stride_tricks.as_strided(
                self.whole[:, index], (batch, chunk, KERNEL * dim), (self.whole.strides[0], 4 * dim, 4))
            for index in range(CONVOLUTIONS)
        ]
        self.window_of = self.window.reshape(batch, chunk, KERNEL * dim)
        by_head = (batch, -1, heads, dim // heads)
        self.query_heads = self.query.reshape(by_head).transpose(0, 2, 1, 3)
        self.y_heads = self.y.reshape(by_head).transpose(0, 2, 1, 3)
        split = self.context.reshape(batch, layers, seen, 2, heads, dim // heads)
        self.keys = [split[:, layer, :, 0].transpose(0, 2, 3, 1) for layer in range(layers)]
        self.values = [split[:, layer, :, 1].transpose(0, 2, 1, 3) for layer in range(layers)]
        self.new_context = [self.context[:, layer, -chunk:] for layer in range(layers)]
        self.key_value_of = self.key_value.reshape(batch, chunk, 2 * dim)


class Encoder:
    """
    Attributes:
        settings: of the model.
    """

    def __init__(self, settings: Settings, weights: Weights) -> None:
        dim, projected = settings.encoder_dim, settings.projection_dim
        self.settings = settings
        self._projection = weights.linear("encoder.frontend.projection", projected, settings.bins)
        self._stacked = weights.linear("encoder.frontend.stacked", dim, projected * settings.stack)
        self._convs = [weights.linear(f"encoder.frontend.convs.{index}", dim, dim * KERNEL)
                       for index in range(CONVOLUTIONS)]
        self._norm = weights.norm("encoder.frontend.norm", dim)
        self._positions = _positions(settings, weights)
        self._layers = [_Layer(weights, f"encoder.emformer.emformer_layers.{index}", settings)
                        for index in range(settings.num_layers)]
        self._activation = ACTIVATIONS[settings.activation]
        self._scaling = np.float32((dim // settings.num_heads) ** -0.5)
        self._flat: np.ndarray | None = None
        self._workspaces: Dict[int, Workspace] = {}

    def state(self) -> State:
        """Of a new stream."""
        return State(self.settings)

    def workspace(self, batch: int) -> Workspace:
        """The arrays of a step over `batch` streams. All sizes share the memory of the largest so far."""
        if batch not in self._workspaces:
            fits = self._flat is not None and batch <= max(self._workspaces)
            made = Workspace(self.settings, batch, self._flat if fits else None)
            if not fits:
                self._flat = made.flat
                self._workspaces.clear()
            self._workspaces[batch] = made
        return self._workspaces[batch]

    def step(self, work: Workspace, lengths: Sequence[int], states: List[State]) -> np.ndarray:
        """Encodes a chunk of each stream.

        Args:
            work: `workspace(len(states))` whose `features` hold the chunks, any finite numbers behind their ends.
            lengths: encoder frames of each chunk that are there; fewer than a whole chunk at the end of a stream only.
            states: of the streams, changed.

        Returns:
            (batch, segment, D), written over by the next step; the first min(length, segment) frames of each count.
        """
        with np.errstate(over="ignore", under="ignore"):
            self._load(work, states)
            self._frontend(work, lengths, states)
            masked = any(state.past < self.settings.left_context_length for state in states)
            for index, layer in enumerate(self._layers):
                self._attend(work, layer, index, masked)
                self._feed_forward(work, layer)
        self._store(work, states)
        np.copyto(work.out, work.x_of[:, : self.settings.segment_length])
        return work.out

    def _load(self, work: Workspace, states: List[State]) -> None:
        left = self.settings.left_context_length
        for index, state in enumerate(states):
            work.whole[index, :, : KERNEL - 1] = state.convs
            work.context[index, :, :left] = state.context
            mask = work.mask[index, 0, 0]
            mask[: left - state.past] = -np.inf
            mask[left - state.past :] = 0

    def _store(self, work: Workspace, states: List[State]) -> None:
        segment, left = self.settings.segment_length, self.settings.left_context_length
        for index, state in enumerate(states):
            state.convs[...] = work.whole[index, :, segment : segment + KERNEL - 1]
            state.context[...] = work.context[index, :, segment : segment + left]
            state.past = min(left, state.past + segment)
            state.position = (state.position + segment) % self.settings.period

    def _frontend(self, work: Workspace, lengths: Sequence[int], states: List[State]) -> None:
        chunk = self.settings.chunk_length
        work.frames -= self.settings.mean
        work.frames /= self.settings.std
        self._projection.apply(work.frames, work.projected)
        self._stacked.apply(work.stacked, work.x)
        silu(work.x, work.work)
        for index, conv in enumerate(self._convs):
            work.whole[:, index, KERNEL - 1 :] = work.x_of
            np.copyto(work.window_of, work.windows[index])
            conv.apply(work.window, work.y)
            silu(work.y, work.work)
            work.x += work.y
        self._norm.apply(work.x, work.x, work.work, work.one)
        for x, length, state in zip(work.x_of, lengths, states):
            x += self._positions[state.position : state.position + chunk]
            x[length:] = 0  # a right context behind the end is silence, whatever stands there

    def _attend(self, work: Workspace, layer: _Layer, index: int, masked: bool) -> None:
        layer.norm_input.apply(work.x, work.y, work.work, work.one)
        layer.query.apply(work.y, work.query)
        layer.key_value.apply(work.y, work.key_value)
        np.copyto(work.new_context[index], work.key_value_of)
        work.query *= self._scaling
        np.matmul(work.query_heads, work.keys[index], out=work.scores)
        if masked:
            work.scores += work.mask
        softmax(work.scores, work.peak)
        np.matmul(work.scores, work.values[index], out=work.y_heads)
        layer.out.apply(work.y, work.work)
        work.x += work.work

    def _feed_forward(self, work: Workspace, layer: _Layer) -> None:
        layer.norm_ff.apply(work.x, work.y, work.work, work.one)
        layer.ff_in.apply(work.y, work.hidden)
        self._activation(work.hidden, work.hidden_work)
        layer.ff_out.apply(work.hidden, work.y)
        work.x += work.y
        layer.norm_output.apply(work.x, work.x, work.work, work.one)


def _positions(settings: Settings, weights: Weights) -> np.ndarray:
    """-> (period + chunk, D): what is added to the frame at each place of the circle, and of its beginning again."""
    period, harmonics = settings.period, settings.period // 2
    projection = weights.linear("encoder.position.projection", settings.encoder_dim, 2 * harmonics, bias=False)
    # In float32, as the model that was trained: the angles are large, so that their rounding is seen.
    place, harmonic = np.arange(period, dtype=np.float32), np.arange(1, harmonics + 1, dtype=np.float32)
    angle = np.float32(2 * np.pi) * place[:, None] / np.float32(period) * harmonic
    features = np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)
    return projection.apply(features)[np.arange(period + settings.chunk_length) % period]
