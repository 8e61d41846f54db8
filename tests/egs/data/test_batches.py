"""Batches are a function of (seed, epoch, position), whoever makes them."""

import logging
from types import SimpleNamespace

import pytest
import torch

from egs.librispeech.omni_sparsity.data.batches import Corpus, epoch_cuts, evaluation_loader, train_loader, unpack_batch, usable
from egs.librispeech.omni_sparsity.data.subsets import evaluation_sets
from omni.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def corpus(data_dir, config):
    return Corpus(data_dir, config.model.vocab_size)


def processes(rank=0, world_size=1, each=1):
    return SimpleNamespace(rank=rank, world_size=world_size, batches_each=each, device=CPU)


def batches(corpus, config, epoch=1, skip=0):
    cuts = usable(corpus.train_cuts(), corpus, config)
    loader = train_loader(cuts, corpus.noise_cuts(), config, epoch, skip, processes())
    return [unpack_batch(batch, corpus, CPU) for batch in loader]


def equal(one, other):
    return len(one) == len(other) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2] == b[2] for a, b in zip(one, other))


def test_an_epoch_can_be_taken_up_at_any_batch_and_by_any_worker(corpus, config):
    whole = batches(corpus, config)
    assert len(whole) > 3 and equal(batches(corpus, config), whole)
    assert equal(batches(corpus, config, skip=2), whole[2:])
    config.data.num_workers = 1
    assert equal(batches(corpus, config, skip=1), whole[1:])


def test_epochs_differ_in_order_and_in_noise(corpus, config):
    first, second = batches(corpus, config), batches(corpus, config, epoch=2)
    assert not equal(first, second)
    assert sum(len(b[2]) for b in first) == sum(len(b[2]) for b in second) == 48


def test_batches_are_within_max_duration_and_augmented(corpus, config):
    loud = batches(corpus, config)
    assert all(int(lengths.sum()) <= 100 * config.data.max_duration for _, lengths, _ in loud)
    config.data.noise_prob, config.data.spec_aug = 0.0, False
    plain = batches(corpus, config)
    assert [sorted(b[2]) for b in plain] == [sorted(b[2]) for b in loud]
    assert not torch.equal(plain[0][0].sort().values, loud[0][0].sort().values)


def test_however_many_processes_share_a_step_it_has_the_same_batches(corpus, config):
    cuts, noise = usable(corpus.train_cuts(), corpus, config), corpus.noise_cuts()
    config.data.max_duration = 4

    def taken(skip, *shares):
        loaders = [train_loader(cuts, noise, config, 1, skip, share) for share in shares]
        return [[unpack_batch(batch, corpus, CPU) for batch in loader] for loader in loaders]

    alone, = taken(0, processes(each=2))
    first, second = taken(0, processes(0, 2), processes(1, 2))
    assert len(alone) > 4 and len(alone) % 2 == 0
    assert equal(alone[::2], first) and equal(alone[1::2], second)
    first, second = taken(2, processes(0, 2), processes(1, 2))  # an epoch that one process began
    assert equal(alone[2::2], first) and equal(alone[3::2], second)


def test_evaluation_sees_every_cut_once(corpus):
    ids = [c.id for b in evaluation_loader(corpus.cuts("test-clean"), 3.0) for c in b["supervisions"]["cut"]]
    assert sorted(ids) == sorted(corpus.cuts("test-clean").ids)
    assert evaluation_sets(corpus.data_dir) == ["dev-clean", "test-clean"]


def test_cuts_that_cannot_be_trained_on_are_left_out_and_counted(corpus, config, caplog):
    config.data.max_seconds = 1.3
    with caplog.at_level(logging.INFO):
        kept = usable(corpus.train_cuts(), corpus, config)
    dropped = 48 - len(kept)
    assert 0 < dropped < 48 and f"{dropped} over 1.3 s" in caplog.text
    config.data.max_seconds = 0.6
    with pytest.raises(UserError, match="no training cut between 0.5 and 0.6 s"):
        usable(corpus.train_cuts(), corpus, config)


def test_the_first_epoch_is_short_and_augmentation_may_come_later(corpus, config):
    config.data.first_max_seconds, config.data.augment_from = 1.3, 2
    cuts = usable(corpus.train_cuts(), corpus, config)
    short = epoch_cuts(cuts, config, 1)
    assert 0 < len(short) < 48 and all(cut.duration <= 1.3 for cut in short) and len(epoch_cuts(cuts, config, 2)) == 48
    config.data.first_max_seconds = 0.1
    assert len(epoch_cuts(cuts, config, 1)) == 48  # none is that short: better all than none
    plain = batches(corpus, config, epoch=1)
    config.data.augment_from = 1
    assert not equal(batches(corpus, config, epoch=1), plain)
    config.data.noise_prob, config.data.spec_aug = 0.0, False
    assert equal(batches(corpus, config, epoch=1), plain)


def test_epochs_deal_the_cuts_out_in_parts(corpus, config):
    cuts = usable(corpus.train_cuts(), corpus, config)
    config.data.parts = 3
    seen = [set(epoch_cuts(cuts, config, epoch).ids) for epoch in (2, 3, 4, 5)]
    assert set.union(*seen[:3]) == set(cuts.ids) and sum(map(len, seen[:3])) == len(cuts) and seen[3] == seen[0]
    assert all(seen)


def test_what_is_missing_is_named_with_the_stage_that_makes_it(tmp_path, data_dir):
    with pytest.raises(UserError, match="lang_bpe_77/bpe.model: not there; stage 2"):
        Corpus(data_dir, 77)
    (tmp_path / "lang_bpe_20").mkdir()
    (tmp_path / "lang_bpe_20" / "bpe.model").write_bytes((data_dir / "lang_bpe_20" / "bpe.model").read_bytes())
    with pytest.raises(UserError, match="fbank: no features there; stage 1"):
        Corpus(tmp_path, 20).train_cuts()
