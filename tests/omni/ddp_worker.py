"""One of two processes of test_ddp: python ddp_worker.py RANK FOLDER; writes FOLDER/RANK.pt."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import omni
from tests.omni.models import Mlp, build


def main(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    model = build(Mlp)
    ddp, reduced = DistributedDataParallel(model), []

    def count(_, bucket):
        reduced.append(bucket.buffer().numel())
        mean = bucket.buffer() / 2
        dist.all_reduce(mean)  # at once: a Python callback in a thread of gloo may meet the interpreter's end
        done = torch.futures.Future()
        done.set_result(mean)
        return done

    ddp.register_comm_hook(None, count)
    net = omni.Supernet(model, omni.Range(0.0, 0.9))
    x = torch.load(folder / "x.pt")[rank::2]
    steps = []
    for step in range(2):
        model.zero_grad(set_to_none=True)
        *rest, last = net.sandwich(step)
        for spec in rest:
            with ddp.no_sync(), net.active(spec):
                ddp(x).square().mean().backward()
        with net.active(last):
            ddp(x).square().mean().backward()
        steps.append({name: value.grad for name, value in model.named_parameters()})
    torch.save({"steps": steps, "reduced": reduced}, folder / f"{rank}.pt")
    dist.barrier()
    # No ordinary end: torch 1.13 joins gloo's thread while it holds the interpreter's lock, and that thread may be
    # waiting for the lock to free the tensor of the hook above.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
