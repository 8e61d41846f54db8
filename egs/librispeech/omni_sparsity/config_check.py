"""Which values of a configuration make no sense."""

from __future__ import annotations

import math

from omni.errors import UserError

_AT_LEAST_ONE = (
    "model.feature_dim", "model.projection_dim", "model.encoder_dim", "model.num_heads",
    "model.ffn_dim", "model.num_layers", "model.segment_length", "model.stack", "model.decoder_dim", "model.context_size",
    "model.joiner_dim", "model.vocab_size", "loss.prune_range", "data.max_duration", "data.parts",
    "train.num_epochs", "train.average_period", "train.save_every_n", "train.log_interval", "train.valid_utterances",
    "omni.distill_every", "decode.avg", "decode.max_duration",
)

_AT_LEAST_ZERO = (
    "model.conv_layers", "model.left_context_length", "model.right_context_length", 
    "loss.simple_loss_scale", "loss.ctc_scale", "loss.distill", "loss.warm_step", "data.num_workers", "data.time_mask",
    "data.num_frame_masks", "data.freq_mask", "data.num_feature_masks", "train.weight_decay", "train.keep_last_k",
    "train.num_threads",
)

_SHARES = (
    "model.dropout", "loss.lm_scale", "data.noise_prob", "data.spec_aug_prob", "train.warm_up", "train.final_lr",
)

_ABOVE_ZERO = ("train.base_lr", "train.clip_norm")

_ONE_OF = {
    "loss.backend": ("auto", "k2", "native"), "loss.rnnt_type": ("regular", "modified"),
    "omni.gradient": ("masked", "dense"),
    "train.optimizer": ("muon", "adamw"), "train.precision": ("auto", "float32", "bf16"),
    "decode.device": ("cpu", "cuda"), "model.activation": ("relu", "gelu", "silu"),
}


def check(config) -> None:
    """
    Args:
        config: a Config.

    Raises:
        UserError: names the first setting that is out of its range.
    """

    def value_of(key: str):
        section, _, name = key.partition(".")
        return getattr(getattr(config, section), name)

    for key in _AT_LEAST_ONE:
        if not value_of(key) >= 1:
            raise UserError(f"{key} {value_of(key)}: want at least 1")
    for key in _AT_LEAST_ZERO:
        if not value_of(key) >= 0:
            raise UserError(f"{key} {value_of(key)}: want at least 0")
    for key in _SHARES:
        if not 0.0 <= value_of(key) <= 1.0:
            raise UserError(f"{key} {value_of(key)}: want a share, 0 to 1")
    for key in _ABOVE_ZERO:
        if not value_of(key) > 0.0:
            raise UserError(f"{key} {value_of(key)}: want more than 0")
    for key, allowed in _ONE_OF.items():
        if value_of(key) not in allowed:
            raise UserError(f"{key} {value_of(key)!r}: want one of {', '.join(allowed)}")
    if config.model.encoder_dim % config.model.num_heads:
        raise UserError(f"model.encoder_dim {config.model.encoder_dim}: want a multiple of model.num_heads, "
                        f"{config.model.num_heads}")
    if not math.isfinite(config.decode.blank_penalty):
        raise UserError(f"decode.blank_penalty {config.decode.blank_penalty}: want a number")
    if len(config.train.betas) != 2 or not all(0.0 <= beta < 1.0 for beta in config.train.betas):
        raise UserError(f"train.betas {config.train.betas}: want two numbers from 0 to below 1")
    if len(config.data.noise_snr) != 2 or config.data.noise_snr[0] > config.data.noise_snr[1]:
        raise UserError(f"data.noise_snr {config.data.noise_snr}: want two numbers of dB, the smaller one first")
    try:
        config.omni.check()
    except ValueError as error:
        raise UserError(f"omni.{error}") from None
    if config.omni.hold_from < 1.0 and not (config.train.optimizer == "muon" and config.train.sparse_momentum):
        raise UserError(f"omni.hold_from {config.omni.hold_from}: want train.optimizer muon and train.sparse_momentum true, "
                        "for a weight without a gradient to stay; or 1, to hold nothing")
