"""The supernet of a configuration, and its curriculum."""

import pytest

import omni
from egs.librispeech.omni_sparsity.model.transducer import Transducer
from egs.librispeech.omni_sparsity.model.supernet import make_supernet, system
from omni.errors import UserError


def test_the_curriculum_follows_the_configuration(config):
    config.omni.p_max, config.omni.p_min = 0.0, 1.0
    net = make_supernet(Transducer(config.model), config.omni, 42)
    assert omni.Curriculum(net, config.omni).subnets(3, 0.9) == [("min", net.smallest())]
    config.omni.sampling, config.omni.prune_to = "gradual", 0.7
    assert omni.Curriculum(net, config.omni).subnets(3, 0.9) == [("pruned", net.uniform(0.7))]


def test_what_results_call_a_network(config):
    found = []
    for config.omni.sampling in ("dense", "gradual", "single"):
        found.append((system(config.omni, 0.0), system(config.omni, 0.5)))
    assert found == [("dense", "oneshot"), ("pruned", "pruned"), ("omni", "omni")]


def test_what_does_not_fit_is_named(config):
    config.omni.targets = {"encoder.nothing": {"high": 0.9}}
    with pytest.raises(UserError, match="encoder.nothing"):
        make_supernet(Transducer(config.model), config.omni, 42)
    config.omni.targets = {"encoder.*": {"deepness": 3}}
    with pytest.raises(UserError, match="deepness"):
        make_supernet(Transducer(config.model), config.omni, 42)
