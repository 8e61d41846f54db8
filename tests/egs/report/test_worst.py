"""Which utterances are shown."""

from egs.librispeech.omni_sparsity.report import results, worst


def _decoded(tmp_path, make, at_0, at_9, test_set="test-clean"):
    exp_dir, _ = make.experiment(tmp_path, sets=(), sparsities=(0.0, 0.9))
    for sparsity, hyps in ((0.0, at_0), (0.9, at_9)):
        make.decoding(exp_dir, test_set, sparsity, [(i, REFS[i], hyp) for i, hyp in hyps.items()])
    return results.collect(exp_dir)


REFS = {"a": ["A", "B"], "b": ["A", "B", "C"], "c": ["A"], "d": ["A", "B", "C", "D"]}
RIGHT = dict(REFS)


def test_most_errors_first_then_the_shorter_and_never_a_right_one(tmp_path, make):
    wrong = {"a": ["X", "Y"], "b": ["X", "Y", "C"], "c": ["A"], "d": ["X", "Y", "Z", "D"]}
    cases = worst.worst(_decoded(tmp_path, make, RIGHT, wrong))
    assert [(case.cut_id, case.ranks) for case in cases] == [("d", {1: 1}), ("a", {1: 2}), ("b", {1: 3})]


def test_a_case_holds_what_every_sparsity_heard(tmp_path, make):
    cases = worst.worst(_decoded(tmp_path, make, RIGHT, {**RIGHT, "c": ["X"]}))
    assert len(cases) == 1
    assert {index: utterance.pairs for index, utterance in cases[0].at.items()} == {
        0: [("A", "A")],
        1: [("A", "X")],
    }


def test_ten_for_each_sparsity_of_the_test_sets(tmp_path, make):
    exp_dir, _ = make.experiment(tmp_path, utterances=60, audio=False)
    decoded = results.collect(exp_dir)
    cases = worst.worst(decoded)
    assert {case.test_set for case in cases} <= {"test-clean", "test-other"}
    for index in (3, 4):
        assert sorted(case.ranks[index] for case in cases if index in case.ranks) == list(range(1, 11))
    assert all(set(case.at) == {0, 1, 2, 3, 4} for case in cases)
    assert worst.choices(decoded) == [(f"sparsity-{s:g}", "greedy_search") for s in (0.0, 0.5, 0.7, 0.8, 0.9)]


def test_without_test_sets_the_dev_sets_serve(tmp_path, make):
    cases = worst.worst(_decoded(tmp_path, make, {**RIGHT, "c": ["X"]}, RIGHT, test_set="dev-clean"))
    assert [(case.test_set, case.cut_id) for case in cases] == [("dev-clean", "c")]
