"""Decodes a checkpoint as an icefall recipe does; knows nothing of omni."""

import argparse
from pathlib import Path

import torch
from train import batch_of, get_model, get_params


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--exp-dir", type=Path, required=True)
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--avg", type=int, default=1)
    parser.add_argument("--use-averaged-model", type=int, default=1)
    parser.add_argument("--decoding-method", default="greedy_search")
    args = parser.parse_args()
    assert args.avg == 1 and not args.use_averaged_model
    model = get_model(get_params())
    model.load_state_dict(torch.load(args.exp_dir / f"epoch-{args.epoch}.pt", map_location="cpu")["model"], strict=True)
    model.eval()
    out = args.exp_dir / args.decoding_method
    out.mkdir(exist_ok=True)
    for index, name in enumerate(("test-clean", "test-other")):
        batch = batch_of(5 * 10**6 + index)
        found = model(batch["inputs"]).argmax(-1)
        wrong = 100.0 * float((found != batch["labels"]).float().mean())
        suffix = f"{name}-{args.decoding_method}-epoch-{args.epoch}-avg-{args.avg}"
        lines = []
        for number, (ref, hyp) in enumerate(zip(batch["labels"].tolist(), found.tolist())):
            lines += [f"{name}-{number}:\tref={[str(i) for i in ref]}",
                      f"{name}-{number}:\thyp={[str(i) for i in hyp]}"]
        (out / f"recogs-{suffix}.txt").write_text("\n".join(lines) + "\n")
        (out / f"errs-{suffix}.txt").write_text(f"%WER = {wrong:.2f}\n")
        (out / f"wer-summary-{suffix}.txt").write_text(f"settings\tWER\n{args.decoding_method}\t{wrong:.2f}\n")


if __name__ == "__main__":
    main()
