"""The supernet of a configuration, and which of its sub-networks train when."""

from __future__ import annotations

import omni
from omni.errors import UserError

from ..config import Omni as OmniConfig
from .transducer import Transducer


def make_supernet(model: Transducer, config: OmniConfig, seed: int) -> omni.Supernet:
    """The supernet of a configuration.

    Raises:
        UserError: the configuration's patterns, ranges, bins or sizes do not fit the model.
    """
    try:
        targets = {pattern: omni.Range(**allowed) for pattern, allowed in config.targets.items()}
        # one size: no values for several
        private, bins = ([], []) if config.strategy.of_one_size else (config.private, config.bins)
        net = omni.Supernet(model, targets, seed=seed, private=private, bins=bins, dropout=config.dropout)
        config.strategy.watched(net)  # refuses a size that no weight can have, such as a prune_to beyond the ranges
        return net
    except (ValueError, TypeError) as error:
        raise UserError(f"section omni of the configuration: {error}") from None


def system(config: OmniConfig, sparsity: float) -> str:
    """What results call the network of this sparsity: "omni", or which baseline it is."""
    kind = config.strategy.system
    return "oneshot" if kind == "dense" and sparsity else kind
