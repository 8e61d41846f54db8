"""Every Python example of the library's pages runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("omni.md", "omni-examples.md", "strategies.md", "plug-in.md", "shipping.md")
BLOCKS = [
    (page, re.findall(r"^#+ (.*)", text[: match.start()], re.MULTILINE)[-1], match[1].strip(), match[2])
    for page, text in ((name, (ROOT / "docs" / name).read_text(encoding="utf-8")) for name in PAGES)
    for match in re.finditer(r"^```python([^\n]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]
EXAMPLES = [(page, heading, flag == "ddp", code) for page, heading, flag, code in BLOCKS if not flag.endswith(".py")]


def test_the_guide_has_its_five_worked_examples():
    assert [heading[:2] for _, heading, _, _ in EXAMPLES if heading[1] == "."] == ["1.", "2.", "3.", "4.", "5."]
    assert {page for page, *_ in EXAMPLES} == set(PAGES)


@pytest.mark.parametrize("page, heading, ddp, code", EXAMPLES, ids=[f"{one[0]}: {one[1]}" for one in EXAMPLES])
def test_an_example_runs(page, heading, ddp, code, tmp_path):
    """Beside the files that its page shows: blocks of Python with a name."""
    for there, _, name, text in BLOCKS:
        if there == page and name.endswith(".py"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
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
