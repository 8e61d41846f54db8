"""The optimizer; and the learning rate, a function of progress, so that it fits any batch size and any resume."""

from __future__ import annotations

import math
from typing import Dict, Iterable, List, Mapping

import torch
from torch import Tensor, nn

from ..config import Train as TrainConfig


# Odd polynomials a x + b x^3 + c x^5 that, one after the other, take singular values of 1e-3 to 1 near 1
# (Amsel et al. 2025, "The Polar Express", arXiv 2505.16932).
_POLYNOMIALS = (
    (8.287212, -23.595887, 17.300387),
    (4.107059, -2.947850, 0.544843),
    (3.948691, -2.908902, 0.551819),
    (3.318420, -2.488488, 0.510049),
    (2.300652, -1.668904, 0.418807),
)


def make_optimizer(
    parameters: Iterable[nn.Parameter], config: TrainConfig, matrices: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """AdamW, and Muon for `matrices` if `config.optimizer` says so; weight decay, but not on norms and biases."""
    parameters = list(parameters)
    taken = {id(p) for p in matrices} if config.optimizer == "muon" else set()
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2 and id(p) not in taken]},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    if taken:
        groups.append({"params": [p for p in parameters if id(p) in taken], "orthogonal": True})
    # One kernel for all parameters, where torch has it (AdamW: from 2.0 on); elsewhere one call for each operation.
    together = {"fused" if parameters[0].is_cuda and torch.__version__ >= "2" else "foreach": True}
    return Muon(groups, lr=config.base_lr, betas=(0.9, 0.98), eps=1e-8, weight_decay=config.weight_decay, **together)


class Muon(torch.optim.AdamW):
    """AdamW, but for groups marked `orthogonal`: there momentum whose singular values are all made about 1.

    Jordan et al. 2024 (Muon), with the scale of Liu et al. 2025 (arXiv 2502.16982): an update of the size that AdamW's
    have, so that both kinds of group share one learning rate. torch has a Muon of its own from 2.9 on; the pinned one
    is older.

    """

    MOMENTUM = 0.95

    @torch.no_grad()
    def step(self, learns: Mapping[nn.Parameter, Tensor] = {}) -> None:  # noqa: B006, never changed
        """
        Args:
            learns: of parameters that did not learn everywhere, where they did, as bool of their shape. Elsewhere
                momentum and weight of the matrices stay as they are: the step of a sub-network is of its own momentum
                alone.
        """
        groups = [group for group in self.param_groups if group.get("orthogonal")]
        held = [(p, p.grad) for group in groups for p in group["params"] if p.grad is not None]
        for p, _ in held:
            p.grad = None  # AdamW passes over what has none
        super().step()
        for p, grad in held:
            p.grad = grad
        for group in groups:
            self._step_orthogonal(group, learns)

    def _step_orthogonal(self, group: dict, learns: Mapping[nn.Parameter, Tensor]) -> None:
        shapes: Dict[torch.Size, List[nn.Parameter]] = {}
        for p in group["params"]:
            if p.grad is not None:
                shapes.setdefault(p.shape, []).append(p)
        for (rows, cols), alike in shapes.items():
            updates, everywhere = [], alike[0].new_ones(())
            trained = [learns[p].to(p.dtype) if p in learns else everywhere for p in alike]
            for p, where in zip(alike, trained):
                if not self.state[p]:
                    # AdamW looks for `step` in every state that it loads.
                    self.state[p] = {"step": torch.tensor(0.0), "momentum_buffer": torch.zeros_like(p)}
                self.state[p]["step"] += 1
                momentum = self.state[p]["momentum_buffer"]
                momentum.addcmul_(p.grad - momentum, where, value=1 - self.MOMENTUM)
                updates.append(p.grad.lerp(momentum * where, self.MOMENTUM))  # Nesterov's
            scale = 0.2 * max(rows, cols) ** 0.5
            for p, where, update in zip(alike, trained, orthogonal(torch.stack(updates))):
                p.addcmul_(update.mul_(scale).add_(p, alpha=group["weight_decay"]), where, value=-group["lr"])


def orthogonal(x: Tensor) -> Tensor:
    """x = U S V' -> about U V', of each matrix of a batch (N, rows, cols).

    The polynomials act on x x' (or x' x), which is the smaller the more x differs from a square.
    """
    if x.size(1) > x.size(2):
        return orthogonal(x.transpose(1, 2)).transpose(1, 2)
    x = x / (1.01 * x.flatten(1).norm(dim=1)[:, None, None] + 1e-12)
    gram, product = x @ x.transpose(1, 2), None
    for number, (a, b, c) in enumerate(_POLYNOMIALS, start=1):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        if number < len(_POLYNOMIALS):
            gram = factor @ gram @ factor
    return product @ x


class Schedule:
    """Linear rise, then a cosine to `FINAL * base_lr`."""

    FINAL = 0.02

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
            factor = self.FINAL + (1.0 - self.FINAL) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
        for group in self.optimizer.param_groups:
            group["lr"] = c.base_lr * factor
        return c.base_lr * factor

    def state_dict(self) -> dict:
        return {"progress": self.progress}

    def load_state_dict(self, state: dict) -> None:
        self.set_progress(state["progress"])
