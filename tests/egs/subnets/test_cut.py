"""What stage 4 cuts: of the mean of the checkpoints, with the masks that belong to it, loaded once."""

import pytest
import torch

import omni
from egs.librispeech.omni_sparsity.model.supernet import make_supernet
from egs.librispeech.omni_sparsity.model.transducer import Transducer, shipped
from egs.librispeech.omni_sparsity.subnets import cut
from egs.librispeech.omni_sparsity.subnets.formats import load_subnet


def _state(experiment, name):
    return shipped(load_subnet(experiment.folder / f"{name}.omni.safetensors").state_dict())


def test_the_weights_are_the_mean_over_the_epochs_asked_for(dense):
    """Running averages at the two ends give the mean between them; epochs that do not count leave no trace."""
    start, start_step = dense.drift(1, seed=1)
    end, end_step = dense.drift(2, seed=2)
    dense.stage4(0.0, avg=1)
    found = _state(dense, "sparsity-0")
    assert len(found) > 20 and end_step > start_step > 0
    for name, value in found.items():
        mean = (end[name] * end_step - start[name] * start_step) / (end_step - start_step)
        torch.testing.assert_close(value, mean.float(), msg=name)
        assert not torch.allclose(value, end[name].float())
    dense.stage4(0.0, avg=2)
    for name, value in _state(dense, "sparsity-0").items():
        torch.testing.assert_close(value, end[name].float(), msg=name)


@pytest.mark.parametrize("progress, epochs", [((0.61, 1.0), 1), ((0.6, 1.0), 1), ((0.59, 1.0), 0), ((0.2, 0.5), 0)])
def test_no_mean_reaches_back_to_where_sizes_still_changed(supernet, capsys, progress, epochs):
    """Of two epochs that were asked for: grow_until is 0.6, and the first one ended before or after it."""
    ends = [supernet.drift(1, seed=1), supernet.drift(2, seed=2)]
    for number, share in enumerate(progress, 1):
        file = supernet.path / f"epoch-{number}.pt"
        torch.save({**torch.load(file), "scheduler": {"progress": share}}, file)
    supernet.stage4(0.0, avg=2)
    assert f"sizes changed until 0.6 of the training: averaging {epochs} epoch(s), not 2" in capsys.readouterr().out
    (start, start_step), (end, end_step) = ends
    last = torch.load(supernet.path / "epoch-2.pt")["model"]
    for name, value in _state(supernet, "sparsity-0").items():
        mean = (end[name] * end_step - start[name] * start_step) / (end_step - start_step) if epochs else last[name]
        torch.testing.assert_close(value, mean.float(), msg=name)


def test_a_dense_training_is_cut_by_the_weights_that_it_has(dense):
    """Its masks were last ranked during training: after a drift that order is another."""
    dense.drift(2, seed=3, size=5.0)
    subnets = dense.stage4(0.0, 0.5, 0.9, avg=2)
    assert [(subnet.system, subnet.origin) for subnet in subnets] == [
        ("dense", "own training"), ("oneshot", "uniform"), ("oneshot", "uniform")]
    whole = _state(dense, "sparsity-0")
    for sparsity in (0.5, 0.9):
        found = _state(dense, f"sparsity-{sparsity:g}")
        model = Transducer(dense.config.model)
        model.load_state_dict(whole, strict=False)
        targets = make_supernet(model, dense.config.omni, 0).targets
        for name, target in targets.items():
            blocks = target.blocks.split(whole[name]).abs().mean(dim=(1, 3)).flatten()  # mean magnitude of each
            kept = (target.blocks.split(found[name]) != 0).any(dim=3).any(dim=1).flatten()
            assert int((~kept).sum()) > 0 and blocks[kept].min() >= blocks[~kept].max(), name
            assert torch.equal(found[name][found[name] != 0], whole[name][found[name] != 0])


def test_a_supernet_keeps_the_masks_that_it_trained_with(supernet):
    supernet.drift(2, seed=3, size=5.0)
    ranks = torch.load(supernet.path / "epoch-2.pt")["omni"]
    supernet.stage4(0.5, avg=2)
    model = Transducer(supernet.config.model)
    net = make_supernet(model, supernet.config.omni, 0)
    net.load_state_dict(ranks)
    state = _state(supernet, "sparsity-0.5")
    for name in net.targets:
        assert torch.equal(state[name] != 0, net.mask(name, 0.5)), name


def test_each_is_what_pruning_alone_gives_and_checkpoints_are_loaded_once(supernet, monkeypatch):
    calls = []
    load = cut.load_averaged
    monkeypatch.setattr(cut, "load_averaged", lambda *a: calls.append(a) or load(*a))
    supernet.stage4(0.9, 0.5, 0.0)  # each is cut from the whole network, not from what the one before left
    assert len(calls) == 1
    for sparsity in (0.0, 0.5, 0.9):
        cutter = cut.Cutter(supernet.config, supernet.path, {"epoch": 2, "avg": 1, "precision": "float32"},
                            supernet.data_dir / "lang_bpe_20/bpe.model", "")
        cutter.net.prune_(cutter.net.uniform(sparsity))
        alone, found = shipped(cutter.net.model.state_dict()), _state(supernet, f"sparsity-{sparsity:g}")
        assert all(torch.equal(alone[name], found[name]) for name in alone) and set(alone) == set(found)


def test_what_is_said_of_one_is_measured_on_its_file(supernet):
    (subnet,) = supernet.stage4(0.5)
    state = _state(supernet, "sparsity-0.5")
    assert subnet.params_total == sum(v.numel() for v in state.values())
    assert subnet.params_nonzero == sum(int(v.count_nonzero()) for v in state.values()) < subnet.params_total
    assert subnet.bytes == (supernet.folder / "sparsity-0.5.omni.safetensors").stat().st_size
    assert subnet.measured_sparsity == pytest.approx(0.5, abs=0.01) and (subnet.epoch, subnet.avg) == (2, 1)
    assert omni.load_spec(supernet.folder / "sparsity-0.5.json", Transducer(supernet.config.model))
