"""A sandwich on two processes is that of one with both their batches, with one all-reduce a step."""

import subprocess
import sys
from pathlib import Path

import torch

import omni
from tests.omni.models import Mlp, build


def test_two_processes_are_one_with_the_doubled_batch(tmp_path):
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    torch.save(x, tmp_path / "x.pt")
    worker = [sys.executable, "-m", "tests.omni.ddp_worker"]
    root = Path(__file__).parents[2]
    both = [subprocess.Popen([*worker, str(rank), str(tmp_path)], cwd=root) for rank in range(2)]
    try:
        assert [process.wait(timeout=120) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
    model = build(Mlp)
    net = omni.Supernet(model, omni.Range(0.0, 0.9))
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    size = sum(value.numel() for value in model.parameters())
    for step in range(2):
        model.zero_grad(set_to_none=True)
        for spec in net.sandwich(step):
            with net.active(spec):
                model(x).square().mean().backward()
        for name, value in model.named_parameters():
            assert torch.equal(found[0]["steps"][step][name], found[1]["steps"][step][name])
            assert torch.allclose(found[0]["steps"][step][name], value.grad, atol=1e-6), name
    for one in found:
        assert one["reduced"] == [size] * 2  # each step every parameter once, not once for each sub-network
