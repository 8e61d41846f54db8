"""Stage 1 on a corpus of seconds: what it writes, and that kills, processes and repetition do not show."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet

from local.compute_fbank import compute_fbank, main, subsets
from omni.errors import UserError

ROOT = Path(__file__).parents[2]
SUBSETS = {"train-clean": 5, "dev-clean": 2, "test-clean": 3}


def _tone(seconds: float, frequency: float) -> np.ndarray:
    t = np.arange(round(seconds * 16000)) / 16000
    noise = np.random.default_rng(int(frequency)).standard_normal(len(t))
    return 0.3 * np.sin(2 * np.pi * frequency * t) + 0.01 * noise


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("audio")
    files = {}
    for subset, count in SUBSETS.items():
        for i in range(count):
            path = folder / f"{subset}-{i}.flac"
            soundfile.write(path, _tone(0.61 + 0.173 * i, 300 + 100 * i), 16000)
            files.setdefault(subset, []).append(path)
    return files


def _manifests(data_dir: Path, files: dict[str, list[Path]], reverse: bool = False) -> Path:
    """Writes lhotse's manifests for `files` below `data_dir`; the texts tell the utterances apart."""
    (data_dir / "manifests").mkdir(parents=True, exist_ok=True)
    for subset, paths in files.items():
        recordings = [Recording.from_file(path) for path in paths]
        recordings = recordings[::-1] if reverse else recordings
        texts = [SupervisionSegment(r.id, r.id, 0.0, r.duration, text=f"TEXT OF {r.id}") for r in recordings]
        prefix, suffix = f"{data_dir}/manifests/librispeech_", f"_{subset}.jsonl.gz"
        RecordingSet.from_recordings(recordings).to_file(f"{prefix}recordings{suffix}")
        SupervisionSet.from_segments(texts).to_file(f"{prefix}supervisions{suffix}")
    return data_dir


