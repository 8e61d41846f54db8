"""What egs.librispeech.omni_sparsity.experiments makes of the results of several trainings."""

import json

import numpy as np
import pytest

from egs.librispeech.omni_sparsity.decoding import scoring
from omni.errors import UserError
from egs.librispeech.omni_sparsity.report import bootstrap
from egs.librispeech.omni_sparsity.experiments import compare, condition, show, trainings

WORDS = [["PLAY", "MUSIC"], ["TURN", "OFF", "THE", "LIGHT"], ["STOP", "NOW"], ["SET", "A", "TIMER", "PLEASE"]] * 5


def write(folder, system, errors, passes, seed):
    """A training's results: {sparsity: share of the words that are wrong}, on test-clean."""
    draw = np.random.RandomState(seed)
    subnets = []
    for sparsity, share in errors.items():
        subnets.append({
            "system": system if sparsity or system != "oneshot" else "dense",
            "sparsity": sparsity, "measured_sparsity": sparsity, "spec": "s", "params_total": 100,
            "params_nonzero": 100 - round(90 * sparsity), "size_bytes": 1000 - round(900 * sparsity),
            "train_passes": passes, "train_seconds": 60.0, "checkpoint": "5eed",
        })
        results = [(str(i), ref, ["X" if draw.rand() < share else word for word in ref]) for i, ref in enumerate(WORDS)]
        suffix = f"epoch-1-avg-1-sparsity-{sparsity:g}"
        scoring.save_results(folder / "greedy_search", "test-clean", suffix, results)
        (folder / "greedy_search" / f"decode-test-clean-{suffix}.json").write_text(json.dumps({
            "sparsity": sparsity, "test_set": "test-clean", "method": "greedy_search", "suffix": suffix, "rtf": 0.1,
            "loss_backend": "native", "checkpoint": "5eed"}))
    (folder / "subnets").mkdir(parents=True, exist_ok=True)
    (folder / "subnets/subnets.json").write_text(json.dumps(subnets))
    (folder / "results.json").write_text("[]")


@pytest.fixture
def setting():
    systems = {"dense": {"omni.sampling": "dense"}, "pruned": {"omni.sampling": "gradual"}, "omni": {}}
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


def test_a_table_of_what_is_there(setting, out):
    trained, missing = compare.collect(setting, list(condition.jobs(setting, [1, 2])), out)
    assert missing == ["pruned-0.9-seed-2", "sandwich-seed-1"]
    found = compare.by_key(trained)
    rows = {(row["system"], row["sparsity"]): row for row in compare.table(found)}
    assert set(rows) == {("dense", 0.0), ("oneshot", 0.5), ("oneshot", 0.9), ("pruned", 0.5), ("pruned", 0.9),
                         ("omni", 0.0), ("omni", 0.5), ("omni", 0.9)}
    omni, pruned = rows["omni", 0.5], rows["pruned", 0.5]
    assert omni["seeds"] == [1, 2] and rows["pruned", 0.9]["seeds"] == [1]
    assert omni["wer"] == pytest.approx(np.mean(omni["wer_by_seed"]), abs=0.02)
    assert omni["ci95"][0] < omni["wer"] < omni["ci95"][1]
    assert omni["rel_diff_vs_pruned"] == pytest.approx(100 * (omni["wer"] / pruned["wer"] - 1), abs=0.1)
    assert omni["rel_diff_ci95"][0] < omni["rel_diff_vs_pruned"] < omni["rel_diff_ci95"][1] < 0
    assert omni["passes_ratio"] == 0.9 and pruned["passes_ratio"] == 1.0 and pruned["rel_diff_vs_pruned"] is None
    alone = rows["omni", 0.9]["rel_diff_vs_pruned"]  # over the seed that both have
    ours = json.loads(json.dumps(rows["omni", 0.9]["wer_by_seed"]))[0]
    assert alone == pytest.approx(100 * (ours / rows["pruned", 0.9]["wer"] - 1), abs=0.2)
    mean, = compare.means(found)
    assert (mean["strategy"], mean["sparsities"], mean["seeds"]) == ("omni", [0.5, 0.9], [1])
    first = [ours / theirs - 1 for ours, theirs in (
        (rows["omni", s]["wer_by_seed"][0], rows["pruned", s]["wer_by_seed"][0]) for s in (0.5, 0.9))]
    assert mean["rel_diff_vs_pruned"] == pytest.approx(100 * np.mean(first), abs=0.1)
    assert mean["rel_diff_ci95"][0] < mean["rel_diff_vs_pruned"] < mean["rel_diff_ci95"][1]
    cost = compare.totals(found)
    assert cost["omni"]["train_passes"] == 900 and set(cost) == {"omni", "dense", "pruned 0.5", "pruned 0.9"}


