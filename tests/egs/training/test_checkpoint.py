"""Averages and checkpoints."""

import pytest
import torch

from egs.librispeech.omni_sparsity.recorded import record
from egs.librispeech.omni_sparsity.training import checkpoint as ckpt
from omni.errors import UserError


def test_running_averages_give_the_mean_between_two_points():
    values = [torch.tensor([float(step)]) for step in range(1, 13)]
    average, kept = ckpt.RunningAverage({"w": torch.zeros(1)}), {}
    for step in range(2, 13, 2):
        average.update({"w": values[step - 1]}, step, 2)
        kept[step] = {"w": average.state["w"].clone()}
    assert kept[6]["w"].item() == pytest.approx((2 + 4 + 6) / 3)
    assert ckpt.average_between(kept[12], 12, kept[6], 6)["w"].item() == pytest.approx((8 + 10 + 12) / 3)


def test_old_checkpoints_go_and_the_newest_is_found(tmp_path):
    for step in (3, 20, 100):
        ckpt.save_checkpoint(tmp_path / f"checkpoint-{step}.pt", {"batch_idx_train": step})
    ckpt.save_checkpoint(tmp_path / "epoch-2.pt", {"batch_idx_train": 60})
    assert ckpt.newest_checkpoint(tmp_path).name == "checkpoint-100.pt"
    ckpt.remove_old(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.glob("c*.pt")) == ["checkpoint-100.pt", "checkpoint-20.pt"]
    ckpt.remove_old(tmp_path, 0)
    assert ckpt.newest_checkpoint(tmp_path).name == "epoch-2.pt"


def test_a_broken_or_absent_checkpoint_is_named(tmp_path):
    (tmp_path / "epoch-1.pt").write_bytes(b"half")
    with pytest.raises(UserError, match="epoch-1.pt: not a whole checkpoint"):
        ckpt.load_checkpoint(tmp_path / "epoch-1.pt")
    with pytest.raises(UserError, match="epoch-3.pt: no such checkpoint; there are epoch-1.pt"):
        ckpt.load_checkpoint(tmp_path / "epoch-3.pt")


def test_a_checkpoint_of_other_settings_names_them(config, tmp_path):
    ckpt.check_settings({"settings": record(config)}, config, tmp_path / "epoch-1.pt")
    with pytest.raises(UserError, match="epoch-1.pt: does not say what it was trained with"):
        ckpt.check_settings({"model": {}}, config, tmp_path / "epoch-1.pt")
    was = record(config)
    config.train.base_lr = 0.5
    with pytest.raises(UserError, match=r"epoch-1.pt: trained with other settings \(train.base_lr was 0.002, is 0.5\)"):
        ckpt.check_settings({"settings": was}, config, tmp_path / "epoch-1.pt")
