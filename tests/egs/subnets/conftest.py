"""Toy trainings of two epochs, and stage 4 on copies of them."""

import shutil

import pytest
import torch

import omni

from egs.librispeech.omni_sparsity.subnets.__main__ import make_subnets
from egs.librispeech.omni_sparsity.training.trainer import Trainer


class Experiment:
    """A training's folder, to do with as a test likes."""

    def __init__(self, config, data_dir, path):
        self.config, self.data_dir, self.path, self.folder = config, data_dir, path, path / "subnets"

    def stage4(self, *sparsities, avg=1, specs=(), values="float32"):
        """float32: what comes back is what was trained, bit for bit."""
        made_of = {"epoch": 2, "avg": avg, "precision": values}
        return make_subnets(self.config, self.data_dir, self.path, made_of, list(sparsities), list(specs), "a command")

    def drift(self, epoch, seed, size=1.0):
        """Adds noise to the averaged weights of a checkpoint; -> them, by name."""
        draw = torch.Generator().manual_seed(seed)
        file = self.path / f"epoch-{epoch}.pt"
        content = torch.load(file)
        for value in content["model_avg"].values():
            value += size * torch.randn(value.shape, generator=draw, dtype=value.dtype)
        torch.save(content, file)
        return content["model_avg"], content["averaged_until"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """{strategy: folder}, filled when first asked for."""
    return {}, tmp_path_factory.mktemp("trained")


def _experiment(config, data_dir, trained, tmp_path):
    folders, root = trained
    name = config.omni.strategy.name
    if name not in folders:
        Trainer(config, data_dir, root / name, tensorboard=False).run(0, 0)
        folders[name] = root / name
    return Experiment(config, data_dir, shutil.copytree(folders[name], tmp_path / "exp"))


@pytest.fixture
def supernet(config, data_dir, trained, tmp_path):
    return _experiment(config, data_dir, trained, tmp_path)


@pytest.fixture
def dense(config, data_dir, trained, tmp_path):
    config.omni.strategy = omni.strategy_class("dense")()
    return _experiment(config, data_dir, trained, tmp_path)
