"""The order without a sort: near the exact one, robust to odd distributions, and every number of it a mask."""

import pytest
import torch

from omni.ranking import LEVELS, Ranking, rank, share_out


@pytest.mark.parametrize(
    "scores",
    [
        torch.randn(20000).abs(),
        torch.randn(20000, 8).abs().mean(dim=1),
        torch.randn(20000).abs() ** 6,
        torch.cat([torch.randn(10000).abs() * 1e-4, torch.randn(10000).abs()]),
        torch.cat([torch.rand(19999), torch.tensor([1e9])]),
        torch.cat([torch.zeros(5000), torch.rand(15000)]),
        torch.rand(3000).to(torch.float16),
        torch.rand(300).to(torch.float64),
    ],
    ids=["normal", "blocks", "heavy tail", "two scales", "outlier", "many zeros", "half", "few, double"],
)
def test_buckets_are_in_the_order_of_the_scores_and_hold_few(scores):
    codes = rank(scores)
    assert codes.dtype == torch.int16
    assert bool((codes[torch.argsort(scores)].diff() >= 0).all())
    sizes = torch.bincount(codes[scores > 0].int())
    assert int(sizes.max()) <= max(6, 12 * scores.numel() / LEVELS)


def test_the_exact_order_is_that_of_a_sort_and_ties_go_by_position():
    assert rank(torch.tensor([[3.0, 1.0], [2.0, 1.0]]), exact=True).tolist() == [[3, 0], [2, 1]]
    assert rank(torch.zeros(2**15), exact=True).dtype == torch.int32
    assert rank(torch.zeros(2**15 - 1), exact=True).tolist() == list(range(2**15 - 1))


@pytest.mark.parametrize("exact", [False, True])
def test_any_number_of_the_order_is_a_mask(exact):
    scores = torch.tensor([2.0, 1.0, 2.0, 1.0, 2.0, 0.0])
    ranking = Ranking(rank(scores, exact))
    want = [5, 1, 3, 0, 2, 4]  # the order in which they go
    for count in range(7):
        mask = ranking.kept(count)
        assert mask.dtype == torch.bool and sorted(torch.nonzero(~mask).flatten().tolist()) == sorted(want[:count])


def test_infinite_scores_go_last_and_negative_zero_first():
    for exact in (False, True):
        assert Ranking(rank(torch.tensor([float("inf"), 1.0]), exact)).kept(1).tolist() == [True, False]
        assert Ranking(rank(torch.tensor([1.0, -0.0]), exact)).kept(1).tolist() == [True, False]


@pytest.mark.parametrize("bad", [-1e-9, float("nan")])
@pytest.mark.parametrize("exact", [False, True])
def test_scores_that_are_no_importance_are_refused(bad, exact):
    with pytest.raises(ValueError, match="negative or not numbers"):
        rank(torch.tensor([1.0, bad]), exact)


def test_a_budget_is_shared_out_by_score():
    pools = [torch.tensor([0.1, 0.4]), torch.tensor([0.2, 0.3, 0.9]), torch.tensor([])]
    assert share_out(pools, [1, 1, 1], 3) == [1, 2, 0]
    assert share_out(pools, [8, 1, 1], 8) == [1, 0, 0]
    assert share_out(pools, [8, 1, 1], 7) == [0, 0, 0]  # never above the budget
    assert share_out(pools, [8, 1, 1], 10) == [1, 2, 0]
    assert share_out(pools, [1, 1, 1], -2) == [0, 0, 0]
    assert share_out(pools, [1, 1, 1], 99) == [2, 3, 0]


@pytest.mark.parametrize("exact", [False, True])
def test_a_ranking_after_another_keeps_its_first_and_orders_the_rest(exact):
    before = Ranking(rank(torch.tensor([[5.0, 1.0, 4.0], [2.0, 6.0, 3.0]]), exact))
    now = Ranking(rank(torch.tensor([[1.0, 9.0, 2.0], [8.0, 3.0, 7.0]]), exact))
    joined = now.after(before, 2)
    assert torch.equal(joined.kept(2), before.kept(2)) and torch.equal(joined.kept(1), before.kept(1))
    assert joined.codes.tolist() == [[2, 0, 3], [1, 4, 5]]
    assert torch.equal(now.after(before, 0).kept(3), now.kept(3))
    assert torch.equal(now.after(before, 6).kept(3), before.kept(3))
