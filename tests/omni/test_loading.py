"""load_pt: checkpoints as icefall writes them, and nothing that runs."""

import argparse
import collections
import os
import pathlib
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch
from torch import nn

import omni.bake
import omni.sweep
from omni.bake import load
from omni.loading import load_pt


class Runs:
    """Runs a function as it is unpickled."""

    def __init__(self, *call) -> None:
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def saved(tmp_path, value, name="x.pt"):
    torch.save(value, tmp_path / name)
    return tmp_path / name


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def test_what_icefall_keeps_comes_back(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    model(torch.randn(3, 4)).sum().backward()
    optimizer.step()
    whole = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(),
        "scheduler": {"epoch": 1, "base_lrs": [0.045]}, "grad_scaler": {},
        "sampler": {"epoch": 0, "rng": (3, (1, 2), None), "diagnostics": {"kept": {"0": 3}}},
        "exp_dir": pathlib.Path("zipformer/exp"), "manifest_dir": pathlib.Path("data/fbank"), "best": float("inf"),
        "batch_idx_train": 7, "device": torch.device("cpu"), "dtype": torch.bfloat16, "seen": {1, 2},
        "raw": b"\xff\x00", "steps": collections.Counter({3: 1}), "order": collections.OrderedDict(a=1), "z": 1j,
        "shape": torch.Size([1, 2]),
        "average_period": 200, "env_info": {"torch": str(torch.__version__), "cuda": None}, "big": 10**30, "on": True,
    }
    assert equal(load_pt(saved(tmp_path, whole)), whole)


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
          torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128]


def test_every_type_of_tensor_and_how_they_lie_in_memory(tmp_path):
    base = torch.arange(24).view(4, 6)
    values = {str(dtype): base.to(dtype) for dtype in DTYPES}
    if hasattr(torch, "uint16"):
        values["uint16"] = torch.arange(5).to(torch.uint16)[1:]
    values.update(turned=base.t(), part=base[1:3, 2:], one=torch.tensor(1.5), none=torch.zeros(0, 3),
                  spread=torch.ones(1).expand(5), learns=nn.Parameter(torch.ones(2)),
                  channels=torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last))
    found = load_pt(saved(tmp_path, values))
    assert equal(values, found) and all(found[name].stride() == value.stride() for name, value in values.items())
    assert isinstance(found["learns"], nn.Parameter) and found["learns"].requires_grad
    assert found["turned"].data_ptr() == found["part"].data_ptr() - 8 * 8  # one memory, as it was
    found["turned"].mul_(2)
    assert torch.equal(found["part"], 2 * values["part"])


def test_the_samplers_of_lhotse(tmp_path):
    pytest.importorskip("lhotse")
    from lhotse import CutSet
    from lhotse.dataset import DynamicBucketingSampler, SimpleCutSampler
    from lhotse.testing.dummies import dummy_cut

    cuts = CutSet.from_cuts(dummy_cut(number, duration=1.0 + number % 5) for number in range(100))
    for kind, options in ((DynamicBucketingSampler, {"num_buckets": 3, "buffer_size": 50}), (SimpleCutSampler, {})):
        sampler = kind(cuts, max_duration=10.0, shuffle=True, **options)
        next(iter(sampler))
        state = sampler.state_dict()
        assert load_pt(saved(tmp_path, state)) == state


def attacks(folder):
    touch = str(folder / "it-ran")
    return {
        "os.system": Runs(os.system, f"touch {touch}"),
        "exec": Runs(exec, f"open({touch!r}, 'w')"),
        "open": Runs(open, touch, "w"),
        "Popen": Runs(subprocess.Popen, ["touch", touch]),
        "inside": {"model": {"weight": torch.ones(2), "x": [Runs(os.system, f"touch {touch}")]}},
        "a loader": Runs(torch.load, touch),
        "of bytes": Runs(torch.storage._load_from_bytes, pickle.dumps(Runs(os.system, f"touch {touch}"))),
        "getattr": Runs(getattr, "text", "upper"),
        "a module": nn.Linear(2, 2),
        "arguments": argparse.Namespace(a=1),
    }


