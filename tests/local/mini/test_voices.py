"""Who speaks where."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.mini.designs import DESIGNS
from local.mini.voices import OTHER_ACCENTS, SUBSETS, TRAIN_ACCENTS, TRAIN_VARIANTS, speakers


def test_the_whole_corpus_is_as_large_as_promised():
    cast = speakers(42, 1.0)
    seconds = {subset: sum(who.seconds for who in cast if who.subset == subset) for subset in SUBSETS}
    assert seconds["train-clean"] >= 3 * 3600
    assert all(seconds[subset] >= 20 * 60 for subset in SUBSETS if subset != "train-clean")
    assert sum(who.subset == "train-clean" for who in cast) >= 60


def test_another_corpus_has_the_same_voices_and_less_to_train_with():
    mini, codes = speakers(42, 1.0), speakers(42, 1.0, DESIGNS["codes"])
    assert [(who.voice, who.pitch, who.rate) for who in mini] == [(who.voice, who.pitch, who.rate) for who in codes]
    seconds = {who.subset: (who.seconds, other.seconds) for who, other in zip(mini, codes)}
    assert all((more > less) == (subset == "train-clean") for subset, (more, less) in seconds.items())  # longer tests


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 2.0])
def test_no_voice_or_number_comes_twice(scale):
    cast = speakers(42, scale)
    assert len({(who.voice, who.pitch, who.rate) for who in cast}) == len(cast) == len({who.id for who in cast})
    subsets = {}
    for who in cast:
        assert subsets.setdefault(who.voice, who.subset) == who.subset


def test_every_subset_has_speakers_at_toy_scale():
    cast = speakers(42, 0.01)
    for subset in SUBSETS:
        assert sum(who.subset == subset for who in cast) >= 2


def test_other_sets_have_variants_that_training_lacks_and_every_third_accent_too():
    cast = speakers(42, 1.0)
    for subset in ("dev-other", "test-other"):
        voices = [who.voice.split("+") for who in cast if who.subset == subset]
        assert not {variant for _, variant in voices} & set(TRAIN_VARIANTS)
        assert [accent in OTHER_ACCENTS for accent, _ in voices] == [True, False, False] * 4
        assert {accent for accent, _ in voices} >= {*OTHER_ACCENTS}
    for who in cast:
        accent, variant = who.voice.split("+")
        assert who.subset.endswith("other") or accent in TRAIN_ACCENTS
        assert who.subset != "train-clean" or variant in TRAIN_VARIANTS


def test_dev_and_test_share_no_variant_of_their_own():
    own = {}
    for who in speakers(42, 1.0):
        variant = who.voice.split("+")[1]
        if variant not in TRAIN_VARIANTS:
            assert own.setdefault(variant, who.subset) == who.subset


def test_the_synthesizer_has_every_variant():
    loader = pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed")
    folder = Path(loader.get_data_path()) / "voices" / "!v"
    missing = {who.voice.split("+")[1] for who in speakers(42, 1.0)} - {
        path.name for path in folder.iterdir()
    }
    assert not missing


def test_the_seed_changes_pitch_and_rate():
    assert speakers(1, 0.1) == speakers(1, 0.1)
    assert speakers(1, 0.1) != speakers(2, 0.1)
