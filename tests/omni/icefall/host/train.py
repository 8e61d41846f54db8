"""A training in the manner of an icefall recipe: flat imports, functions that find each other as globals, params that
are written into checkpoints, a running average, processes by spawn. It learns to tell which of eight inputs is the
largest."""

import argparse
import copy
import logging
from pathlib import Path

import torch
import torch.multiprocessing as mp
from model import Model
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


class AttributeDict(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def get_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--world-size", type=int, default=1)
    parser.add_argument("--port", type=int, default=12357)
    parser.add_argument("--num-epochs", type=int, default=2)
    parser.add_argument("--start-epoch", type=int, default=1)
    parser.add_argument("--exp-dir", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--fail-at", type=int, default=0)
    return parser


def get_params():
    return AttributeDict(batch_idx_train=0, best_valid_loss=float("inf"), average_period=10)


def get_model(params):
    return Model(32, 8)


def set_batch_count(model, count):
    for module in (model.module if isinstance(model, DDP) else model).modules():
        if hasattr(module, "batch_count"):
            module.batch_count = count


def batch_of(number):
    generator = torch.Generator().manual_seed(number)
    x = torch.randn(6, 12, 8, generator=generator)
    return {"inputs": x, "labels": x.argmax(-1)}


def save_checkpoint(params, model, model_avg, optimizer, rank):
    if rank == 0:
        bare = model.module if isinstance(model, DDP) else model
        checkpoint = {"model": bare.state_dict(), "optimizer": optimizer.state_dict(),
                      "model_avg": model_avg.to(torch.float32).state_dict()}
        for key, value in params.items():
            assert key not in checkpoint, key
            checkpoint[key] = value
        torch.save(checkpoint, params.exp_dir / f"epoch-{params.cur_epoch}.pt")
        model_avg.to(torch.float64)


def load_checkpoint_if_available(params, model, model_avg=None):
    if params.start_epoch == 1:
        return None
    saved = torch.load(params.exp_dir / f"epoch-{params.start_epoch - 1}.pt", weights_only=False)
    model.load_state_dict(saved.pop("model"))
    model_avg.load_state_dict(saved.pop("model_avg"))
    for key in ("batch_idx_train", "best_valid_loss"):
        params[key] = saved[key]
    return saved


def compute_loss(params, model, batch, is_training):
    with torch.set_grad_enabled(is_training):
        logits = model(batch["inputs"])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="sum")
    if params.fail_at and params.batch_idx_train == params.fail_at and is_training:
        raise RuntimeError("a batch that fails")
    wrong = (logits.argmax(-1) != batch["labels"]).sum().item()
    return loss, {"loss": loss.item(), "errors": wrong}


def compute_validation_loss(params, model):
    model.eval()
    total = sum(compute_loss(params=params, model=model, batch=batch_of(10**6 + i), is_training=False)[1]["loss"]
                for i in range(4))
    params.best_valid_loss = min(params.best_valid_loss, total)
    return round(total, 4)


def train_one_epoch(params, model, optimizer, model_avg, rank, world_size):
    model.train()
    for number in range(params.batches):
        set_batch_count(model, params.batch_idx_train)
        params.batch_idx_train += 1
        batch = batch_of((params.cur_epoch * 1000 + number) * world_size + rank)
        try:
            loss, info = compute_loss(params=params, model=model, batch=batch, is_training=True)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        except Exception:
            save_checkpoint(params, model, model_avg, optimizer, rank)
            raise
        if rank == 0 and params.batch_idx_train % params.average_period == 0:
            share = params.average_period / params.batch_idx_train
            now = (model.module if isinstance(model, DDP) else model).state_dict()
            for name, value in model_avg.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(now[name].double(), share)
    valid = compute_validation_loss(params, model)
    logging.info(f"epoch {params.cur_epoch} validation: {valid}")


def run(rank, world_size, args):
    params = get_params()
    params.update(vars(args))
    logging.basicConfig(level=logging.INFO, filename=params.exp_dir / f"log-{rank}.txt", force=True)
    torch.manual_seed(42)
    if world_size > 1:
        torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{args.port}", rank=rank, world_size=world_size)
    model = get_model(params)
    model_avg = copy.deepcopy(model).to(torch.float64) if rank == 0 else None
    saved = load_checkpoint_if_available(params=params, model=model, model_avg=model_avg)
    if world_size > 1:
        model = DDP(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    if saved:
        optimizer.load_state_dict(saved["optimizer"])
    compute_loss(params, model, batch_of(0), True)[0].backward()  # will the largest batch fit?
    optimizer.zero_grad()
    for epoch in range(params.start_epoch, params.num_epochs + 1):
        params.cur_epoch = epoch
        torch.manual_seed(epoch)
        train_one_epoch(params, model, optimizer, model_avg, rank, world_size)
        save_checkpoint(params, model, model_avg, optimizer, rank)
    if world_size > 1:
        torch.distributed.destroy_process_group()


def main():
    args = get_parser().parse_args()
    args.exp_dir.mkdir(parents=True, exist_ok=True)
    if args.world_size > 1:
        mp.spawn(run, args=(args.world_size, args), nprocs=args.world_size, join=True)
    else:
        run(rank=0, world_size=1, args=args)


if __name__ == "__main__":
    main()
