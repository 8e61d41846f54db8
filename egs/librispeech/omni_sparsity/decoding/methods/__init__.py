"""Search methods: a module a method, called as icefall's `--decoding-method` calls it. To add one: one file.

A module has

    search(model, encoder_out, lengths, blank_penalty)    -> token ids of each utterance of the batch

with encoder_out (B, T, D), lengths (B,) int64 and blank_penalty taken off blank's logit.
"""