def test_files(setting, out, monkeypatch, capsys):
    monkeypatch.setattr(compare, "read", lambda args: ("mini", setting, [1, 2], out))
    write(out / "sandwich-seed-1", "omni", {0.0: 0.1, 0.5: 0.2, 0.9: 0.3}, 2700, 77)
    compare.main(["--command", "tools/reproduce.sh --seeds '1 2'"])
    found = json.loads((out / "table.json").read_text())
    assert found["command"] == "tools/reproduce.sh --seeds '1 2'" and found["missing"] == ["pruned-0.9-seed-2"]
    text = (out / "TABLE.md").read_text()
    assert capsys.readouterr().out == text + "\n"
    assert "**Not trained yet: pruned-0.9-seed-2.**" in text
    assert "mean over seeds 1, 2, with the 95% interval of a bootstrap over utterances and seeds (" in text
    assert "## Ablations\n\nOf seed 1.\n" in text and "| sandwich | 2,700 |" in text
    whole = next(row for row in found["rows"] if (row["strategy"], row["sparsity"]) == ("omni", 0.0))
    assert f"| omni | 900 | {whole['wer_by_seed'][0]:.2f} |" in text and whole["seeds"] == [1, 2]
    mean, = (mean for mean in found["means"] if mean["strategy"] == "omni")
    assert f"Mean of the differences at 0.5, 0.9: {mean['rel_diff_vs_pruned']:+.1f}% [" in text
    line = next(line for line in text.splitlines() if line.startswith("| 0.5 |"))
    omni = next(row for row in found["rows"] if (row["strategy"], row["sparsity"]) == ("omni", 0.5))
    assert f"| {omni['wer']:.2f} [" in line and f"| {omni['rel_diff_vs_pruned']:+.1f}% [" in line
    assert "| all sizes, each on its own | 3,000 | 3.0 |" in text
    assert (out / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert set(json.loads((out / "trainings.json").read_text())["trainings"]) == {
        job.name for job in condition.jobs(setting, [1, 2])} - {"pruned-0.9-seed-2"}


def test_one_seed_is_no_mean(setting, out):
    trained, _ = compare.collect(setting, list(condition.jobs(setting, [1])), out)
    found = compare.by_key(trained)
    text = show.markdown({"condition": "mini", "command": "tools/reproduce.sh", "missing": [],
                          "totals": compare.totals(found), "rows": compare.table(found), "means": compare.means(found)})
    assert "percent, seed 1, with the 95% interval of a bootstrap over utterances (10,000 resamples)" in text
    assert "paired over utterances;" in text


@pytest.mark.parametrize("cut, said", [(90.0, True), (20.0, False)])
def test_the_picture_says_what_lies_above_it(monkeypatch, tmp_path, cut, said):
    figures = []
    monkeypatch.setattr(show, "Figure", lambda figure=show.Figure, **how: figures.append(figure(**how)) or figures[-1])
    show.picture([
        {"test_set": "test-clean", "strategy": system, "system": system, "size_bytes": 1e6, "wer": wer, "ci95": [wer, wer]}
        for system, wer in (("pruned", 20.0), ("oneshot", cut))], tmp_path / "pareto.png")
    legend = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    assert "each pruned on its own" in legend
    assert ("dense, cut without training (above the picture)" in legend) == said and len(legend) == 2


def test_trainings_can_be_had_from_a_file(setting, out, tmp_path_factory):
    todo = list(condition.jobs(setting, [1, 2]))
    trained, missing = compare.collect(setting, todo, out)
    path, elsewhere = out / "trainings.json", tmp_path_factory.mktemp("elsewhere")
    trainings.write(setting, trained, path)
    again, still_missing = compare.collect(setting, todo, elsewhere, path)
    assert still_missing == missing
    assert compare.table(compare.by_key(again)) == compare.table(compare.by_key(trained))
    trainings.write(setting, again, elsewhere / "trainings.json")
    assert (elsewhere / "trainings.json").read_bytes() == path.read_bytes()
    # A default that is spelled out, and what a baseline does not use, change nothing.
    setting.systems["omni"]["omni.dropout"] = "none"
    setting.systems["dense"]["omni.grow_with"] = 0.7
    assert compare.collect(setting, list(condition.jobs(setting, [1, 2])), elsewhere, path)[1] == missing
    # Those of other settings are left out; a folder goes before the file.
    setting.systems["omni"]["omni.dropout"] = "linear"
    write(elsewhere / "pruned-0.5-seed-1", "pruned", {0.5: 0.9}, 1000, 5)
    todo = list(condition.jobs(setting, [1, 2]))
    mixed, missing = compare.collect(setting, todo, elsewhere, path)
    assert missing == ["omni-seed-1", "omni-seed-2", "pruned-0.9-seed-2", "sandwich-seed-1"]
    wer = {job.name: of[0].row["wer"] for job, of in mixed.items() if job.system == "pruned"}
    assert wer["pruned-0.5-seed-1"] > wer["pruned-0.5-seed-2"]


def test_other_utterances_are_no_comparison(setting, out):
    trained, _ = compare.collect(setting, list(condition.jobs(setting, [1, 2])), out)
    first = next(iter(trained))
    trained[first] = [type(one)(one.row, one.utterances[1:]) for one in trained[first]]
    with pytest.raises(UserError, match="omni-seed-1: test-clean is of other utterances than with dense-seed-1"):
        trainings.words(trained)


@pytest.mark.parametrize("text, says", [
    (None, "no such file"), ("[]", "not a trainings.json"), ("{", "not a trainings.json"),
    ('{"sets": {"t": [3, 4]}, "trainings": {"dense-seed-1": {"settings": "DIGEST", "rows": '
     '[{"test_set": "t", "errors": [1]}]}}}', "1 utterances of 2"),
])
def test_a_file_that_is_no_good_is_named(setting, tmp_path, text, says):
    todo = list(condition.jobs(setting, [1]))
    path = tmp_path / "mine.json"
    if text:
        path.write_text(text.replace("DIGEST", trainings.settings_digest(setting, todo[0])))
    with pytest.raises(UserError, match=f"mine.json: .*{says}"):
        trainings.read(path, setting, todo)


def test_nothing_is_done_yet(setting, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare, "read", lambda args: ("mini", setting, [1], tmp_path))
    with pytest.raises(SystemExit) as stop:
        compare.main([])
    assert stop.value.code == 2 and "no training of condition mini is done" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def counts(errors, seeds=3, utterances=200):
    draw = np.random.RandomState(0)
    words = draw.randint(3, 9, utterances)
    return np.stack([np.stack([draw.binomial(words, errors), words], axis=1) for _ in range(seeds)])


def test_one_seed_gives_the_interval_of_one_training():
    one = counts(0.2, seeds=1)
    low, high = bootstrap.interval(*one[0].T)
    assert bootstrap.interval_over_seeds(one) == pytest.approx((low, high), abs=0.3)
    assert bootstrap.rate(one) == pytest.approx(100 * one[0, :, 0].sum() / one[0, :, 1].sum())


def test_pairing_takes_out_what_both_share():
    ours = counts(0.2)
    assert bootstrap.paired_difference((ours, ours)) == (0.0, 0.0)
    double = ours * [2, 1]
    assert bootstrap.paired_difference((ours, double)) == pytest.approx((-50.0, -50.0))
    low, high = bootstrap.paired_difference((ours, counts(0.2) + [1, 0]))
    assert low < high < 0
    assert bootstrap.paired_difference((ours, double), (double, ours)) == pytest.approx((25.0, 25.0))
    with pytest.raises(ValueError, match="same utterances"):
        bootstrap.paired_difference((ours, ours[:2]))


def test_seeds_that_differ_widen_the_interval():
    alike = np.stack([counts(0.2, 1)[0]] * 3)
    apart = np.stack([np.stack([alike[0, :, 0] * k, alike[0, :, 1]], axis=1) for k in (0, 1, 2)])
    widths = [np.diff(bootstrap.interval_over_seeds(each))[0] for each in (alike, apart)]
    assert widths[1] > 3 * widths[0]


def test_the_picture_needs_no_baseline(tmp_path):
    rows = [{"system": "omni", "strategy": "omni", "sparsity": s, "test_set": "test-clean", "wer": 5.0, "ci95": [4, 6],
             "size_bytes": 10**6} for s in (0.0, 0.5)]
    show.picture(rows, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000
