"""The weights that are evaluated and kept: a running mean of those that are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lstmusic.schema import one_of
from lstmusic.schema.groups import AVERAGES

NON_MONOTONIC_CHECKS = 5


class Averaging:
    """How the mean follows the weights.

    `ema`: an exponential moving average, short-sighted at first (as in Adam's bias correction).
    `asgd`: the weights themselves until validation has not improved for some checks, from then on their plain mean.
    `none`: the weights themselves.

    Source of `asgd`: Polyak and Juditsky (1992); where it begins: Merity et al. (2018), algorithm 1 (NT-ASGD), in the
    form of its authors' program: where a figure is worse than the best of those more than n checks ago.

    Args:
        kind: `ema`, `asgd` or `none`.
        decay: of the exponential moving average, per step.
        checks: n of algorithm 1.
    """

    def __init__(self, kind: str = "ema", decay: float = 0.99, checks: int = NON_MONOTONIC_CHECKS) -> None:
        one_of("average", kind, AVERAGES)
        self.kind, self.decay, self.checks = kind, decay, checks
        self.figures: list[float] = []  # of the validations so far
        self.taken = 0  # steps in the plain mean; 0 where it has not begun

    def newest_share(self, step: int) -> float:
        """The share of the newest weights in the mean after a step, the first of which is number 0."""
        if self.kind == "ema":
            return 1 - min(self.decay, (1 + step) / (10 + step))
        return 1 / (self.taken + 1) if self.taken else 1.0

    @torch.no_grad()
    def update(self, mean: Sequence[Tensor], weights: Sequence[Tensor], step: int) -> None:
        """Take the weights after a step into the mean, in place; after a skipped step those that it left."""
        torch._foreach_lerp_(list(mean), list(weights), self.newest_share(step))
        if self.taken:
            self.taken += 1

    def validated(self, figure: float) -> None:
        """Begin the plain mean with the weights as they are, once a figure is worse than the best of those `checks` ago."""
        early = self.figures[: max(0, len(self.figures) - self.checks)]
        if self.kind == "asgd" and not self.taken and early and figure > min(early):
            self.taken = 1
        self.figures.append(figure)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs of it."""
        return {"figures": list(self.figures), "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.figures, self.taken = list(state["figures"]), state["taken"]
