"""The transducer as three functions of flat tensors, for formats that hold a graph and no Python, such as ONNX.

`EncoderStep` computes what `StreamingEncoder.infer` computes, without branches on how far a stream is: the left context
that is not there yet is masked. Its states have the shapes of icefall's streaming Conformer
(pruned_transducer_stateless5, `get_init_state`), so that programs for that one, sherpa-onnx among them, take this one.
"""

from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor, nn

from .frontend import CONVOLUTIONS, KERNEL
from .transducer import Transducer

# A feature frame below this is behind the end of its stream: lhotse pads with -100, and Kaldi's logarithm of an energy
# is -15.9 at the least.
NOT_THERE = -50.0


class EncoderStep(nn.Module):
    """One chunk of a batch of streams, each as far as it is; the joiner's projection of the encoder's output included.

    Attributes:
        chunk: feature frames of a chunk, right context included; shift: those that do not come again.
        layers, left, width: of the caches; left is one at least, as no format likes an empty tensor.
    """

    def __init__(self, model: Transducer) -> None:
        super().__init__()
        encoder, emformer = model.encoder, model.encoder.emformer
        self.frontend, self.position = encoder.frontend, encoder.position
        self.emformer_layers, self.projection = emformer.emformer_layers, model.joiner.encoder_proj
        self.stack, self.segment = encoder.frontend.stack, encoder.segment_length
        self.chunk = (encoder.segment_length + encoder.right_context_length) * self.stack
        self.shift = encoder.segment_length * self.stack
        self.left_context = emformer.left_context_length
        self.layers, self.left = len(emformer.emformer_layers), max(self.left_context, 1)
        self.width = 2 * emformer.emformer_layers[0].input_dim  # keys beside values; the two convolutions side by side

    def states(self, batch: int) -> Tuple[Tensor, Tensor]:
        """-> the caches at the start of `batch` streams, all zeros: (layers, left, B, width) of keys and values, and
        (layers, KERNEL - 1, B, width) of the front end, of which the first layer alone is used."""
        shapes = (self.layers, self.left, batch, self.width), (self.layers, KERNEL - 1, batch, self.width)
        return torch.zeros(shapes[0]), torch.zeros(shapes[1])

    def forward(
        self, x: Tensor, attn_cache: Tensor, cnn_cache: Tensor, processed_lens: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            x: (B, chunk, 80); frames behind the end of a stream are below NOT_THERE.
            attn_cache, cnn_cache: of the chunk before, or `states`.
            processed_lens: (B,) int64, feature frames of the stream before this chunk: shift, times its number from 0.

        Returns:
            (B, segment, joiner_dim), of which the frames behind the end mean nothing; both caches for the next chunk.
        """
        inside = x[:, self.stack - 1 :: self.stack, 0] > NOT_THERE  # (B, T): all feature frames of a frame are there
        before = cnn_cache[0].transpose(0, 1).chunk(CONVOLUTIONS, dim=2)  # (B, KERNEL - 1, D) each
        x, _, after = self.frontend(x, processed_lens, before, self.segment)  # of lengths it only makes others
        cnn_cache = torch.cat([torch.cat(after, dim=2).transpose(0, 1)[None], cnn_cache[1:]])

        frame = torch.div(processed_lens, self.stack, rounding_mode="floor")[:, None]  # (B, 1): the chunk's first
        positions = (frame + torch.arange(x.size(1))) % self.position.period
        x = (x + self.position.projection(self.position.features[positions])) * inside[:, :, None]

        missing = torch.arange(self.left) < self.left - frame.clamp(max=self.left_context)  # (B, left)
        hidden = torch.cat([missing, torch.zeros_like(inside)], dim=1)[:, None, None]  # (B, 1, 1, left + T)
        x, caches = x.transpose(0, 1), []  # (T, B, D)
        for layer, cache in zip(self.emformer_layers, attn_cache.unbind(0)):
            x, cache = self._layer(layer, x, cache, hidden)
            caches.append(cache)
        return self.projection(x[: self.segment].transpose(0, 1)), torch.stack(caches), cnn_cache

    def _layer(self, layer: nn.Module, x: Tensor, cache: Tensor, hidden: Tensor) -> Tuple[Tensor, Tensor]:
        """torchaudio's `_EmformerLayer.infer` without memory: segment and right context, (T, B, D), see each other and
        what of the cache, (left, B, width), is not hidden."""
        attention, frames, rows = layer.attention, x.size(0), self.left + x.size(0)
        heads, head = attention.num_heads, attention.input_dim // attention.num_heads
        normed = layer.layer_norm_input(x)
        query = attention.emb_to_query(normed).reshape(frames, -1, head).transpose(0, 1)  # (B * heads, T, head)
        both = torch.cat([cache, attention.emb_to_key_value(normed)])
        key, value = (half.reshape(rows, -1, head).transpose(0, 1) for half in both.chunk(2, dim=2))
        scores = torch.bmm(query * attention.scaling, key.transpose(1, 2)).reshape(-1, heads, frames, rows)
        shares = scores.masked_fill(hidden, attention.negative_inf).softmax(dim=3).reshape(-1, frames, rows)
        seen = torch.bmm(shares, value).transpose(0, 1).reshape(frames, -1, attention.input_dim)
        x = attention.out_proj(seen) + x
        return layer.layer_norm_output(layer.pos_ff(x) + x), both[self.segment : self.segment + self.left]


class DecoderStep(nn.Module):
    """(B, context_size) int64 symbols, -1 before the start -> (B, joiner_dim)."""

    def __init__(self, model: Transducer) -> None:
        super().__init__()
        self.decoder, self.projection = model.decoder, model.joiner.decoder_proj

    def forward(self, y: Tensor) -> Tensor:
        return self.projection(self.decoder(y, need_pad=False)[:, 0])


class JoinerStep(nn.Module):
    """Encoder and predictor, both (B, joiner_dim), projected already -> (B, vocab_size) logits."""

    def __init__(self, model: Transducer) -> None:
        super().__init__()
        self.joiner = model.joiner

    def forward(self, encoder_out: Tensor, decoder_out: Tensor) -> Tensor:
        return self.joiner(encoder_out, decoder_out, project_input=False)
