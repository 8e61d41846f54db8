"""Which trainings a condition asks for."""

import argparse
from pathlib import Path

import pytest

from egs.librispeech.omni_sparsity.config import load_config
from omni.errors import UserError
from egs.librispeech.omni_sparsity.experiments.condition import RECIPE, jobs, load_condition
from egs.librispeech.omni_sparsity.experiments.jobs import ask, command, parse_seeds, parse_specs, scaled

ROOT = Path(__file__).resolve().parents[3]
CONDITIONS = sorted((ROOT / RECIPE / "conf/reproduce").glob("*.yaml"))


@pytest.mark.parametrize("path", CONDITIONS, ids=lambda path: path.stem)
def test_every_condition_that_ships_is_whole(path):
    condition = load_condition(path)
    found = list(jobs(condition, condition.seeds))
    assert len({job.name for job in found}) == len(found)
    for job in found:
        config = load_config(ROOT / RECIPE / "conf" / condition.config, list(job.settings))
        assert config.train.seed == job.seed
        assert config.omni.strategy.of_one_size == (job.system != "omni")
        assert config.omni.strategy.system in (job.system, "omni") and (job.system != "dense" or 0.0 in job.sparsities)
        assert job.system != "pruned" or config.omni.strategy.prune_to == job.sparsities[0]


def test_a_seed_is_six_trainings_and_ablations_come_last():
    condition = load_condition(CONDITIONS[0])
    condition.sparsities, condition.ablations = [0.5, 0.8], {"sandwich": {"omni.strategy": "sandwich"}}
    names = [job.name for job in jobs(condition, [3, 1])]
    assert names == [
        "dense-seed-3", "omni-seed-3", "pruned-0.5-seed-3", "pruned-0.8-seed-3",
        "dense-seed-1", "omni-seed-1", "pruned-0.5-seed-1", "pruned-0.8-seed-1", "sandwich-seed-3",
    ]
    assert len(list(jobs(condition, [3], ablations=False))) == 4
    words = command(condition, list(jobs(condition, [3]))[2], Path("exp/x"))
    assert words[:1] == ["./run.sh"] and words[words.index("--sparsities") + 1] == "0.5"
    assert "omni.prune_to=0.5" in words and words[words.index("--exp-dir") + 1] == "exp/x/pruned-0.5-seed-3"


def test_specs_are_cut_out_of_omni_and_of_the_dense_model(tmp_path):
    spec = tmp_path / "0.6MB.json"
    spec.write_text("{}")
    given = argparse.Namespace(seeds="1", sparsities="0.5", specs=str(spec), ablations=0, out=tmp_path)
    found = ask("mini", load_condition(CONDITIONS[0]), given)
    words = {job.name: command(found.condition, job, found.out) for job in found.todo}
    with_specs = {name for name, said in words.items() if "--specs" in said}
    assert with_specs == {"dense-seed-1", "omni-seed-1"} < set(words)
    assert words["omni-seed-1"][words["omni-seed-1"].index("--specs") + 1] == str(spec)
    omni, pruned = found.todo[1:]
    assert omni.subnets == ["sparsity-0", "sparsity-0.5", "0.6MB"] and pruned.subnets == ["sparsity-0.5"]
    assert omni.wants("0.6MB") and pruned.wants("own-0.5") and not pruned.wants("sparsity-0")
    (tmp_path / "sparsity-0.5.json").write_text("{}")
    for wrong, says in (("gone.json", "no such file"), ("sparsity-0.5.json", "what --sparsities makes"),
                        ("a!.json", "no name for a sub-network")):
        with pytest.raises(UserError, match=says):
            parse_specs(str(tmp_path / wrong), [])


def test_a_budget_is_for_all_systems_alike():
    condition = load_condition(ROOT / RECIPE / "conf/reproduce/mini.yaml")
    condition.ablations = {"short": {"train.num_epochs": 3}, "plain": {}}
    condition.systems["omni"]["train.num_epochs"] = 4
    found = {}
    for job in jobs(scaled(condition, 2.5), [1]):
        config = load_config(ROOT / RECIPE / "conf" / condition.config, list(job.settings))
        found[job.name] = config.train.num_epochs
    assert found == {"dense-seed-1": 15, "omni-seed-1": 10, "short-seed-1": 7, "plain-seed-1": 10,
                     **{f"pruned-{size}-seed-1": 15 for size in (0.5, 0.7, 0.8, 0.9)}}
    assert scaled(condition, 1.0) is condition
    for wrong in (0.0, -1.0, float("nan"), float("inf"), 0.01):
        with pytest.raises(UserError, match="--budget .*: want a number that leaves an epoch"):
            scaled(condition, wrong)


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(UserError, match="maxi.yaml: no such condition; there are .*mini"):
        load_condition(ROOT / RECIPE / "conf/reproduce/maxi.yaml")
    (tmp_path / "a.yaml").write_text("corpus: mini\ncolour: red\n")
    with pytest.raises(UserError, match="a.yaml: not a condition .*colour"):
        load_condition(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("corpus: mini\n")
    with pytest.raises(UserError, match=r"a.yaml: not a condition \(config is missing\); want corpus, hours"):
        load_condition(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("{corpus: mini, hours: 1, config: mini.yaml, sparsities: [0.5], "
                                     "systems: {dense: {}}}")
    with pytest.raises(UserError, match="systems dense: want dense, pruned, omni"):
        load_condition(tmp_path / "b.yaml")
    with pytest.raises(UserError, match="--seeds one: want whole numbers"):
        parse_seeds("one", [1])
    assert parse_seeds("", [4]) == [4] and parse_seeds("2 1 2", []) == [2, 1]
