"""Cuts sub-networks out of one averaged supernet."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, Dict, List

import torch

import omni
from omni.errors import UserError

from .. import registry
from ..config import Config
from ..data.fbank import DESCRIPTION
from ..model.frontend import FEATURE_MEAN, FEATURE_STD
from ..model.supernet import make_supernet, system
from ..model.transducer import Transducer, shipped
from ..training.checkpoint import load_averaged
from . import formats
from .index import digest_of_spec
from .subnet import Subnet, is_uniform, uniform_name
from .tokens import without_normalizer


class Cutter:
    """The supernet of a training, its checkpoints averaged and loaded once, for any number of sub-networks.

    Args:
        made_of: {"epoch", "avg", "precision"}: which checkpoints are averaged, the type of values in the files.
        bpe: sentencepiece's model of the corpus, a file.
        made_by: the command, for the files.

    Raises:
        UserError: a checkpoint is missing or of another configuration.
    """

    def __init__(self, config: Config, exp_dir: Path, made_of: Dict[str, Any], bpe: Path, made_by: str) -> None:
        self.config, self.exp_dir, self.made_of = config, exp_dir, made_of
        self.made_by = made_by
        model = Transducer(config.model)
        self.net = make_supernet(model, config.omni, config.train.seed)
        self.trained = load_averaged(exp_dir, made_of["epoch"], made_of["avg"], model, self.net, config)
        if system(config.omni, 0.0) == "dense":
            # Its masks cut nothing in training, so the order that it kept is old: what counts is what it weighs now.
            self.net.refresh(exact=True)
        self.bpe = without_normalizer(bpe)

    def read_spec(self, path: Path) -> omni.Spec:
        """
        Raises:
            UserError: not a spec file, not of this model, or of sizes that the supernet does not have.
        """
        try:
            spec = omni.load_spec(path, self.net.model)
        except (ValueError, OSError) as error:
            raise UserError(str(error)) from None
        for name in spec:
            if name not in self.net.targets:
                raise UserError(f"{path}: {name}: not a weight that this supernet prunes (omni.targets)")
        for name, target in self.net.targets.items():
            if not target.low <= spec.get(name, 0.0) <= target.high:
                raise UserError(f"{path}: {name}: sparsity {spec.get(name, 0.0):g} is none that has trained: want "
                                f"{target.low:g} to {target.high:g} (omni.targets)")
        try:
            self.net.bin_of(spec)
        except ValueError as error:
            raise UserError(f"{path}: {error} (omni.bins)") from None
        if is_uniform(path.stem) and spec != self.uniform(path.stem, path):
            raise UserError(f"{path}: not of one sparsity, as its name says; names that begin with sparsity- are those "
                            "of --sparsities: rename the file")
        return spec

    def uniform(self, name: str, where: object) -> omni.Spec:
        """The spec that goes by a name such as sparsity-0.7."""
        try:
            sparsity = float(name.partition("-")[2])
            named = name == uniform_name(sparsity)
        except ValueError:
            named = False
        if not named:
            raise UserError(f"{where}: {name} names no sparsity from 0 to below 1: rename the file")
        try:
            return self.net.uniform(sparsity)
        except ValueError as error:
            raise UserError(f"{where}: {name}: {error}") from None

    def cut(self, name: str, spec: omni.Spec, form: str = "safetensors") -> Subnet:
        """Writes subnets/<name>.json and the file that ships; what is said of it is measured on that file."""
        net = copy.deepcopy(self.net)
        net.prune_(spec)
        blocks = {weight: target.blocks for weight, target in net.targets.items()}
        storage = registry.load(formats, form, "format")
        paper, file = (self.exp_dir / "subnets" / f"{name}{end}" for end in (".json", storage.SUFFIX))
        state = shipped(net.model.state_dict())
        storage.write(file, dataclasses.asdict(self.config.model), state, blocks, self.made_of["precision"],
                      self._about(name, spec), self.bpe)
        if not paper.is_file():
            omni.save_spec(paper, spec, net.model)
        found = storage.load(file)
        there = storage.parameters(found)
        sparsity = float(name.partition("-")[2]) if is_uniform(name) else round(net.mean_sparsity(spec), 6)
        kind, passes = system(self.config.omni, sparsity), self.trained["passes"]
        return Subnet(
            name=name,
            system=kind,
            origin="own training" if kind in ("dense", "pruned") else "uniform" if is_uniform(name) else "searched",
            sparsity=sparsity,
            measured_sparsity=round(1 - sum(there[weight] for weight in blocks)
                                    / sum(state[weight].numel() for weight in blocks), 6),
            spec=f"subnets/{paper.name}",
            file=f"subnets/{file.name}",
            bytes=file.stat().st_size,
            params_total=sum(value.numel() for value in state.values()),
            params_nonzero=sum(there.values()),
            loss_backend=self.trained["loss_backend"],
            train_passes=int(passes) if passes % 1 == 0 else round(passes, 1),
            train_seconds=round(self.trained["train_seconds"], 1),
            spec_digest=digest_of_spec(paper),
            checkpoint=storage.digest_of(found),
            **self.made_of,
        )

    def _about(self, name: str, spec: omni.Spec) -> Dict[str, Any]:
        """What the file says of itself."""
        return {
            "name": name,
            "features": {**DESCRIPTION, "mean": FEATURE_MEAN, "std": FEATURE_STD},
            "decode": {"blank_penalty": self.config.decode.blank_penalty},
            "spec": spec,
            "made_by": f"{self.made_by}, omni {omni.__version__}",
        }
