"""The processes of a training: one, or what torchrun started."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import Iterator, List

import torch
import torch.distributed as dist
from torch import nn

from omni.errors import UserError

from ..loss.backend import loss_backend


def cuda_works(backend: str) -> bool:
    """Whether torch and the loss can both compute on this machine's GPU: a build of either may hold no code for it."""
    if not torch.cuda.is_available():
        return False
    rnnt, name = loss_backend(backend)
    if name != "native" and not rnnt.with_cuda:
        logging.warning("this k2 was built without CUDA: training on the CPU (loss.backend=native would use the GPU)")
        return False
    try:
        (torch.zeros(1, device="cuda") + 1).item()
    except RuntimeError as error:
        logging.warning(f"this torch cannot use this GPU ({str(error).splitlines()[0]}): training on the CPU")
        return False
    return True


class Processes:
    """Gradients are averaged by one all-reduce a step, without DistributedDataParallel: a step of several sub-networks
    is several backward passes, and each leaves other (private) parameters without a gradient; DDP supports neither
    without searching the graph for unused parameters.

    Attributes:
        batches_each: batches of one process in a step, whose gradients add up.
    """

    def __init__(self, backend: str, batches_per_step: int = 0) -> None:
        """
        Args:
            backend: of the loss, see `loss_backend`.
            batches_per_step: of all processes together; 0: one for each.

        Raises:
            UserError: the processes cannot share the batches evenly.
        """
        self.rank = int(os.environ.get("RANK", 0))
        self.world_size = int(os.environ.get("WORLD_SIZE", 1))
        if batches_per_step < 0 or batches_per_step % self.world_size:
            raise UserError(f"data.batches_per_step {batches_per_step}: want a multiple of the {self.world_size} "
                            "processes")
        self.batches_each = max(1, batches_per_step // self.world_size)
        self.device = torch.device("cpu")
        if cuda_works(backend):
            local, count = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
            if local >= count:
                raise UserError(f"process {local + 1} of this machine finds {count} GPU(s): want --world-size {count}, "
                                "or CUDA_VISIBLE_DEVICES= to train on the CPU")
            self.device = torch.device("cuda", local)
            torch.cuda.set_device(self.device)
        if self.world_size > 1:
            with self._all_there():
                dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def average_gradients(self, parameters: List[nn.Parameter]) -> None:
        """Replaces every gradient by its mean over the processes. Where a process has none (it trained sub-networks
        that do not use the parameter) it counts as zero; where none has, there is none after."""
        if self.world_size == 1:
            return
        there = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        gradients = (p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters)
        flat = torch.cat([there, *(gradient.flatten() for gradient in gradients)])
        with self._all_there():
            dist.all_reduce(flat)
        there, *means = (flat / self.world_size).split([len(parameters), *(p.numel() for p in parameters)])
        for parameter, mean, share in zip(parameters, means, there.tolist()):
            parameter.grad = mean.view_as(parameter) if share else None

    def sum(self, values: List[float]) -> List[float]:
        """Of each value, over the processes."""
        if self.world_size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        with self._all_there():
            dist.all_reduce(total)
        return total.tolist()

    def barrier(self) -> None:
        if self.world_size > 1:
            with self._all_there():
                dist.barrier()

    def close(self) -> None:
        """At the end of the training."""
        if self.world_size > 1:
            self.barrier()
            dist.destroy_process_group()

    @contextmanager
    def _all_there(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # what gloo and nccl raise where a process does not answer any more
            why = str(error).splitlines()[0].split(". ")[0]
            raise UserError(f"process {self.rank} of {self.world_size}: another one is gone ({why}); the same command "
                            "goes on from the last checkpoint") from None
