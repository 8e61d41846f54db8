"""One model, many sparse sub-networks: weights hold masked values while a sub-network is active.

Nothing is added to the model: no hook on a module, no buffer, no renamed key. Weights are found as parameters, so a
module that reads a weight without being called (nn.MultiheadAttention's out_proj, say) is masked as any other, and
since the parameters stay the same objects, so are an LSTM's flat weights. What changes is the memory behind them: see
`overlay`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from .criteria import CRITERIA, Criterion
from .dropout import AdaptiveDropout, Formula
from .masks import Masks
from .overlay import Learning, Overlay
from .places import Places
from .private import Private
from .sampler import Sampler, check_sparsity
from .spec import Spec, check_spec, spec_of
from .structures import Blocks
from .targets import Config, choose


class Supernet(Sampler):
    """Sparse sub-networks of `model` that share its weights.

    Where a method wants a spec, {parameter name: sparsity}, one number stands for `uniform` of it.

    Args:
        model: left as it is; its parameters are masked inside `active` and restored after.
        targets: {regular expression that matches a whole parameter name: Range}, the first match counts; or one Range
            for the weights of every Linear, Conv, LSTM, GRU and MultiheadAttention (see `describe`).
        seed, levels: of the sampler, see `Sampler`.
        private: regular expressions of small parameters (norms, biases) of which sub-networks keep values of their
            own, one set for each bin of sparsity: slimmable networks need them (Yu et al. 2019, section 3.2). They
            begin as copies of the model's when a sub-network is active with gradients for the first time.
        bins: upper edges of those bins, rising; a sub-network of mean sparsity s > 0 uses the first edge >= s. The
            dense model's values are the model's own.
        gradient: "masked": only kept weights get a gradient; "dense": all do (straight-through).
        criterion: what makes a block worth keeping: "l1" (mean magnitude), "l2" (mean square), or a function of
            (name, parameter) that gives the importance of each value, none below zero, of the parameter's shape; a
            block is worth the mean over its values. Called now and at each `refresh`: one that reads `weight.grad`
            wants a backward before.
        dropout: how the model's dropout follows the active sub-network: "none" (it does not), "linear", "sqrt",
            "dense", or a function, see `dropout.FORMULAS`.

    Raises:
        ValueError: a pattern that matches nothing, a weight that is not a whole number of blocks, bins out of order,
            a level that is no sparsity, an unknown gradient, criterion or dropout.
    """

    def __init__(
        self,
        model: nn.Module,
        targets: Config,
        seed: int = 42,
        private: Sequence[str] = (),
        bins: Sequence[float] = (),
        gradient: str = "masked",
        criterion: str | Criterion = "l1",
        levels: Sequence[float] = (),
        dropout: str | Formula = "none",
    ) -> None:
        if gradient not in ("masked", "dense"):
            raise ValueError(f"gradient {gradient!r}: want 'masked' or 'dense'")
        if not callable(criterion) and criterion not in CRITERIA:
            raise ValueError(f"criterion {criterion!r}: want 'l1', 'l2' or a function")
        choices = choose(model, targets)
        super().__init__({name: choice.target for name, choice in choices.items() if choice.target}, seed, levels)
        self.model = model
        self.gradient = gradient
        self._masks = Masks(self.targets, criterion)
        self._dropout = AdaptiveDropout(model, dropout)
        self._private = Private(model, private, bins)
        clash = sorted(set(self._private.names) & set(self.targets))
        if clash:
            raise ValueError(f"{clash[0]}: both masked and private; take it out of one of the two")
        self._overlay = Overlay(self.targets)
        self._places = Places(model, list(self.targets))
        self._active: Spec | None = None
        self._version = -1  # of a weight, when a sub-network was left last: an optimizer's step changes it
        self.refresh()

    def __repr__(self) -> str:
        low, high = min(self.largest().values()), max(self.smallest().values())
        structures = ", ".join(dict.fromkeys(str(target.structure) for target in self.targets.values()))
        now = "" if self._active is None else f", active at {self.mean_sparsity(self._active):.4g}"
        return (f"Supernet({type(self.model).__name__}, {len(self.targets)} weights, sparsity {low:g} to {high:g}, "
                f"{structures}{now})")

    @property
    def bins(self) -> tuple[float, ...]:
        """Upper edges of the bins of private values."""
        return self._private.bins

    @property
    def blocks(self) -> Dict[str, Blocks]:
        """{parameter name: the blocks that its zeros come in}, under every name of a tied weight: for `pack`.

        Raises:
            RuntimeError: the model holds other parameters than it did.
        """
        self._places.check()
        return {held[0]: self.targets[name].blocks for name, one in self._places.owned.items() for held in one.holders}

    def bin_of(self, spec: Spec | float) -> int | None:
        """Index of the private values that `spec` uses; None: the model's own.

        Raises:
            ValueError: sparser than the last bin.
        """
        return self._private.bin_of(self.mean_sparsity(self._spec(spec)))

    @contextmanager
    def active(
        self, spec: Spec | float, key: str | None = None, hold: Spec | float | None = None
    ) -> Iterator[Learning]:
        """Inside, the model is the sub-network `spec`: run forward AND backward here. Restores bit-exactly.

        A backward after leaving raises torch's "modified by an inplace operation" wherever it needs a masked weight,
        which is all but a gradient of the first layer alone; that one comes without the mask. Where gradient
        checkpointing computes a forward anew it does so with what the weights are then, and cannot tell. A state_dict
        that is taken inside is the sub-network's: save a supernet outside.

        Args:
            spec: {parameter name: sparsity}; weights that it leaves out are dense.
            key: the set of masks, as given to `refresh`.
            hold: a sub-network whose weights are not to learn here: what it keeps gets a gradient of exactly zero, in
                the weights that it names.

        Yields:
            {parameter name: bool tensor of the weight's shape, True where it learns} of the weights whose gradient is
            masked here, by `spec` or by `hold`; all others learn everywhere. For an optimizer that is to leave alone
            what did not learn; valid after leaving too. A mask is made when it is read.

        Raises:
            RuntimeError: another sub-network is active; the model holds other parameters than it did; or, on leaving,
                masked weights were changed inside (an optimizer's step, load_state_dict, a move to another device):
                the change is lost.
            ValueError: a spec names an unknown weight or a sparsity that its structure does not have; the key was
                never ranked.
            TypeError: a spec is neither a dictionary nor a number.
        """
        self._must_be_idle("another is entered")
        spec, hold = self._spec(spec), {} if hold is None else self._spec(hold)
        self._must_be_the_models()
        self._check(spec, key)
        self._check(hold, key)
        witness = next(iter(self.targets.values())).weight
        if witness._version != self._version:
            self._private.watch()
        mean = self.mean_sparsity(spec)
        private = self._private.bin_of(mean)
        with torch.inference_mode(False), torch.no_grad():  # masks outlive an inference mode outside
            masks = {name: self._masks.mask(name, sparsity, key) for name, sparsity in spec.items() if sparsity > 0.0}
            learning = dict(masks) if self.gradient == "masked" else {}
            for name, sparsity in hold.items():
                others = ~self._masks.mask(name, sparsity, key)
                learning[name] = learning[name] & others if name in learning else others
        self._active = spec
        try:
            with self._private.swapped(private), self._dropout.follow(1.0 - mean):
                with self._overlay.masked(masks), self._overlay.learning(learning) as learns:
                    yield learns
            self._must_be_the_models()
        finally:
            self._active, self._version = None, witness._version

    def prune_(self, spec: Spec | float, key: str | None = None, left: float = 0.0) -> None:
        """Makes the model the sub-network `spec` for good: masked weights, private values in the plain keys.

        The masks are those of `active`: as ranked last.

        Args:
            left: what masks remove is multiplied by this, 0 to 1: above 0 it only fades.

        Raises:
            RuntimeError: a sub-network is active; the model holds other parameters than it did.
            ValueError, TypeError: as `active`; `left` is no share.
        """
        self._must_be_idle("the model is pruned")
        spec = self._spec(spec)
        self._must_be_the_models()
        self._check(spec, key)
        if not 0.0 <= left <= 1.0:
            raise ValueError(f"left {left}: want a share, 0 to 1")
        private = self.bin_of(spec)
        with torch.no_grad():
            for name, sparsity in spec.items():
                target = self.targets[name]
                before = target.weight.clone() if left else None
                target.structure.mask_(target.weight, self._masks.mask(name, sparsity, key))
                if left:
                    target.weight.lerp_(before, left)  # exact where nothing was removed
        self._private.bake(private)

    def mask(self, name: str, sparsity: float, key: str | None = None) -> Tensor:
        """The mask of one weight: bool, of its shape, True where `active` keeps.

        Raises:
            RuntimeError: the model holds other parameters than it did.
            ValueError: as `active`.
        """
        self._places.check()
        self._check({name: sparsity}, key)
        target = self.targets[name]
        return target.structure.whole(self._masks.mask(name, sparsity, key), target.weight.shape)

    def refresh(self, exact: bool = False, key: str | None = None, within: Spec | float | None = None) -> None:
        """Ranks the blocks anew by the weights' present importance.

        Args:
            exact: sort. Else one pass over the weights: blocks of about equal importance, 1/2048 of a weight's blocks
                or a few times that, go by position among themselves. Sparsities are exact in either.
            key: label of the set of masks that is ranked, any string; the other sets stay. None: the set that
                `active` takes where no key is given. Sets differ by when, or on whose gradients, they were ranked.
            within: a sub-network; what it has dropped stays dropped, in the order in which it went, and only what it
                keeps is ranked anew. So the masks of sparser sub-networks move and those of denser ones stay. Sorts.

        Raises:
            RuntimeError: a sub-network is active; the model holds other parameters than it did.
            ValueError: importance is negative or not a number, or a criterion's is not of the weight's shape; `within`
                names an unknown weight, or one of a structure other than blocks, or the key was never ranked.
        """
        self._must_be_idle("blocks are ranked")
        self._must_be_the_models()
        if within is not None:
            within = self._spec(within)
            self._check(within, key)
        self._masks.refresh(key, exact, within)

    def global_ranking(self, sparsity: float) -> Spec:
        """The spec whose per-weight sparsities follow from one ranking of the blocks of all weights, under one budget.

        Blocks compare by the mean importance of what they would lose. Each weight stays in its range; what it cannot
        give others give. A sparser spec only adds to what a denser one drops. Sorts: meant for evaluation, or once
        in a while.

        Args:
            sparsity: of all targeted values together; clipped to what the ranges allow, met to one block.

        Raises:
            RuntimeError: a sub-network is active; the model holds other parameters than it did.
            ValueError: sparsity out of [0, 1).
        """
        self._must_be_idle("blocks are ranked")
        self._must_be_the_models()
        check_sparsity(sparsity)
        return self._masks.budget(sparsity)

    def carry_private(self, before: Spec | float, after: Spec | float) -> None:
        """Where a sub-network grows sparser, from `before` to `after`, and comes into another bin: that bin begins anew
        with the private values of the bin that it leaves. Nothing happens within a bin, or before they are forked.

        Raises:
            RuntimeError: a sub-network is active; the model holds other parameters than it did.
            ValueError: sparser than the last bin.
        """
        self._must_be_idle("private values are copied")
        self._must_be_the_models()
        source, target = self.bin_of(before), self.bin_of(after)
        if self._private.forked and target is not None and source != target:
            self._private.copy_(source, target)

    # ---- what training and checkpoints need --------------------------------------------------------------------

    def private_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """("<bin edge>:<name>", value) of every private parameter: give them to the optimizer beside the model's."""
        return self._private.parameters()

    def state_dict(self) -> Dict[str, Any]:
        """Ranks and private values; the weights are in the model's own state_dict, whose keys never change."""
        return {
            **self._masks.state_dict(),
            "private": {name: value.detach() for name, value in self.private_parameters()},
            "forked": self._private.forked,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what `state_dict` gave.

        Raises:
            ValueError: it was made with other targets, structures, private parameters or bins.
        """
        mine = dict(self.private_parameters())
        if set(state["private"]) != set(mine):
            raise ValueError("this state was made with other private parameters or bins")
        self._masks.load_state_dict(state)
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(state["private"][name])
        self._private.forked = state["forked"]

    def __getstate__(self) -> Dict[str, Any]:
        self._must_be_idle("the supernet is copied or pickled")
        return {**self.__dict__, "_version": -1}  # versions of weights begin anew in a copy

    def _must_be_the_models(self) -> None:
        """Before a sub-network is entered or after it is left: the weights, and the parameters with private values."""
        self._places.check()
        self._private.check()

    def _spec(self, given: Spec | float) -> Spec:
        return spec_of(given, self)

    def _must_be_idle(self, what: str) -> None:
        if self._active is not None:
            raise RuntimeError(f"a sub-network is active already: leave it before {what}")

    def _check(self, spec: Spec, key: str | None) -> None:
        self._masks.check(key)
        check_spec(spec, self.targets)
