"""The supernet of a configuration, and what results call its sub-networks."""

import pytest

import omni
from egs.librispeech.omni_sparsity.model.transducer import Transducer
from egs.librispeech.omni_sparsity.model.supernet import make_supernet, system
from omni.errors import UserError


def test_one_size_has_no_values_for_several(config):
    assert any(make_supernet(Transducer(config.model), config.omni, 42).private_parameters())
    config.omni.strategy = omni.strategy_class("gradual")(prune_to=0.7)
    assert not any(make_supernet(Transducer(config.model), config.omni, 42).private_parameters())


def test_what_results_call_a_network(config):
    found = []
    for name in ("dense", "gradual", "smallest_first"):
        config.omni.strategy = omni.strategy_class(name)()
        found.append((system(config.omni, 0.0), system(config.omni, 0.5)))
    assert found == [("dense", "oneshot"), ("pruned", "pruned"), ("omni", "omni")]


def test_what_does_not_fit_is_named(config):
    config.omni.targets = {"encoder.nothing": {"high": 0.9}}
    with pytest.raises(UserError, match="encoder.nothing"):
        make_supernet(Transducer(config.model), config.omni, 42)
    config.omni.targets = {"encoder.*": {"deepness": 3}}
    with pytest.raises(UserError, match="deepness"):
        make_supernet(Transducer(config.model), config.omni, 42)
