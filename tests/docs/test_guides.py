"""Every example of docs/omni.md and docs/plug-in.md runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    (heading, "ddp" in flags, code)
    for heading, flags, code in (
        (re.findall(r"^#+ (.*)", text[: match.start()], re.MULTILINE)[-1], match[1], match[2])
        for text in ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("omni.md", "plug-in.md"))
        for match in re.finditer(r"^```python([^\n]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    )
]


def test_the_guide_has_its_five_worked_examples():
    assert [heading[:2] for heading, _, _ in EXAMPLES if heading[1] == "."] == ["1.", "2.", "3.", "4.", "5."]


@pytest.mark.parametrize("heading, ddp, code", EXAMPLES, ids=[heading for heading, _, _ in EXAMPLES])
def test_an_example_runs(heading, ddp, code, tmp_path):
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"] if ddp else []
    run = subprocess.run(
        [sys.executable, *launcher, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PATH": "/usr/bin:/bin"},
    )
    if ddp:  # the exit status says nothing: gloo of torch 2.13 may abort a process when all is done
        for rank in range(2):
            assert f"process {rank} of 2 holds the one model" in run.stdout, run.stderr[-2000:]
        return
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.strip()