@pytest.mark.parametrize("what", attacks(pathlib.Path()))
def test_what_runs_as_it_is_read_is_refused_and_has_not_run(what, tmp_path):
    path = saved(tmp_path, attacks(tmp_path)[what])
    with pytest.raises(ValueError, match=r"x.pt: refused: it holds \S+, which may run code .* say --trust-checkpoint"):
        load_pt(path)
    assert not (tmp_path / "it-ran").exists()


def test_the_attack_is_one_and_trust_lets_it_run(tmp_path):
    load_pt(saved(tmp_path, Runs(os.system, f"touch {tmp_path / 'it-ran'}")), trust=True)
    assert (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_plain_pickle_is_no_checkpoint_and_has_not_run(tmp_path, protocol):
    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps(Runs(os.system, f"touch {tmp_path / 'it-ran'}"), protocol))
    with pytest.raises(ValueError, match="x.pt: not a whole checkpoint"):
        load_pt(path)
    with zipfile.ZipFile(path, "w") as archive:  # dressed up as one
        archive.writestr("x/data.pkl", pickle.dumps(Runs(os.system, f"touch {tmp_path / 'it-ran'}"), protocol))
    with pytest.raises(ValueError, match="x.pt: refused: it holds (posix|nt).system"):
        load_pt(path)
    assert not (tmp_path / "it-ran").exists()


def test_what_is_no_whole_checkpoint(tmp_path):
    whole = saved(tmp_path, {"model": {"weight": torch.randn(64, 64)}}).read_bytes()
    path = tmp_path / "bad.pt"
    middle = len(whole) // 2
    for bad in (b"", b"PK\x03\x04", b"text", whole[:middle], whole[:middle] + b"\x11" * 64 + whole[middle + 64:]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="bad.pt: not a whole checkpoint"):
            load_pt(path)
    with pytest.raises(ValueError, match="none.pt: no such file"):
        load_pt(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="no such file"):
        load_pt(tmp_path)
    torch.save({"weight": torch.ones(2)}, path, _use_new_zipfile_serialization=False)  # of before torch 1.6
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        load_pt(path)
    assert torch.equal(load_pt(path, trust=True)["weight"], torch.ones(2))


def test_a_tensor_that_claims_memory_that_is_not_there(tmp_path):
    path = saved(tmp_path, [torch.ones(3)])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name, = (name for name in parts if name.endswith("data.pkl"))
    shape = b"K\x03\x85"  # the tuple (3,)
    assert parts[name].count(shape) == 1
    parts[name] = parts[name].replace(shape, b"K\x7f\x85")
    with zipfile.ZipFile(path, "w") as archive:
        for one, content in parts.items():
            archive.writestr(one, content)
    with pytest.raises(ValueError, match="not a whole checkpoint.*out of bounds"):
        load_pt(path)


def test_bake_and_sweep_say_in_one_line_what_they_cannot_take(tmp_path, monkeypatch):
    model = nn.Linear(8, 16)
    net = omni.Supernet(model, omni.Range())
    own = saved(tmp_path, {"model": model.state_dict(), "omni": net.state_dict()}, "own.pt")
    for what in (1, {"a": 1}, {"model": None}, {"model": {}, "omni": 3}):
        with pytest.raises(ValueError, match="x.pt: not "):
            load(saved(tmp_path, what))
    bad = saved(tmp_path, {"model": Runs(os.system, f"touch {tmp_path / 'it-ran'}")}, "bad.pt")
    decode = tmp_path / "decode.py"
    decode.write_text("")
    for program, *words in ((omni.bake, "--sparsity", "0.5", "--out", tmp_path / "o.pt"),
                            (omni.sweep, "--decode", decode, "--out", tmp_path / "o")):
        for path, why in ((own, "own.pt: not of python -m omni.icefall, .* run.sh --stage 4"),
                          (bad, "bad.pt: refused: it holds")):
            monkeypatch.setattr(sys, "argv", ["program", *map(str, words), "--checkpoint", str(path)])
            with pytest.raises(SystemExit, match=f"^error: .*{why}") as stopped:
                program.main()
            assert "\n" not in str(stopped.value)
    assert not (tmp_path / "it-ran").exists() and not (tmp_path / "o.pt").exists()
    command = [sys.executable, "-m", "omni.bake", "--sparsity", "0.5", "--out", tmp_path / "o.pt", "--checkpoint", bad]
    run = subprocess.run([*command, "--trust-checkpoint"], capture_output=True)
    assert run.returncode == 1 and (tmp_path / "it-ran").exists()
