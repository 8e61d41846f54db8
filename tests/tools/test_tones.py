"""tools/tones.py: a corpus that stage 0 takes as LibriSpeech, the same at every call."""

import soundfile

from local.prepare_corpus import main as prepare
from tools import tones


def test_stage_0_takes_it(tmp_path, monkeypatch):
    for folder in ("one", "other"):
        monkeypatch.setattr("sys.argv", ["tones", str(tmp_path / folder), "--utterances", "60"])
        tones.main()
    found = {name: sorted((tmp_path / "one" / "LibriSpeech" / name).rglob("*.flac")) for name in tones.NOISE}
    assert [len(files) for files in found.values()] == [60, 6, 6, 6, 6]
    for path in found["train-clean-100"]:
        samples, rate = soundfile.read(path)
        assert rate == 16000 and 0.5 < len(samples) / rate < 5.5 and 0.05 < abs(samples).max() < 1.0
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "one")).read_bytes()
    quiet = {name: soundfile.read(found[name][0])[0][:2000].std()
             for name in ("test-clean", "test-other")}  # before a word
    assert quiet["test-other"] > 2 * quiet["test-clean"] > 0.0
    assert len({tones.WORDS.index(word) for line in (tmp_path / "one").rglob("*.trans.txt")
                for word in line.read_text().split() if word in tones.WORDS}) == len(tones.WORDS)
    prepare(["--corpus", "librispeech", "--download-dir", str(tmp_path / "one"), "--data-dir", str(tmp_path / "data")])
    assert (tmp_path / "data/manifests/librispeech_supervisions_test-other.jsonl.gz").is_file()
