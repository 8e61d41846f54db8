"""Which values of a configuration make no sense."""

from __future__ import annotations

from tools.errors import UserError

_AT_LEAST_ONE = (
    "model.encoder_dim", "model.num_heads", "model.ffn_dim", "model.num_layers", "model.segment_length", "model.stack",
    "model.vocab_size", "data.max_duration", "data.parts", "train.num_epochs", "train.average_period",
    "train.save_every_n", "train.log_interval", "omni.refresh_every", "omni.distill_every", "decode.avg",
    "decode.max_duration",
)

_SHARES = (
    "data.noise_prob", "data.spec_aug_prob", "omni.p_max", "omni.p_min", "omni.random_low", "omni.spread",
    "omni.dense_until", "omni.grow_from", "omni.grow_until", "omni.freeze_at", "omni.prune_to", "omni.prune_from",
    "omni.prune_until",
)

_ABOVE_ZERO = ("loss.distill_temperature", "loss.distill_clip")

_ONE_OF = {
    "loss.backend": ("auto", "k2", "native"), "loss.rnnt_type": ("regular", "modified"),
    "loss.divergence": ("kl", "alpha"), "omni.gradient": ("masked", "dense"),
    "omni.sampling": ("single", "each", "sandwich", "split", "dense", "gradual"), "train.optimizer": ("muon", "adamw"),
    "train.precision": ("auto", "float32", "bf16"), "decode.device": ("cpu", "cuda"),
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
        if value_of(key) < 1:
            raise UserError(f"{key} {value_of(key)}: want at least 1")
    for key in _SHARES:
        if not 0.0 <= value_of(key) <= 1.0:
            raise UserError(f"{key} {value_of(key)}: want a share, 0 to 1")
    for key in _ABOVE_ZERO:
        if not value_of(key) > 0.0:
            raise UserError(f"{key} {value_of(key)}: want more than 0")
    for key, allowed in _ONE_OF.items():
        if value_of(key) not in allowed:
            raise UserError(f"{key} {value_of(key)!r}: want one of {', '.join(allowed)}")
    c = config.omni
    if c.prune_from >= c.prune_until:
        raise UserError(f"omni.prune_from {c.prune_from}: want less than omni.prune_until, {c.prune_until}")
    if c.p_max + c.p_min > 1.0:
        raise UserError(f"omni.p_max {c.p_max} and omni.p_min {c.p_min}: want at most 1 together")
