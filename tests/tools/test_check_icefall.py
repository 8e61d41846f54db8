"""tools/check_icefall.sh wants a checkout of icefall, which tests must not need: here what it says without one, and how
it judges word error rates."""

import subprocess
from pathlib import Path

import pytest

from tools.check_icefall import compare

SCRIPT = Path(__file__).parents[2] / "tools" / "check_icefall.sh"


@pytest.mark.parametrize("arguments, word", [
    ([], "want the folder of an icefall checkout"),
    (["nowhere"], "nowhere/egs/librispeech/ASR: no such folder"),
    ([".", "--epochs", "two"], "--epochs two"),
    ([".", "--epochs", "2"], "want at least 3"),
    ([".", "--depth", "2"], "--depth"),
    ([".", "--recipes", "zipformer conformer"], "--recipes conformer: this check has toy sizes for zipformer, "),
])
def test_mistakes_end_in_one_line(tmp_path, arguments, word):
    found = subprocess.run([str(SCRIPT), *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 2 and len(found.stderr.splitlines()) == 1 and word in found.stderr


def test_an_untrained_dense_model_and_a_worse_supernet_are_told():
    def judged(whole, cut, supernet):
        dense = {(0.0, "test-clean"): 4.0, (0.7, "test-clean"): 9.0,
                 (0.0, "test-other"): whole, (0.7, "test-other"): cut}
        return [good for _, good in compare({(0.7, "test-clean"): 5.0, (0.7, "test-other"): supernet}, dense)]

    assert judged(whole=5.0, cut=9.0, supernet=6.0) == [True, True, True, True]
    assert judged(whole=99.3, cut=100.0, supernet=98.6) == [True, True, False, True]  # who says nothing at all
    assert judged(whole=5.0, cut=9.0, supernet=9.0) == [True, True, True, False]
