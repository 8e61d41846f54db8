"""Settings in clear: what voids a record, and what does not. The committed trainings are the proof."""

import json
from pathlib import Path

import pytest

from egs.librispeech.omni_sparsity.config import load_config
from egs.librispeech.omni_sparsity.experiments import trainings
from egs.librispeech.omni_sparsity.experiments.condition import RECIPE, jobs, load_condition
from egs.librispeech.omni_sparsity.experiments.jobs import scaled
from egs.librispeech.omni_sparsity.recorded import differences, record

ROOT = Path(__file__).parents[2]
# In each file: how many, and of them what was trained by settings that are none any more.
COMMITTED = [
    ("codes", 1, 32, {"dense-gradient": "omni.gradient was dense", "split": "omni.sampling was split",
                      "sandwich": "omni.sampling was sandwich", "random": "omni.p_max was 0.6",
                      "layerwise": "omni.p_max was 0.6"}),
    ("codes", 0.25, 18, {}), ("codes", 2, 6, {}), ("codes", 3.5, 6, {}), ("mini", 1, 12, {}), ("mini", 2, 2, {})]


def mini(*changes):
    return record(load_config(ROOT / RECIPE / "conf/mini.yaml", list(changes)))


def committed(condition: str, budget: float) -> Path:
    return ROOT / RECIPE / "results" / (condition + (f"-{budget:g}x" if budget != 1 else "")) / "trainings.json"


@pytest.mark.parametrize("name, budget, count, gone", COMMITTED)
def test_committed_trainings_are_of_use_but_those_of_settings_that_went(name, budget, count, gone, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = committed(name, budget)
    whole = json.loads(path.read_text())
    condition = scaled(load_condition(RECIPE / f"conf/reproduce/{name}.yaml"), budget)
    # A name alone refuses nothing: those that went are asked for too, with the settings that are left of theirs.
    condition.ablations.update({strategy: {} for strategy in gone})
    asked = {job.name: job for job in jobs(condition, [1, 2, 3])}
    used = {job.name for job in trainings.read(path, condition, list(asked.values()))}
    refused = {f"{strategy}-seed-1": said for strategy, said in gone.items()}
    assert used == set(whole["trainings"]) - set(refused) and len(used) == count - len(gone)
    for training, said in refused.items():
        then = {"settings": whole["trainings"][training]["settings"], "defaults": whole["defaults"]}
        assert f"{said}, is no setting any more" in differences(then, trainings.settings_of(condition, asked[training]))


def test_committed_trainings_survive_settings_that_come_and_go_with_their_default(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    condition = load_condition(RECIPE / "conf/reproduce/mini.yaml")
    todo = list(jobs(condition, [1, 2, 3]))
    whole = json.loads(committed("mini", 1).read_text())

    def used(**edit):
        (tmp_path / "t.json").write_text(json.dumps({**whole, **edit}))
        return len(trainings.read(tmp_path / "t.json", condition, todo))

    base = {name: value for name, value in whole["defaults"].items()}
    gone, come = {**base, "train.was": 3}, {n: v for n, v in base.items() if n != "train.weight_decay"}
    assert used(defaults=gone) == 12  # they had a setting that is none any more, at its default
    assert used(defaults={n: v for n, v in base.items() if n != "train.init_from"}) == 12  # and lacked one that came
    assert (used(defaults=come) == 12
            and used(defaults={**base, "train.optimizer": "adam"}) == 0)  # a default that changed
    others = {name: {**of, "settings": {**of["settings"], "train.was": 4}} for name, of in whole["trainings"].items()}
    assert used(defaults=gone, trainings=others) == 0


def test_differences_name_the_setting_and_both_values():
    assert differences(mini(), mini("decode.avg=1", "train.valid_utterances=9", "loss.backend=native")) == []
    assert differences(mini(), mini("train.base_lr=0.5")) == ["train.base_lr was 0.002, is 0.5"]
    there = mini()
    there["settings"]["omni.old"], there["defaults"]["omni.old"] = 1, 0
    del there["defaults"]["omni.targets"]
    assert differences(there, mini()) == ["omni.old was 1, is no setting any more"]
    assert differences(there, mini("omni.targets={'encoder.*ff.*weight': {high: 0.5}}")) == [
        "omni.old was 1, is no setting any more",
        "omni.targets was no setting, is {'encoder.*ff.*weight': {'high': 0.5}}"]


@pytest.mark.parametrize("strategy, same", [("dense", True), ("gradual", True), ("smallest_first", False)])
def test_one_size_does_not_care_for_what_is_of_several(strategy, same):
    one = mini(f"omni.strategy={strategy}")
    assert (not differences(one, mini(f"omni.strategy={strategy}", "omni.private=[]", "omni.bins=[]"))) == same
    assert differences(one, mini(f"omni.strategy={strategy}", "omni.refresh_every=7"))


def test_another_strategy_is_another_training():
    assert differences(mini("omni.strategy=dense"), mini()) == ["omni.strategy was dense, is smallest_first"]


def test_a_record_is_json():
    assert json.loads(json.dumps(mini())) == mini()


def test_a_strategy_is_not_held_to_the_settings_of_another():
    """A default of the strategy that ships may change: dense trainings had nothing of it."""
    assert not {"omni.sizes", "omni.prune_to", "omni.private"} & mini("omni.strategy=dense")["defaults"].keys()
    assert {"omni.sizes", "omni.private"} <= mini()["defaults"].keys() and "omni.prune_to" not in mini()["defaults"]
