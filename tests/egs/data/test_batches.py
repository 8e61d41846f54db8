"""Batches are a function of (seed, epoch, position), whoever makes them."""

from types import SimpleNamespace

import torch

from egs.librispeech.omni_sparsity.data.batches import evaluation_loader, train_loader, unpack_batch
from egs.librispeech.omni_sparsity.data.epochs import usable

CPU = torch.device("cpu")


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
    config.data.noise_prob, config.data.spec_aug_prob = 0.0, 0.0
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


def test_augmentation_may_come_later(corpus, config):
    config.data.augment_from = 2
    plain = batches(corpus, config, epoch=1)
    config.data.augment_from = 1
    assert not equal(batches(corpus, config, epoch=1), plain)
    config.data.noise_prob, config.data.spec_aug_prob = 0.0, 0.0
    assert equal(batches(corpus, config, epoch=1), plain)
