"""Speech to text with a model in the file that ships, without torch.

    from omni.runtime.recognizer import Recognizer
    recognizer = Recognizer("sparsity-0.8.omni.safetensors")
    stream = recognizer.stream()
    stream.accept(samples, 16000)       # again and again
    recognizer.decode([stream])         # what is complete so far; any number of streams at once
    stream.finish()
    recognizer.decode([stream])
    print(stream.text, stream.timestamps)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Sequence


from ..ship.shipped import load
from .compiled import CompiledEncoder
from .encoder import Encoder
from .joiner import Joiner
from .layers import Weights
from .library import library
from .predictor import Predictor
from .search import make
from .settings import Settings, blank_penalty_of
from .stream import Stream

KIND = "emformer-transducer"


class Recognizer:
    """
    Args:
        path: <name>.omni.safetensors of kind "emformer-transducer".
        method: a search of omni/runtime/search, "greedy" or "beam".
        blank_penalty: taken off blank's logit; None: what the file says it was decoded with, or 0.
        options: of the search, such as beam=4.

    Attributes:
        settings: of the model; about: the file's header.

    Raises:
        ValueError: no such file, damaged, of another kind, or of a model that this runtime does not know.
        ImportError: the safetensors package is not installed.
    """

    def __init__(self, path: str | Path, method: str = "greedy", blank_penalty: float | None = None,
                 **options: Any) -> None:
        path = Path(path)
        shipped = load(path, KIND)
        try:
            self.settings = Settings.of(shipped.about)
            noted = blank_penalty_of(shipped.about)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        self.about = shipped.about
        weights = Weights(shipped, path)
        self.encoder = (CompiledEncoder if library() else Encoder)(self.settings, weights)
        self.predictor, self.joiner = Predictor(self.settings, weights), Joiner(self.settings, weights)
        self._bpe, self._processor, self._path = weights.bytes("bpe"), None, path
        weights.done()
        penalty = noted if blank_penalty is None else blank_penalty
        self.search = make(method, self.predictor, self.joiner, penalty, **options)

    def stream(self) -> Stream:
        """A new stream of this recognizer."""
        return Stream(self.settings, self.about["features"], self.encoder.state(), self.search, self.pieces)

    def decode(self, streams: Sequence[Stream]) -> None:
        """Decodes every whole chunk that waits in the streams, and the rest of those that are finished.

        Streams that have a chunk go forward together, each by one chunk at a time. One thread at a time may decode.

        Raises:
            ValueError: a stream of another recognizer.
        """
        if any(stream.search is not self.search for stream in streams):
            raise ValueError("a stream of another recognizer: decode it with its own")
        ready = [stream for stream in dict.fromkeys(streams) if stream.ready]
        while ready:
            self._advance(ready)
            ready = [stream for stream in ready if stream.ready]

    def pieces(self) -> Any:
        """sentencepiece's processor of the file's BPE model, made when it is first asked for.

        Raises:
            ImportError: sentencepiece is not installed.
            ValueError: the model is damaged, or has another number of pieces.
        """
        if self._processor is None:
            try:
                import sentencepiece
            except ImportError:
                raise ImportError("the runtime needs sentencepiece for text: pip install sentencepiece") from None
            made = sentencepiece.SentencePieceProcessor()
            try:
                made.load_from_serialized_proto(self._bpe)
            except RuntimeError:
                raise ValueError(
                    f"{self._path}: its tensor bpe is no sentencepiece model; make the file anew") from None
            if made.get_piece_size() != self.settings.vocab_size:
                raise ValueError(f"{self._path}: its bpe has {made.get_piece_size()} pieces, the model "
                                 f"{self.settings.vocab_size}; make the file anew")
            self._processor = made
        return self._processor

    def _advance(self, streams: List[Stream]) -> None:
        """One chunk of each."""
        segment = self.settings.segment_length
        work = self.encoder.workspace(len(streams))
        lengths = [stream.take(out) for stream, out in zip(streams, work.features)]
        encoded = self.encoder.step(work, lengths, [stream.encoder_state for stream in streams])
        frames = self.joiner.encoder_proj.apply(encoded.reshape(-1, encoded.shape[2]))
        counts = [min(length, segment) for length in lengths]
        self.search.advance(
            frames.reshape(len(streams), segment, -1), counts, [stream.search_state for stream in streams])
