"""The two backends agree, and both do what Kaldi's definition says."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from egs.librispeech.omni_sparsity.data.fbank import choose_backend, load_samples, make_extractor
from omni.errors import UserError

SPEECH = Path(__file__).parents[4] / "shared" / "speech" / "LibriSpeech"

# Natural logarithms of power. Measured over 22.8 minutes of speech: 0.0019 at most, 3e-6 on average. Storing
# with lilcom rounds by up to 0.016.
AT_MOST = 0.01
ON_AVERAGE = 1e-4


def _noise(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((1, round(seconds * 16000)))).astype(np.float32)


def _assert_agree(samples: np.ndarray) -> None:
    one = make_extractor("kaldifeat").extract(samples, 16000)
    other = make_extractor("lhotse").extract(samples, 16000)
    assert one.shape == other.shape == ((samples.shape[1] + 80) // 160, 80)
    difference = np.abs(one - other)
    assert difference.max() < AT_MOST
    assert difference.mean() < ON_AVERAGE


@pytest.mark.parametrize("level", [0.3, 1e-2, 1e-4, 0.0])
def test_backends_agree_on_noise(level):
    pytest.importorskip("kaldifeat")
    _assert_agree(_noise(3.0, level))


def test_backends_agree_on_lengths_that_are_no_whole_frames():
    pytest.importorskip("kaldifeat")
    for samples in (8000, 8037, 8079, 8081, 8159):
        _assert_agree(_noise(1.0)[:, :samples])


def test_backends_agree_on_speech():
    pytest.importorskip("kaldifeat")
    files = sorted(SPEECH.glob("test-*/*/*/*.flac"))[:10]
    if not files:
        pytest.skip("real LibriSpeech speech (../shared/speech) is not here")
    for path in files:
        samples, _ = soundfile.read(path, dtype="float32")
        _assert_agree(samples[None])


@pytest.mark.parametrize("backend", ["lhotse", "kaldifeat"])
def test_numbers_are_those_of_torchaudios_port_of_kaldi(backend):
    if backend == "kaldifeat":
        pytest.importorskip("kaldifeat")
    torch = pytest.importorskip("torch")
    kaldi = pytest.importorskip(
        "torchaudio.compliance.kaldi", exc_type=(ImportError, OSError),
        reason="torchaudio's compiled part does not load beside this torch",
    )
    samples = _noise(2.0)
    options = {"num_mel_bins": 80, "dither": 0.0, "snip_edges": False, "high_freq": -400.0}
    expected = kaldi.fbank(torch.from_numpy(samples), **options).numpy()
    found = make_extractor(backend).extract(samples, 16000)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < AT_MOST


def test_a_louder_signal_has_larger_features():
    quiet, loud = _noise(1.0, 0.01), _noise(1.0, 0.1)
    extractor = make_extractor("lhotse")
    difference = extractor.extract(loud, 16000) - extractor.extract(quiet, 16000)
    assert np.allclose(difference, np.log(100), atol=1e-2)  # ten times the amplitude; logarithm of power


def test_unknown_backend_is_refused():
    with pytest.raises(UserError, match="--backend torchaudio"):
        choose_backend("torchaudio")


def test_without_kaldifeat_auto_takes_lhotse_and_kaldifeat_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "kaldifeat", None)  # makes the import fail
    assert choose_backend("auto") == "lhotse"
    assert choose_backend("lhotse") == "lhotse"
    with pytest.raises(UserError, match="--backend kaldifeat.*tools/setup_env.sh"):
        choose_backend("kaldifeat")


def test_auto_takes_kaldifeat_where_it_is():
    pytest.importorskip("kaldifeat")
    assert choose_backend("auto") == "kaldifeat"


@pytest.mark.parametrize(
    "left, told",
    [*((part, "cannot be decoded") for part in (0.99, 0.9, 0.5, 0.1, 0.0)), (None, "is not there")],
)
def test_audio_that_cannot_be_read_is_named(tmp_path, left, told):
    """Truncated just before the end too: lhotse's own choice of backends takes such a file without a word."""
    from lhotse import Recording
    from lhotse.audio.backend import get_current_audio_backend

    path = tmp_path / "a.flac"
    soundfile.write(path, _noise(2.0)[0], 16000)
    cut = Recording.from_file(path).to_cut()
    assert load_samples(cut).shape == (1, 32000)
    backend = get_current_audio_backend()
    if left is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: round(left * path.stat().st_size)])
    with pytest.raises(UserError, match=told) as error:
        load_samples(cut)
    assert get_current_audio_backend() is backend
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
