"""What egs.librispeech.omni_sparsity.experiments makes of the results of several trainings."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from egs.librispeech.omni_sparsity.decoding import scoring
from omni.errors import UserError
from egs.librispeech.omni_sparsity.report import results
from egs.librispeech.omni_sparsity.experiments import compare, condition, show, statistics, trainings
from egs.librispeech.omni_sparsity.experiments.jobs import ask

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / condition.RECIPE / "results"

WORDS = [["PLAY", "MUSIC"], ["TURN", "OFF", "THE", "LIGHT"], ["STOP", "NOW"], ["SET", "A", "TIMER", "PLEASE"]] * 5


def write(folder, system, errors, passes, seed, brought={}):
    """A training's results on test-clean: {sparsity, or name of a sub-network by a spec: share of the words that are
    wrong}.

    Uniform ones as older files have them, without a name. What is `brought` has a sparsity of 0.83.
    """
    draw = np.random.RandomState(seed)
    subnets = []
    for size, share in {**errors, **brought}.items():
        sparsity, name = (0.83, size) if size in brought else (size, f"sparsity-{size:g}")
        what = {"name": name, "bytes": 250} if size in brought else {"size_bytes": 1000 - round(900 * sparsity)}
        subnets.append({
            "system": system if sparsity or system != "oneshot" else "dense", **what,
            "sparsity": sparsity, "measured_sparsity": sparsity, "spec": "s", "params_total": 100,
            "params_nonzero": 100 - round(90 * sparsity), "train_passes": passes, "train_seconds": 60.0,
            "checkpoint": "5eed",
        })
        results = [(str(i), ref, ["X" if draw.rand() < share else word for word in ref]) for i, ref in enumerate(WORDS)]
        suffix = f"epoch-1-avg-1-{name}"
        scoring.save_results(folder / "greedy_search", "test-clean", suffix, results)
        (folder / "greedy_search" / f"decode-test-clean-{suffix}.json").write_text(json.dumps({
            **({"name": name} if size in brought else {}), "sparsity": sparsity, "test_set": "test-clean",
            "method": "greedy_search", "suffix": suffix, "rtf": 0.1, "loss_backend": "native", "checkpoint": "5eed"}))
    (folder / "subnets").mkdir(parents=True, exist_ok=True)
    (folder / "subnets/subnets.json").write_text(json.dumps(subnets))
    (folder / "results.json").write_text("[]")


@pytest.fixture
def setting():
    systems = {"dense": {"omni.strategy": "dense"}, "pruned": {"omni.strategy": "gradual"}, "omni": {}}
    ablations = {"sandwich": {}}
    return condition.Condition("mini", 8.0, "mini.yaml", [0.5, 0.9], [1, 2], systems=systems, ablations=ablations)


@pytest.fixture
def out(tmp_path):
    for seed in (1, 2):
        write(tmp_path / f"dense-seed-{seed}", "oneshot", {0.0: 0.1, 0.5: 0.6, 0.9: 0.9}, 1000, seed)
        write(tmp_path / f"omni-seed-{seed}", "omni", {0.0: 0.1, 0.5: 0.1, 0.9: 0.2}, 900, 10 + seed)
        write(tmp_path / f"pruned-0.5-seed-{seed}", "pruned", {0.5: 0.3}, 1000, 20 + seed)
    write(tmp_path / "pruned-0.9-seed-1", "pruned", {0.9: 0.5}, 1000, 31)
    return tmp_path


def asked(setting, out, seeds="1 2", sparsities=""):
    return ask("mini", setting, argparse.Namespace(seeds=seeds, sparsities=sparsities, specs="", ablations=1, out=out))


def test_a_table_of_what_is_there(setting, out):
    trained, missing = compare.collect(asked(setting, out))
    assert missing == ["pruned-0.9-seed-2", "sandwich-seed-1"]
    found = compare.by_key(trained)
    rows = {(row["system"], row["sparsity"]): row for row in compare.table(found)}
    assert set(rows) == {("dense", 0.0), ("oneshot", 0.5), ("oneshot", 0.9), ("pruned", 0.5), ("pruned", 0.9),
                         ("omni", 0.0), ("omni", 0.5), ("omni", 0.9)}
    omni, pruned = rows["omni", 0.5], rows["pruned", 0.5]
    assert omni["seeds"] == [1, 2] and rows["pruned", 0.9]["seeds"] == [1]
    assert omni["wer"] == pytest.approx(np.mean(omni["wer_by_seed"]), abs=0.02)
    assert omni["ci95"][0] < omni["wer"] < omni["ci95"][1]
    by_seed = [100 * (ours / theirs - 1) for ours, theirs in zip(omni["wer_by_seed"], pruned["wer_by_seed"])]
    assert omni["rel_diff_vs_pruned"] == pytest.approx(np.mean(by_seed), abs=0.1)
    assert omni["rel_diff_ci95"] == pytest.approx(statistics.t_interval(by_seed), rel=0.02)
    assert (omni["interval"], omni["rel_diff_interval"], omni["rel_diff_seeds"]) == ("t-seeds", "t-seeds", [1, 2])
    assert omni["ci95"][1] == pytest.approx(statistics.t_interval(omni["wer_by_seed"])[1], abs=0.1)
    assert rows["pruned", 0.9]["interval"] == "bootstrap-utterances"
    assert all(row["comparison"] == "paper" for row in rows.values())
    assert omni["passes_ratio"] == 0.9 and pruned["passes_ratio"] == 1.0 and pruned["rel_diff_vs_pruned"] is None
    assert rows["omni", 0.9]["interval"] == "t-seeds" and rows["omni", 0.9]["rel_diff_seeds"] == [1]
    assert rows["omni", 0.9]["rel_diff_ci95"] == rows["omni", 0.9]["rel_diff_ci95_utterances"]  # one seed
    assert rows["omni", 0.9]["rel_diff_interval"] == "bootstrap-utterances" and rows["omni", 0.9]["claim"] == "better"
    alone = rows["omni", 0.9]["rel_diff_vs_pruned"]  # over the seed that both have
    ours = json.loads(json.dumps(rows["omni", 0.9]["wer_by_seed"]))[0]
    assert alone == pytest.approx(100 * (ours / rows["pruned", 0.9]["wer"] - 1), abs=0.2)
    mean, = compare.means(found)
    assert (mean["strategy"], mean["names"], mean["seeds"]) == ("omni", ["sparsity-0.5", "sparsity-0.9"], [1])
    first = [ours / theirs - 1 for ours, theirs in (
        (rows["omni", s]["wer_by_seed"][0], rows["pruned", s]["wer_by_seed"][0]) for s in (0.5, 0.9))]
    assert mean["rel_diff_vs_pruned"] == pytest.approx(100 * np.mean(first), abs=0.1)
    assert mean["rel_diff_ci95"][0] < mean["rel_diff_vs_pruned"] < mean["rel_diff_ci95"][1]
    cost = compare.totals(trained)
    assert cost["omni"]["train_passes"] == 900 and set(cost) == {"omni", "dense", "pruned 0.5", "pruned 0.9"}


def test_files(setting, out, monkeypatch, capsys):
    monkeypatch.setattr(compare, "read", lambda args: asked(setting, out))
    write(out / "sandwich-seed-1", "omni", {0.0: 0.1, 0.5: 0.2, 0.9: 0.3}, 2700, 77)
    compare.main(["--command", "tools/reproduce.sh --seeds '1 2'"])
    found = json.loads((out / "table.json").read_text())
    assert found["command"] == "tools/reproduce.sh --seeds '1 2'" and found["missing"] == ["pruned-0.9-seed-2"]
    text = (out / "TABLE.md").read_text()
    assert capsys.readouterr().out == text + "\n"
    assert "**Not trained yet: pruned-0.9-seed-2.**" in text
    assert "Means over seeds 1, 2. The 95% intervals are Student's over them" in text
    assert "**An interval over fewer than 5 seeds is no claim.**" in text and found["comparison"] == "paper"
    assert "## Ablations\n\nOf seed 1.\n" in text and "| sandwich | 2,700 |" in text
    whole = next(row for row in found["rows"] if (row["strategy"], row["sparsity"]) == ("omni", 0.0))
    assert f"| omni | 900 | {whole['wer_by_seed'][0]:.2f} |" in text and whole["seeds"] == [1, 2]
    mean, = (mean for mean in found["means"] if mean["strategy"] == "omni")
    assert f"Mean of the differences at the pruned sizes that both have: {mean['rel_diff_vs_pruned']:+.1f}% [" in text
    assert f"], {mean['claim']}.\n" in text
    line = next(line for line in text.splitlines() if line.startswith("| 0.5 |"))
    omni = next(row for row in found["rows"] if (row["strategy"], row["sparsity"]) == ("omni", 0.5))
    assert line.startswith("| 0.5 | 0.00 |") and f" | {omni['claim']} | " in line  # 550 bytes
    assert f"| {omni['wer']:.2f} [" in line and f"| {omni['rel_diff_vs_pruned']:+.1f}% [" in line
    assert "| all sizes, each on its own | 3,000 | 3.0 |" in text
    assert (out / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert set(json.loads((out / "trainings.json").read_text())["trainings"]) == {
        job.name for job in condition.jobs(setting, [1, 2])} - {"pruned-0.9-seed-2"}


def test_what_has_the_same_name_is_compared(setting, out, monkeypatch):
    """A sub-network by a spec has rows where it is; it is compared where a model of its own has one of that name."""
    write(out / "omni-seed-1", "omni", {0.0: 0.1, 0.5: 0.1, 0.9: 0.2}, 900, 11, {"0.6MB": 0.15, "own-0.9": 0.1})
    write(out / "dense-seed-1", "oneshot", {0.0: 0.1, 0.5: 0.6, 0.9: 0.9}, 1000, 1, {"0.6MB": 0.7})
    write(out / "pruned-0.9-seed-1", "pruned", {0.9: 0.5}, 1000, 31, {"own-0.9": 0.3})
    monkeypatch.setattr(compare, "read", lambda args: asked(setting, out, "1"))
    compare.main([])
    table = json.loads((out / "table.json").read_text())
    rows = {(row["system"], row["name"]): row for row in table["rows"]}
    names = ["sparsity-0", "sparsity-0.5", "0.6MB", "own-0.9", "sparsity-0.9"]  # the densest first
    assert [row["name"] for row in table["rows"] if row["system"] == "omni"] == names
    assert {name for system, name in rows if system == "oneshot"} == {"sparsity-0.5", "0.6MB", "sparsity-0.9"}
    one = rows["omni", "0.6MB"]
    assert (one["sparsity"], one["bytes"], one["rel_diff_vs_pruned"]) == (0.83, 250, None) and "size_bytes" not in one
    own, theirs = rows["omni", "own-0.9"], rows["pruned", "own-0.9"]
    assert own["rel_diff_vs_pruned"] == pytest.approx(100 * (own["wer"] / theirs["wer"] - 1), abs=0.2)
    mean, = table["means"]
    assert mean["names"] == ["sparsity-0.5", "own-0.9", "sparsity-0.9"]
    # trainings, not sub-networks
    assert table["totals"]["pruned 0.9"]["train_passes"] == 1000 and len(table["totals"]) == 4
    text = (out / "TABLE.md").read_text()
    assert f"| 0.6MB (0.83) | 0.00 |  | {show._cell(one)} |  |  | {show._cell(rows['oneshot', '0.6MB'])} |" in text
    # two own models that one spec cuts are no one model
    write(out / "pruned-0.5-seed-1", "pruned", {0.5: 0.3}, 1000, 21, {"own-0.9": 0.3})
    with pytest.raises(UserError, match="own-0.9 on test-clean is in pruned-0.5-seed-1 .* and in pruned-0.9-seed-1 "):
        compare.by_key(compare.collect(asked(setting, out, "1"))[0])


def test_two_ways_of_decoding_are_no_one_result(setting, out):
    shutil.copytree(out / "omni-seed-1/greedy_search", out / "omni-seed-1/beam_search")
    for path in (out / "omni-seed-1/beam_search").glob("decode-*.json"):
        path.write_text(path.read_text().replace("greedy", "beam"))
    with pytest.raises(UserError, match=r"in omni-seed-1 \(beam_search\) and in omni-seed-1 \(greedy_search\): "
                                        "keep one"):
        compare.by_key(compare.collect(asked(setting, out))[0])


def test_one_seed_is_no_mean(setting, out):
    trained, _ = compare.collect(asked(setting, out, "1"))
    found = compare.by_key(trained)
    text = show.markdown({"condition": "mini", "command": "tools/reproduce.sh", "missing": [],
                          "totals": compare.totals(trained), "rows": compare.table(found),
                          "means": compare.means(found), "comparison": "paper"})
    assert "One seed (1). The 95% intervals are those of a bootstrap over utterances (10,000 resamples), paired" in text
    assert "do not say what another seed would give" in text and "Student" not in text


@pytest.mark.parametrize("cut, said", [(90.0, True), (20.0, False)])
def test_the_picture_says_what_lies_above_it(monkeypatch, tmp_path, cut, said):
    figures = []
    monkeypatch.setattr(show, "Figure", lambda figure=show.Figure, **how: figures.append(figure(**how)) or figures[-1])
    show.picture([
        {"test_set": "test-clean", "strategy": system, "system": system, "name": "sparsity-0.5", "bytes": 1e6,
         "wer": wer, "ci95": [wer, wer], "interval": "bootstrap-utterances", "seeds": [1], "wer_by_seed": [wer],
         "comparison": "paper"}
        for system, wer in (("pruned", 20.0), ("oneshot", cut))], tmp_path / "pareto.png")
    legend = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    assert "each pruned on its own" in legend
    assert ("dense, cut without training (above the picture)" in legend) == said and len(legend) == 2


def test_trainings_can_be_had_from_a_file(setting, out, tmp_path_factory):
    trained, missing = compare.collect(asked(setting, out))
    path, elsewhere = out / "trainings.json", tmp_path_factory.mktemp("elsewhere")
    trainings.write(setting, trained, path)
    again, still_missing = compare.collect(asked(setting, elsewhere), path)
    assert still_missing == missing
    assert compare.table(compare.by_key(again)) == compare.table(compare.by_key(trained))
    trainings.write(setting, again, elsewhere / "trainings.json")
    assert (elsewhere / "trainings.json").read_bytes() == path.read_bytes()
    # A default that is spelled out changes nothing, nor does what a baseline has no use for.
    setting.systems["omni"]["omni.dropout"] = "none"
    setting.systems["pruned"]["omni.bins"] = []
    assert compare.collect(asked(setting, elsewhere), path)[1] == missing
    # Those of other settings are left out; a folder goes before the file.
    setting.systems["omni"]["omni.dropout"] = "linear"
    write(elsewhere / "pruned-0.5-seed-1", "pruned", {0.5: 0.9}, 1000, 5)
    mixed, missing = compare.collect(asked(setting, elsewhere), path)
    assert missing == ["omni-seed-1", "omni-seed-2", "pruned-0.9-seed-2", "sandwich-seed-1"]
    wer = {job.name: of[0].row["wer"] for job, of in mixed.items() if job.system == "pruned"}
    assert wer["pruned-0.5-seed-1"] > wer["pruned-0.5-seed-2"]


def test_other_utterances_are_no_comparison(setting, out):
    trained, _ = compare.collect(asked(setting, out))
    first = next(iter(trained))
    trained[first] = [type(one)(one.row, one.utterances[1:]) for one in trained[first]]
    with pytest.raises(UserError, match="omni-seed-1: test-clean is of other utterances than with dense-seed-1"):
        trainings.words(trained)


@pytest.mark.parametrize("text, says", [
    (None, "no such file"), ("[]", "not a trainings.json"), ("{", "not a trainings.json"),
    ('{"defaults": DEFAULTS, "sets": {"t": [3, 4]}, "trainings": {"dense-seed-1": {"settings": SETTINGS, "rows": '
     '[{"test_set": "t", "errors": [1]}]}}}', "1 utterances of 2"),
])
def test_a_file_that_is_no_good_is_named(setting, tmp_path, text, says):
    todo = list(condition.jobs(setting, [1]))
    path = tmp_path / "mine.json"
    if text:
        record = trainings.settings_of(setting, todo[0])
        path.write_text(text.replace("DEFAULTS", json.dumps(record["defaults"]))
                        .replace("SETTINGS", json.dumps(record["settings"])))
    with pytest.raises(UserError, match=f"mine.json: .*{says}"):
        trainings.read(path, setting, todo)


def test_nothing_is_done_yet(setting, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare, "read", lambda args: asked(setting, tmp_path, "1"))
    with pytest.raises(SystemExit) as stop:
        compare.main([])
    assert stop.value.code == 2 and "no training of condition mini is done" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_picture_marks_what_a_spec_cut(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(show, "Figure", lambda figure=show.Figure, **how: figures.append(figure(**how)) or figures[-1])
    show.picture([
        {"test_set": "test-clean", "strategy": "omni", "system": "omni", "name": name, "bytes": size, "wer": wer,
         "ci95": [wer, wer], "interval": "bootstrap-utterances", "seeds": [1], "wer_by_seed": [wer]}
        for name, size, wer in (("sparsity-0", 3e6, 5.0), ("0.6MB", 6e5, 7.0), ("sparsity-0.5", 2e6, 6.0))],
        tmp_path / "p.png")
    line, points = figures[0].axes[0].get_lines()
    assert list(line.get_xdata()) == [2.0, 3.0] and list(points.get_xdata()) == [0.6]
    assert points.get_linestyle() == "None" and points.get_label() == "omni: one training, by a spec"


def test_the_picture_needs_no_baseline(tmp_path):
    rows = [{"name": f"sparsity-{s:g}", "system": "omni", "strategy": "omni", "sparsity": s, "test_set": "test-clean",
             "wer": 5.0, "ci95": [4, 6], "bytes": 10**6, "interval": "t-seeds", "seeds": [1, 2],
             "wer_by_seed": [4.0, 6.0]}
            for s in (0.0, 0.5)]
    show.picture(rows, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_sizes_can_be_chosen_from_a_file_that_has_more(setting, out, tmp_path_factory):
    trained, _ = compare.collect(asked(setting, out))
    trainings.write(setting, trained, out / "trainings.json")
    few, missing = compare.collect(asked(setting, tmp_path_factory.mktemp("few"), sparsities="0.5"),
                                   out / "trainings.json")
    assert missing == ["sandwich-seed-1"]
    assert {key[2] for key in compare.by_key(few)} == {"sparsity-0", "sparsity-0.5"}
    assert compare.by_key(few)["omni", "omni", "sparsity-0.5", "test-clean"][2].row == trained[next(
        job for job in trained if job.name == "omni-seed-2")][1].row


def test_no_error_of_the_other_is_no_ratio():
    one, none = (results.Decoded({}, [trainings.Counted(errors, 4)] * 5) for errors in (1, 0))
    assert compare.difference(({1: one}, {1: none})) == compare.NO_DIFFERENCE
    assert compare.difference(({1: one}, {2: one})) == compare.NO_DIFFERENCE  # no seed that both have
    assert compare.difference(({1: none}, {1: one}))["rel_diff_vs_pruned"] == -100.0


def test_a_claim_wants_both_intervals():
    """Two seeds that agree to the digit, on utterances that do not tell them apart from the baseline."""
    theirs = [trainings.Counted(errors, 4) for errors in (2, 0, 2, 0)]
    ours = [trainings.Counted(errors, 4) for errors in (0, 2, 1, 0)]
    pair = tuple({seed: results.Decoded({}, of) for seed in (1, 2)} for of in (ours, theirs))
    found = compare.difference(pair)
    assert found["rel_diff_vs_pruned"] == -25.0 and found["rel_diff_ci95"] == [-25.0, -25.0]
    assert found["rel_diff_ci95_utterances"][0] < 0 < found["rel_diff_ci95_utterances"][1]
    assert found["claim"] == "undecided"


def test_equal_total_takes_models_of_their_own_from_another_budget(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    small = ["--condition", "codes", "--seeds", "1 2", "--sparsities", "0.9", "--ablations", "0"]
    given = ["--reuse", str(RESULTS / "codes/trainings.json"), "--against", str(RESULTS / "codes-0.25x/trainings.json")]
    compare.main([*small, *given, "--against-budget", "0.25", "--out", str(tmp_path)])
    assert "all of them together had 0.49 times the passes of omni" in capsys.readouterr().out
    found = json.loads((tmp_path / "table.json").read_text())
    assert found["comparison"] == "equal_total" and found["missing"] == []
    assert found["command"].startswith(f"python -m {compare.__package__}.compare --condition codes")
    rows = {(row["system"], row["sparsity"], row["test_set"]): row for row in found["rows"]}
    assert {row["comparison"] for row in found["rows"]} == {"equal_total"} and {key[1] for key in rows} == {0.0, 0.9}
    kept = json.loads((RESULTS / "codes-0.25x/table.json").read_text())["rows"]
    kept = {(row["system"], row["sparsity"], row["test_set"]): row for row in kept}
    for key in (("pruned", 0.9, "test-other"), ("dense", 0.0, "test-other")):
        assert rows[key]["wer_by_seed"] == kept[key]["wer_by_seed"][:2]
        assert rows[key]["passes"] == pytest.approx(kept[key]["passes"], rel=0.01)  # a third seed's batches
    assert not (tmp_path / "trainings.json").exists()  # they are of two conditions
    for wrong, says in ((["--against-budget", "0.5"],
                         "no model of its own in it has the settings of condition codes at"),
                        ([], "--against FILE and --against-budget B go together")):
        with pytest.raises(SystemExit):
            compare.main([*small, *given, *wrong, "--out", str(tmp_path / "wrong")])
        assert says in capsys.readouterr().err and not (tmp_path / "wrong").exists()
    with pytest.raises(SystemExit):
        compare.main([*small, *given, "--against-budget", "0.25"])
    assert "--against wants --out" in capsys.readouterr().err