def _contents(data_dir: Path) -> dict[str, bytes]:
    """All that stage 1 wrote, by path."""
    return {
        str(path.relative_to(data_dir)): path.read_bytes()
        for path in sorted((data_dir / "fbank").rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def _times(data_dir: Path) -> dict[str, int]:
    """When each file and folder of stage 1 was last written."""
    paths = (path for path in (data_dir / "fbank").rglob("*") if path.name != ".lock")
    return {str(path): path.stat().st_mtime_ns for path in paths}


@pytest.fixture(scope="module", autouse=True)
def short_noise():
    """Four seconds of generated noise a colour instead of sixty: most of a test's time otherwise."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("local.fbank_noise.SECONDS_A_COLOUR", 4)
        yield


@pytest.fixture
def data_dir(audio, tmp_path, monkeypatch) -> Path:
    """Relative, so that what is written can be compared between folders."""
    monkeypatch.chdir(tmp_path)
    return _manifests(Path("data"), audio)


@pytest.fixture(scope="module")
def reference(audio, short_noise, tmp_path_factory) -> dict[str, bytes]:
    """What an uninterrupted run in one process writes, in shards of two cuts."""
    folder, before = tmp_path_factory.mktemp("reference"), os.getcwd()
    os.chdir(folder)
    try:
        compute_fbank(_manifests(Path("data"), audio), nj=1, shard_size=2)
        return _contents(Path("data"))
    finally:
        os.chdir(before)


def test_cuts_and_features(data_dir, audio, caplog):
    caplog.set_level("INFO")
    compute_fbank(data_dir, nj=1)
    for subset, paths in audio.items():
        cuts = list(CutSet.from_file(data_dir / "fbank" / f"librispeech_cuts_{subset}.jsonl.gz"))
        names = [path.stem for path in paths]
        speeds = ("", "_sp0.9", "_sp1.1") if subset.startswith("train") else ("",)
        assert [cut.id for cut in cuts] == [name + speed for speed in speeds for name in names]
        for cut in cuts:
            name, _, speed = cut.id.partition("_sp")
            expected = soundfile.info(paths[names.index(name)]).duration / float(speed or 1)
            assert cut.duration == pytest.approx(expected, abs=1e-4)
            (supervision,) = cut.supervisions
            assert supervision.text == f"TEXT OF {name}"
            assert supervision.duration == pytest.approx(cut.duration)
            features = cut.load_features()
            assert features.shape == (cut.num_frames, 80)
            assert cut.features.type == "kaldi-fbank"
            assert np.isfinite(features).all()
    assert "librispeech_cuts_train-clean.jsonl.gz: 15 cuts" in caplog.text


def test_speed_changes_the_pitch(data_dir, audio):
    compute_fbank(data_dir, nj=1)
    cuts = CutSet.from_file(data_dir / "fbank" / "librispeech_cuts_train-clean.jsonl.gz").to_eager()
    copies = [cuts[f"train-clean-4{speed}"] for speed in ("_sp0.9", "", "_sp1.1")]
    peaks = [cut.load_features().mean(axis=0).argmax() for cut in copies]
    assert peaks[0] < peaks[1] < peaks[2]


def test_stored_values_are_the_extractors(data_dir, audio):
    from egs.librispeech.omni_sparsity.data.fbank import make_extractor

    compute_fbank(data_dir, nj=1, backend="lhotse")
    cuts = CutSet.from_file(data_dir / "fbank" / "librispeech_cuts_dev-clean.jsonl.gz").to_eager()
    for path in audio["dev-clean"]:
        samples, _ = soundfile.read(path, dtype="float32")
        expected = make_extractor("lhotse").extract(samples[None], 16000)
        difference = np.abs(cuts[path.stem].load_features() - expected)
        assert difference.max() < 2**-6 + 1e-4  # half a step of lilcom


def test_order_does_not_depend_on_that_of_the_manifests(audio, reference, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compute_fbank(_manifests(Path("data"), audio, reverse=True), nj=1, shard_size=2)
    assert _contents(Path("data")) == reference


def test_result_does_not_depend_on_the_number_of_processes(data_dir, reference):
    compute_fbank(data_dir, nj=3, shard_size=2)
    assert _contents(data_dir) == reference


KILLED_IN_THE_MIDDLE = """
import os, signal, time
from pathlib import Path
import egs.librispeech.omni_sparsity.data.fbank as fbank
import local.fbank_noise
from local.compute_fbank import compute_fbank

local.fbank_noise.SECONDS_A_COLOUR = 4
main, real = os.getpid(), fbank.load_samples

def deadly(cut):
    if cut.id == "train-clean-3_sp0.9":
        time.sleep(1)  # the other process gets some shards done
        os.kill(main, signal.SIGKILL)
        time.sleep(60)  # ends because the main process is no more
    return real(cut)

fbank.load_samples = deadly
compute_fbank(Path("data"), nj=2, shard_size=2)
"""


def test_killed_run_goes_on_to_the_same_result(data_dir, reference):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # Waits until all who hold stderr are gone, the orphans too: they must not outlive the main process.
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_MIDDLE], env=environment, capture_output=True, timeout=45
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (data_dir / "fbank" / "librispeech_cuts_train-clean.jsonl.gz").exists()
    storage = data_dir / "fbank" / "librispeech_feats_train-clean"
    whole = {path: (path.stat().st_ino, path.stat().st_mtime_ns)
             for path in storage.glob("feats-*.lca") if path.with_suffix(".jsonl").is_file()}
    assert 3 <= len(whole) < 9  # at least those as recorded, not all
    compute_fbank(data_dir, nj=2, shard_size=2)
    assert _contents(data_dir) == reference
    assert all((path.stat().st_ino, path.stat().st_mtime_ns) == made for path, made in whole.items())


def test_killed_between_last_shard_and_manifest(data_dir, reference, monkeypatch):
    import local.compute_fbank

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(local.compute_fbank, "join", killed)
        with pytest.raises(KeyboardInterrupt):
            compute_fbank(data_dir, nj=1, shard_size=5)
    compute_fbank(data_dir, nj=1, shard_size=2)  # another shard size: what is there is not mixed with it
    assert _contents(data_dir) == reference


def test_second_call_writes_nothing_and_loads_nothing(data_dir, audio):
    compute_fbank(data_dir, nj=1)
    before = _times(data_dir)
    code = (
        "import sys, local.fbank_noise; local.fbank_noise.SECONDS_A_COLOUR = 4\n"
        "from local.compute_fbank import main; main(['--data-dir', 'data', '--nj', '2'])\n"
        "assert not {'torch', 'lhotse', 'kaldifeat', 'numpy'} & set(sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "all 3 subsets and the noise are there" in done.stderr
    assert _times(data_dir) == before


def test_another_backend_remakes_nothing(data_dir):
    compute_fbank(data_dir, nj=1, backend="lhotse")
    before = _contents(data_dir)
    compute_fbank(data_dir, nj=1, backend="auto")
    assert _contents(data_dir) == before


def test_changed_corpus_is_made_anew(data_dir, audio):
    compute_fbank(data_dir, nj=1)
    dev = data_dir / "fbank" / "librispeech_cuts_dev-clean.jsonl.gz"
    test = data_dir / "fbank" / "librispeech_cuts_test-clean.jsonl.gz"
    untouched = test.stat().st_mtime_ns
    _manifests(data_dir, audio | {"dev-clean": audio["dev-clean"] + audio["test-clean"][2:]})
    compute_fbank(data_dir, nj=1)
    assert len(list(CutSet.from_file(dev))) == 3
    assert test.stat().st_mtime_ns == untouched


def test_speed_perturbation_can_be_switched_off_later(data_dir, audio):
    path = data_dir / "fbank" / "librispeech_cuts_train-clean.jsonl.gz"
    compute_fbank(data_dir, nj=1)
    compute_fbank(data_dir, nj=1, perturb_speed=False)
    assert [cut.id for cut in CutSet.from_file(path)] == [file.stem for file in audio["train-clean"]]
    storage = data_dir / "fbank" / "librispeech_feats_train-clean"
    assert sorted(file.name for file in storage.iterdir()) == ["feats-0.lca", "plan.json"]


def test_removed_features_are_made_again(data_dir, reference):
    compute_fbank(data_dir, nj=1, shard_size=2)
    (data_dir / "fbank" / "librispeech_feats_dev-clean" / "feats-0.lca").unlink()
    compute_fbank(data_dir, nj=1, shard_size=2)
    assert _contents(data_dir) == reference


def test_cuts_that_somebody_else_made_are_kept(data_dir, caplog):
    caplog.set_level("INFO")
    compute_fbank(data_dir, nj=1)
    (data_dir / "fbank" / "librispeech_feats_train-clean" / "plan.json").unlink()  # as icefall would leave it
    before = _contents(data_dir)
    compute_fbank(data_dir, nj=1, perturb_speed=False)
    assert _contents(data_dir) == before
    assert "not made by this stage; taken as it is" in caplog.text


def test_cuts_of_a_subset_that_is_gone_are_told(data_dir, caplog):
    compute_fbank(data_dir, nj=1)
    for path in (data_dir / "manifests").glob("*_dev-clean.jsonl.gz"):
        path.unlink()
    compute_fbank(data_dir, nj=1)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "librispeech_cuts_dev-clean.jsonl.gz: no manifests of it" in warning


def test_noise_can_be_mixed_into_training_cuts(data_dir):
    from lhotse.dataset import CutMix

    compute_fbank(data_dir, nj=1)
    train = CutSet.from_file(data_dir / "fbank" / "librispeech_cuts_train-clean.jsonl.gz").to_eager()
    noise = CutSet.from_file(data_dir / "fbank" / "noise_cuts.jsonl.gz").to_eager()
    assert sum(cut.duration for cut in noise) == 16  # of four colours
    mixed = CutMix(noise, snr=(0, 0), p=1.0, pad_to_longest=False, preserve_id=True)(train)
    for cut in mixed:
        clean = train[cut.id].load_features()
        loaded = cut.load_features()
        assert loaded.shape == clean.shape
        assert (loaded >= clean - 1e-3).all() and (loaded > clean + 0.5).mean() > 0.3


def test_noise_of_the_corpus_is_used(data_dir, tmp_path):
    soundfile.write(tmp_path / "hum.flac", _tone(3.0, 100), 16000)
    noise = [Recording.from_file(tmp_path / "hum.flac", recording_id="noise-hum")]
    RecordingSet.from_recordings(noise).to_file(data_dir / "manifests" / "noise_recordings.jsonl.gz")
    compute_fbank(data_dir, nj=1)
    assert [cut.id for cut in CutSet.from_file(data_dir / "fbank" / "noise_cuts.jsonl.gz")] == ["noise-hum-0"]
    assert not (data_dir / "noise").exists()


def _one_line(capsys, *arguments: str) -> str:
    """The line that the command ends with."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_missing_manifests_are_one_clear_line(tmp_path, capsys):
    line = _one_line(capsys, "--data-dir", str(tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere" / "manifests") in line and "run stage 0 first" in line
    assert not (tmp_path / "nowhere").exists()


def test_half_a_pair_of_manifests_is_refused(data_dir):
    (data_dir / "manifests" / "librispeech_supervisions_dev-clean.jsonl.gz").unlink()
    with pytest.raises(UserError, match="dev-clean has only one of its two manifests"):
        subsets(data_dir / "manifests")


def test_truncated_manifest_is_refused(data_dir):
    path = data_dir / "manifests" / "librispeech_recordings_dev-clean.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="librispeech_recordings_dev-clean.jsonl.gz: not a whole gzip file"):
        compute_fbank(data_dir, nj=1)


@pytest.mark.parametrize("nj", ["1", "2"])
def test_truncated_audio_is_one_clear_line(audio, tmp_path, capsys, nj):
    broken = tmp_path / "broken.flac"
    broken.write_bytes(audio["dev-clean"][0].read_bytes())
    data = _manifests(tmp_path / "data", audio | {"dev-clean": [broken]})
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    line = _one_line(capsys, "--data-dir", str(data), "--nj", nj)
    assert str(broken) in line and "cannot be decoded" in line
    assert not (data / "fbank" / "librispeech_cuts_dev-clean.jsonl.gz").exists()
    assert not list((data / "fbank" / "librispeech_feats_dev-clean").glob("*.lca"))


@pytest.mark.parametrize("rate, channels", [(8000, 1), (16000, 2)])
def test_audio_of_another_format_is_one_clear_line(audio, tmp_path, capsys, rate, channels):
    path = tmp_path / "odd.flac"
    soundfile.write(path, np.zeros((rate, channels)), rate)
    data = _manifests(tmp_path / "data", audio | {"dev-clean": [path]})
    line = _one_line(capsys, "--data-dir", str(data))
    assert f"{path}: {rate} Hz, {channels} channel(s)" in line


def test_recordings_without_a_text_are_told(data_dir, audio, caplog):
    path = data_dir / "manifests" / "librispeech_supervisions_dev-clean.jsonl.gz"
    lines = gzip.open(path, "rt").read().splitlines()
    gzip.open(path, "wt").write(lines[0] + "\n")
    compute_fbank(data_dir, nj=1)
    cuts = list(CutSet.from_file(data_dir / "fbank" / "librispeech_cuts_dev-clean.jsonl.gz"))
    assert [cut.id for cut in cuts] == [json.loads(lines[0])["id"]]
    assert "left out 1 recordings without a text and 0 texts without a recording" in caplog.text


@pytest.mark.parametrize("nj", ["1", "2"])
def test_full_disk_is_one_clear_line_and_leaves_no_half_shard(data_dir, reference, monkeypatch, capsys, nj):
    import errno

    from lhotse import LilcomChunkyWriter

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(LilcomChunkyWriter, "write", full)
        line = _one_line(capsys, "--data-dir", str(data_dir), "--nj", nj)
    assert "no space left on device" in line
    assert not list((data_dir / "fbank").rglob("*.lca")) and not list((data_dir / "fbank").glob("*.gz"))
    compute_fbank(data_dir, nj=1, shard_size=2)
    assert _contents(data_dir) == reference


def test_a_process_that_is_killed_is_one_clear_line(data_dir, monkeypatch, capsys):
    import egs.librispeech.omni_sparsity.data.fbank as fbank

    main_process = os.getpid()

    def killed(_):
        assert os.getpid() != main_process
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(fbank, "load_samples", killed)
    line = _one_line(capsys, "--data-dir", str(data_dir), "--nj", "2")
    assert "one of 2 feature processes was killed" in line and "it goes on from here" in line


def test_options_that_make_no_sense(data_dir, capsys):
    assert "--nj 0" in _one_line(capsys, "--data-dir", str(data_dir), "--nj", "0")
