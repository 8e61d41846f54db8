"""One of two processes of test_ddp: python ddp_worker.py RANK FOLDER; writes FOLDER/RANK.pt."""

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
        work = dist.all_reduce(bucket.buffer() / 2, async_op=True).get_future()
        return work.then(lambda future: future.value()[0])

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


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
