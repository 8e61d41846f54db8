"""tools/check_icefall.sh wants a checkout of icefall, which tests must not need: here only what it says without one."""

import subprocess
from pathlib import Path

import pytest

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
