"""Optimizer and learning rate: a function of the training's progress, so that it fits any batch size and any resume."""

from __future__ import annotations

import math
from typing import Iterable

import torch
from torch import nn

from .config import Train as TrainConfig


def make_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices alone, not on norms and biases."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.base_lr, betas=tuple(config.betas), eps=1e-8)


class Schedule:
    """Linear rise, then a cosine to `final_lr * base_lr`."""

    def __init__(self, optimizer: torch.optim.Optimizer, config: TrainConfig) -> None:
        self.optimizer, self.config = optimizer, config
        self.progress = 0.0

    def set_progress(self, progress: float) -> float:
        """Sets the learning rate for a share of the training that is done; returns it."""
        c, self.progress = self.config, progress
        if progress < c.warm_up:
            factor = (progress + 1e-3) / (c.warm_up + 1e-3)
        else:
            share = (progress - c.warm_up) / (1.0 - c.warm_up)
            factor = c.final_lr + (1.0 - c.final_lr) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
        for group in self.optimizer.param_groups:
            group["lr"] = c.base_lr * factor
        return c.base_lr * factor

    def state_dict(self) -> dict:
        return {"progress": self.progress}

    def load_state_dict(self, state: dict) -> None:
        self.set_progress(state["progress"])
