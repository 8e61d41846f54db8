"""How sparse a model that is pruned on its own should be at each step: the baseline of every supernet."""

from __future__ import annotations


def gradual_sparsity(step: int, begin: int, end: int, final: float, initial: float = 0.0) -> float:
    """Sparsity that rises fast at first and slowly at last, as the cube (Zhu & Gupta 2017, arXiv:1710.01878, eq. 1):

        final + (initial - final) * (1 - (step - begin) / (end - begin)) ** 3

    The gradual magnitude pruning of that paper is a training with masks that are ranked anew every N steps:

        if step % 100 == 0:
            net.refresh(exact=True)
        with net.active(net.uniform(omni.gradual_sparsity(step, 1000, 8000, 0.8))):
            compute(model, batch).backward()

    Args:
        step: of training; before `begin` the result is `initial`, from `end` on `final`.

    Raises:
        ValueError: end not after begin, a sparsity out of [0, 1).
    """
    if not begin < end:
        raise ValueError(f"gradual_sparsity from step {begin} to step {end}: want begin < end")
    for sparsity in (initial, final):
        if not 0.0 <= sparsity < 1.0:
            raise ValueError(f"sparsity {sparsity}: want 0 <= sparsity < 1")
    left = 1.0 - min(max((step - begin) / (end - begin), 0.0), 1.0)
    return final + (initial - final) * left**3
