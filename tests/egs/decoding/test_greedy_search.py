"""Greedy search in batches, against one utterance and one frame at a time."""

import torch

from egs.librispeech.omni_sparsity.config import Model as ModelConfig
from egs.librispeech.omni_sparsity.decoding.methods.greedy_search import search as greedy_search
from egs.librispeech.omni_sparsity.model.transducer import Transducer


@torch.no_grad()
def plain_greedy(model, frames):
    symbols = []
    for frame in frames:
        history = model.decoder(torch.tensor([[0, *symbols]]))[0, -1]  # what training's predictor saw last
        best = int(model.joiner(frame, history).argmax())
        if best != 0:
            symbols.append(best)
    return symbols


def test_a_batch_gives_what_one_utterance_at_a_time_gives():
    torch.manual_seed(0)
    tiny = dict(projection_dim=8, encoder_dim=16, num_heads=2, ffn_dim=16, num_layers=1, decoder_dim=16, joiner_dim=16)
    model = Transducer(ModelConfig(**tiny, vocab_size=9)).eval()
    with torch.no_grad():
        model.joiner.output_linear.weight.mul_(3.0)
        model.joiner.output_linear.bias[0] = 0.6  # some blanks
    encoder_out = torch.randn(3, 20, 16)
    lengths = torch.tensor([20, 13, 1])
    found = greedy_search(model, encoder_out, lengths)
    assert found == [plain_greedy(model, encoder_out[i, : lengths[i]]) for i in range(3)]
    assert 0 < len(found[0]) < 20 and len(set(found[0])) > 2
    assert len(greedy_search(model, encoder_out, lengths, blank_penalty=100.0)[0]) == 20
    assert greedy_search(model, encoder_out, lengths, blank_penalty=-100.0) == [[], [], []]
