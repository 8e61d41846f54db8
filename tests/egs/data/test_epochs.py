"""Which cuts an epoch sees, and that it has batches at all."""

import logging
import warnings

from types import SimpleNamespace

import pytest
from lhotse import CutSet
from lhotse.utils import fastcopy

from egs.librispeech.omni_sparsity.data.epochs import epoch_cuts, num_buckets, require_steps, train_sampler, usable
from omni.errors import UserError


def alike(corpus, count, seconds=None):
    """`count` of the training cuts, all of one duration if `seconds` are given."""
    cuts = list(corpus.train_cuts())[:count]
    return CutSet.from_cuts(fastcopy(cut, duration=seconds or cut.duration) for cut in cuts)


def test_cuts_that_cannot_be_trained_on_are_left_out_and_counted(corpus, config, caplog):
    config.data.max_seconds = 1.3
    with caplog.at_level(logging.INFO):
        kept = usable(corpus.train_cuts(), corpus, config)
    dropped = 48 - len(kept)
    assert 0 < dropped < 48 and f"{dropped} over 1.3 s" in caplog.text
    config.data.max_seconds = 0.6
    with pytest.raises(UserError, match="no training cut between 0.5 and 0.6 s"):
        usable(corpus.train_cuts(), corpus, config)


def test_features_from_audio_want_audio(corpus, config):
    config.data.on_the_fly = True
    with pytest.raises(UserError, match="train-clean.*cut utt-000: has no recording"):
        usable(corpus.train_cuts(), corpus, config)


def test_the_first_epoch_is_short(corpus, config):
    config.data.first_max_seconds = 1.3
    cuts = usable(corpus.train_cuts(), corpus, config)
    short = epoch_cuts(cuts, config, 1)
    assert 0 < len(short) < 48 and all(cut.duration <= 1.3 for cut in short) and len(epoch_cuts(cuts, config, 2)) == 48
    config.data.first_max_seconds = 0.1
    assert len(epoch_cuts(cuts, config, 1)) == 48  # none is that short: better all than none


def test_epochs_deal_the_cuts_out_in_parts(corpus, config):
    cuts = usable(corpus.train_cuts(), corpus, config)
    config.data.parts = 3
    seen = [set(epoch_cuts(cuts, config, epoch).ids) for epoch in (2, 3, 4, 5)]
    assert set.union(*seen[:3]) == set(cuts.ids) and sum(map(len, seen[:3])) == len(cuts) and seen[3] == seen[0]
    assert all(seen)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 48])
@pytest.mark.parametrize("seconds", [None, 0.8])
def test_however_few_cuts_there_are_each_comes_once(corpus, config, count, seconds):
    cuts = alike(corpus, count, seconds)
    config.data.max_duration = 4.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy's, on the mean of no bins
        warnings.filterwarnings("ignore", message="You are using DynamicBucketingSampler with an eagerly read CutSet")
        warnings.filterwarnings("ignore", message="Your 'buffer_size' setting")
        batches = {epoch: [list(batch.ids) for batch in train_sampler(cuts, config, epoch)] for epoch in (1, 2)}
        again = [list(batch.ids) for batch in train_sampler(cuts, config, 1)]
    assert again == batches[1]
    for found in batches.values():
        assert sorted(name for batch in found for name in batch) == sorted(cuts.ids)
    durations = {cut.id: cut.duration for cut in cuts}
    assert all(sum(durations[name] for name in batch) <= 4.0 for batch in batches[1])


def test_a_cut_that_is_longer_than_a_batch_is_one_by_itself(corpus, config):
    config.data.max_duration = 0.5
    for count in (1, 2, 20):
        assert [len(batch) for batch in train_sampler(alike(corpus, count), config, 1)] == [1] * count


def test_buckets_grow_with_the_corpus():
    counts = (0, 15, 16, 59, 80, 568, 9600, 29_999, 60_000, 90_000, 843_000)
    assert [num_buckets(count) for count in counts] == [0, 1, 2, 7, 10, 10, 10, 10, 20, 30, 30]


def processes(world_size):
    return SimpleNamespace(world_size=world_size, batches_each=1)


def test_an_epoch_of_fewer_batches_than_processes_is_refused(corpus, config):
    cuts, config.data.max_duration = alike(corpus, 3, 0.8), 1.7
    require_steps(cuts, config, processes(1))
    require_steps(cuts, config, processes(2))
    with pytest.raises(UserError, match=r"epoch 1 has 2 batch\(es\) of 1\.7 s .* but a step takes 1000 "):
        require_steps(cuts, config, processes(1000))
    config.data.first_max_seconds = 0.8  # of the first epoch, which has one cut
    cuts = CutSet.from_cuts([*alike(corpus, 1, 0.8), *list(alike(corpus, 9, 1.0))[1:]])
    with pytest.raises(UserError, match=r"epoch 1 has 1 batch\(es\) .* but a step takes 2 "):
        require_steps(cuts, config, processes(2))


def test_counting_is_exact_and_cheap(corpus, config, monkeypatch):
    """Refused exactly where there is no step; and where there are many batches, they are not gone through."""
    from egs.librispeech.omni_sparsity.data import epochs

    config.train.num_epochs = 1
    cuts, config.data.max_duration = alike(corpus, 30), 3.0
    count = sum(1 for _ in train_sampler(cuts, config, 1))
    require_steps(cuts, config, processes(count))
    with pytest.raises(UserError, match=rf"has {count} batch\(es\)"):
        require_steps(cuts, config, processes(count + 1))
    monkeypatch.setattr(epochs, "train_sampler", None)
    require_steps(cuts, config, processes(4))
