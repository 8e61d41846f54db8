"""An omni-sparsity streaming transducer on LibriSpeech-like corpora: one training, every size."""
