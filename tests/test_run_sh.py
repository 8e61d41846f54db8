"""run.sh as a user calls it: all stages at toy size, and one clear line for each mistake."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from egs.librispeech.omni_sparsity.loss.backend import loss_backend
from egs.librispeech.omni_sparsity.training.checkpoint import load_checkpoint
from local.mini import grammar
from local.mini.designs import DESIGNS
from omni.ship import container

ROOT = Path(__file__).parents[1]
SETS = ("dev-clean", "dev-other", "test-clean", "test-other")
TOY = ["--mini-scale", "0.02", "--num-epochs", "1", "--max-duration", "30", "--set", "model.num_layers=1", "--set",
       "model.encoder_dim=32", "--set", "model.ffn_dim=64", "--set", "train.save_every_n=5"]


def run(*arguments, check=True, **more):
    command = [str(ROOT / "run.sh"), "--python", sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def folders(root: Path):
    return ["--download-dir", root / "download", "--data-dir", root / "data", "--exp-dir", root / "exp"]


def contents(folder: Path):
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".log")
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in files}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """An unbroken run of all stages at toy size."""
    root = tmp_path_factory.mktemp("toy")
    run(*folders(root), *TOY)
    return root


def what_the_seed_fixes(root: Path):
    rows = json.loads((root / "exp" / "results.json").read_text())
    return [{k: v for k, v in row.items() if k not in ("rtf", "train_seconds")} for row in rows]


def test_all_stages_write_what_they_promise(toy):
    rows = json.loads((toy / "exp/results.json").read_text())
    want = [(sparsity, test_set) for sparsity in (0, 0.5, 0.7, 0.8, 0.9) for test_set in SETS]
    assert [(row["sparsity"], row["test_set"]) for row in rows] == want
    for row in rows:
        assert abs(row["measured_sparsity"] - row["sparsity"]) < 0.005
        assert row["loss_backend"] == loss_backend("auto")[1] and row["train_passes"] > 0 and row["system"] == "omni"
        assert (toy / "exp" / row["spec"]).is_file()
    sizes = [row["bytes"] for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    for name in ("RESULTS.md", "pareto.png", "report.html", "log/stage0.log", "log/train.log", "config.yaml"):
        assert (toy / "exp" / name).stat().st_size > 100
    assert len(list((toy / "exp/greedy_search").glob("wer-summary-*-sparsity-*.txt"))) == 20


def test_the_file_that_ships_hears(toy):
    speech = sorted((toy / "download").glob("test-clean/*/*/*.flac"))[:2]
    model = toy / "exp/subnets/sparsity-0.9.omni.safetensors"
    done = subprocess.run([sys.executable, "-m", "omni.runtime", str(model), *map(str, speech)], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr  # of compiled kernels, too
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [str(path) for path in speech]


def test_a_second_call_does_nothing_again(toy):
    before = contents(toy)
    run(*folders(toy), *TOY)
    after = contents(toy)
    changed = {str(p) for p in after if after[p] != before.get(p)}
    assert changed <= {"exp/results.json", "exp/RESULTS.md", "exp/pareto.png", "exp/report.html"}


def made(root: Path, *patterns):
    """{file: content} of what a stage made; of a file that ships the tensors, as its header names the command."""
    return {p.relative_to(root): container.read(p)[1]["sha256"] if p.suffix == ".safetensors" else p.read_bytes()
            for pattern in patterns for p in sorted(root.glob(pattern))}


@pytest.mark.parametrize("stage, last, sign, patterns", [
    pytest.param(0, 2, "download/train-clean/*", ("download/**/*.flac", "data/fbank/*/*.lca", "data/lang_bpe_200/*"),
                 marks=pytest.mark.one_stack),
    pytest.param(1, 2, "data/fbank/*/*.lca", ("data/fbank/*/*.lca", "data/lang_bpe_200/*"),
                 marks=pytest.mark.one_stack),
    (3, 4, "exp/checkpoint-5.pt", ("exp/subnets/*.safetensors",)),
    (5, 6, "exp/greedy_search/recogs-*", ("exp/greedy_search/*.txt",)),
])
def test_killed_in_the_middle_it_goes_on_to_the_same_results(toy, tmp_path, stage, last, sign, patterns):
    if stage:
        for name in ("download", "data"):
            shutil.copytree(toy / name, tmp_path / name)
        stamp = tmp_path / "data" / ".stage0"  # it names the folder that it was made from
        stamp.write_text(stamp.read_text().replace(str(toy), str(tmp_path)))
    if stage == 1:
        shutil.rmtree(tmp_path / "data" / "fbank")
        (tmp_path / "data" / ".stage1").unlink()
    if stage == 5:
        shutil.copytree(toy / "exp", tmp_path / "exp")
        shutil.rmtree(tmp_path / "exp" / "greedy_search")
    arguments = [*folders(tmp_path), *TOY, "--stage", stage, "--stop-stage", last]
    command = [str(ROOT / "run.sh"), "--python", sys.executable, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob(sign)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert made(tmp_path, *patterns) != made(toy, *patterns)  # it was in the middle
    run(*arguments)
    assert made(tmp_path, *patterns) == made(toy, *patterns)
    if last == 6:
        assert what_the_seed_fixes(tmp_path) == what_the_seed_fixes(toy)


def test_the_other_synthetic_corpus_trains_its_smallest_first(tmp_path):
    here = [*folders(tmp_path), *TOY]
    run("--corpus", "codes", *here, "--max-duration", "6", "--set", "model.vocab_size=40", "--stop-stage", "3")
    assert json.loads((tmp_path / "download/mini.json").read_text())["corpus"] == "codes"
    said = {word for path in tmp_path.glob("download/*/*/*/*.trans.txt") for line in path.read_text().splitlines()
            for word in line.split()[1:]}
    assert "TANGO" in said and said <= grammar.words(DESIGNS["codes"])
    assert load_checkpoint(tmp_path / "exp/epoch-1.pt")["omni"]["forked"]  # a sub-network has trained
    refused = run(*here, "--stop-stage", "0", check=False)
    assert refused.returncode == 2 and "made with other settings" in refused.stderr


@pytest.mark.one_stack
@pytest.mark.parametrize("arguments, words", [
    (["--stage", "7"], "--stage 7: stages are 0 to 6"),
    (["--stop-stage", "x"], "--stop-stage x: want a whole number"),
    (["--stage", "3", "--stop-stage", "2"], "--stage 3 is after --stop-stage 2"),
    (["--corpus", "maxi"], "--corpus maxi: want codes, librispeech, mini, mini_librispeech, or a Python file"),
    (["--corpus", "mine.py"], "--corpus mine.py: no such file"),
    (["--corpus", "tests/conftest.py"], "want one class that derives from local.corpus.Corpus"),
    (["--colour", "red"], "unknown option --colour"),
    (["--stage"], "--stage wants a value"),
    (["--sparsities", "0 1.0"], "1.0 is no share of zeros"),
    (["--sparsities", "-0.1"], "-0.1 is no share of zeros"),
    (["--config", "absent.yaml"], "--config absent.yaml: no such file"),
    (["--specs", "absent.json"], "--specs absent.json: no such file"),
    (["--decoding-method", "oracle"], "--decoding-method oracle: want one of greedy_search"),
    (["--set", "train.epochs=3"], "no setting train.epochs"),
    (["--nj", "0"], "--nj 0: want at least 1"),
    (["--skip-bad", "2"], "--skip-bad 2: want 0 or 1"),
    (["--mini-scale", "big"], "--mini-scale big"),
    (["--mini-scale", "0"], "--mini-scale 0: want a number above 0, up to 3"),
    (["--mini-scale", "3.5"], "--mini-scale 3.5: want a number above 0, up to 3"),
    (["--num-epochs", "0"], "train.num_epochs"),
    (["--values", "int4"], "--values int4: want int8, float16 or float32"),
    (["--stack", "old"], "--stack old: want auto, k2 or modern"),
    (["--num-nodes", "2", "--node-rank", "2"], "--node-rank 2: want 0 to 1"),
    (["--num-nodes", "2", "--node-rank", "1"], "--stage 3 --stop-stage 3"),
    (["--master", "here"], "--master here: want HOST:PORT"),
    (["--loss", "fast"], "loss.backend fast: want one of auto, k2, native"),
    (["--max-duration", "-3"], "data.max_duration"),
    (["--stage", "1"], "stage 0"),
    (["--stage", "4"], "stage 3"),
    (["--corpus", "librispeech", "--download-dir", "tests"], "tests"),
])
def test_a_mistake_is_one_clear_line(arguments, words, tmp_path):
    done = run("--data-dir", tmp_path / "data", "--exp-dir", tmp_path / "exp", *arguments, check=False)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("error: ") and words in lines[0], done.stderr
    left = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".log"]
    assert not left


def test_another_vocabulary_or_configuration_is_refused_and_nothing_is_lost(toy):
    before = contents(toy)
    for more, words in (
        (["--set", "model.vocab_size=5000"], "5000"),
        (["--set", "train.base_lr=0.5"], "train.base_lr was 0.002, is 0.5"),
        (["--seed", "7"], "was made with other settings"),
    ):
        done = run(*folders(toy), *TOY, *more, check=False)
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.returncode == 2 and len(errors) == 1 and words in errors[0], done.stderr
        assert "Traceback" not in done.stderr
    assert contents(toy) == before


@pytest.mark.one_stack
def test_help_fits_a_screen_and_tells_what_stages_cost():
    text = run("--help").stdout
    lines = text.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100 and "minutes" in text and "@" not in text
    for name in ("--nj", "--max-duration", "--num-epochs", "--config", "--set", "--sparsities", "--download-dir"):
        assert name in text


# ---- the functions of run.sh, without its stages ----------------------------------------------------------------
def shell(function: str, call: str, cwd: Path) -> subprocess.Popen:
    """A bash that has `fail` and one function of run.sh, and runs `call`."""
    text = (ROOT / "run.sh").read_text(encoding="utf-8")
    parts = [re.search(rf"^{name}\(\) {{\n.*?^}}\n", text, re.MULTILINE | re.DOTALL)[0] for name in ("fail", function)]
    script = "set -eou pipefail\n" + "".join(parts) + call
    return subprocess.Popen(["bash", "-c", script], cwd=cwd, stderr=subprocess.PIPE, text=True)


@pytest.mark.one_stack
def test_two_runs_may_mark_a_stage_at_the_same_instant(tmp_path):
    calls = [shell("mark", "for i in {1..60}; do mark stamp key; done", tmp_path) for _ in range(4)]
    told = [call.communicate(timeout=120)[1] for call in calls]
    assert told == [""] * 4 and [call.returncode for call in calls] == [0] * 4
    assert (tmp_path / "stamp").read_text() == "key\n" and [p.name for p in tmp_path.iterdir()] == ["stamp"]


@pytest.mark.one_stack
@pytest.mark.parametrize("function, call, place", [
    ("mark", "mark gone/stamp key", "gone/stamp"),
    ("run", "exp_dir=gone; run 0 true", "gone/log/stage0.log"),
])
def test_what_cannot_be_written_is_told_with_the_reason(tmp_path, function, call, place):
    told = shell(function, call, tmp_path).communicate(timeout=30)[1]
    assert told == f"error: {place} cannot be written: No such file or directory\n"


@pytest.mark.one_stack
def test_nothing_is_left_in_the_home_folder(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    here = ["--data-dir", tmp_path / "data", "--exp-dir", tmp_path / "exp"]
    done = run(*here, "--stage", 2, "--stop-stage", 2, check=False, env={**os.environ, "HOME": str(home)})
    assert done.returncode == 2 and "run stage 0 first" in done.stderr
    code = "import lhotse, matplotlib.font_manager"  # what the stages import
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "python").write_text(f"#!/bin/sh\n{sys.executable} -c '{code}'\nexec {sys.executable} \"$@\"\n")
    (hook / "python").chmod(0o755)
    command = [str(ROOT / "run.sh"), "--python", str(hook / "python"), *map(str, here), "--stage", "2",
               "--stop-stage", "2"]
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLCONFIGDIR", "XDG_CACHE_HOME")}
    subprocess.run(command, env={**environment, "HOME": str(home)}, capture_output=True)
    assert not [p for p in home.rglob("*")]


@pytest.mark.one_stack
def test_a_corpus_of_one_file_is_taken_to_stage_2(tmp_path):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/corpora.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "an4.py").write_text(code)
    rng = np.random.default_rng(0)
    for name, place, count in (("an4_train", "an4_clstk", 104), ("an4_test", "an4test_clstk", 2)):
        (tmp_path / "an4/wav" / place / "s").mkdir(parents=True)
        (tmp_path / "an4/etc").mkdir(exist_ok=True)
        for i in range(count):
            soundfile.write(tmp_path / f"an4/wav/{place}/s/{i}{name[-2]}.flac", rng.uniform(-0.1, 0.1, 800), 16000)
        lines = [f"<s> YES NO STOP </s> ({i}{name[-2]})\n" for i in range(count)]
        (tmp_path / f"an4/etc/{name}.transcription").write_text("".join(lines))
    here = ["--corpus", tmp_path / "an4.py", "--download-dir", tmp_path / "an4", "--data-dir", tmp_path / "data",
            "--exp-dir", tmp_path / "exp", "--stop-stage", "2", "--set", "model.vocab_size=12", "--nj", "1"]
    done = run(*here)
    assert "done in 0 min" in done.stdout
    for name in ("fbank/librispeech_cuts_test.jsonl.gz", "lang_bpe_12/bpe.model", "fbank/noise_cuts.jsonl.gz"):
        assert (tmp_path / "data" / name).is_file()
    assert "manifests is there" in run(*here).stdout
    with open(tmp_path / "an4.py", "a") as file:
        file.write("# another corpus?\n")
    refused = run(*here, check=False)
    assert refused.returncode == 2 and "was made with other settings" in refused.stderr
