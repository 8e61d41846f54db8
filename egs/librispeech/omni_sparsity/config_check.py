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
    "omni.dense_until", "omni.grow_from", "omni.grow_until", "omni.freeze_at", "omni.prune_to",
    "train.warm_up", "train.final_lr",
)

_ABOVE_ZERO = ("loss.distill_temperature", "loss.distill_clip")

_ONE_OF = {
    "loss.backend": ("auto", "k2", "native"), "loss.rnnt_type": ("regular", "modified"),
    "loss.divergence": ("kl", "alpha"), "omni.gradient": ("masked", "dense"),
    "omni.first": ("largest", "smallest"), "omni.growth": ("linear", "cubic"), "omni.rank": ("all", "kept"),
    "omni.sampling": ("single", "each", "sandwich", "split", "dense", "gradual"), "train.optimizer": ("muon", "adamw"),
    "train.precision": ("auto", "float32", "bf16"),
    "decode.device": ("cpu", "cuda"),
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
    if c.p_max + c.p_min > 1.0:
        raise UserError(f"omni.p_max {c.p_max} and omni.p_min {c.p_min}: want at most 1 together")
    if c.first == "smallest" and c.dense_until >= c.grow_until:
        raise UserError(f"omni.dense_until {c.dense_until}: want less than omni.grow_until, {c.grow_until}, for the "
                        "smallest to train alone between the two (omni.first)")
    numbers = [*c.sizes, *c.sizes.values()]
    good = all(isinstance(x, (int, float)) and 0.0 <= x < float("inf") for x in numbers)
    if not good or max(c.sizes, default=0.0) >= 1:
        raise UserError(f"omni.sizes {c.sizes}: want {{sparsity: share}}, sparsities from 0 to below 1")
    if c.sizes and not sum(c.sizes.values()) > 0.0:
        raise UserError(f"omni.sizes {c.sizes}: want a share above 0")
