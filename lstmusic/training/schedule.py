"""How far a training has come, and the learning rate there."""

from __future__ import annotations

import math
from dataclasses import dataclass

WARM_UP = 0.2
FIRST_SHARE, LAST_SHARE = 0.04, 0.001


def one_cycle(progress: float) -> float:
    """The share of the top learning rate at a progress of 0..1: a cosine up, then a cosine down.

    Source: Smith and Topin (2018); the shape of torch's OneCycleLR, as a function of progress instead of steps.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < WARM_UP:
        return FIRST_SHARE + (1 - FIRST_SHARE) * (1 - math.cos(math.pi * progress / WARM_UP)) / 2
    return LAST_SHARE + (1 - LAST_SHARE) * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


@dataclass(frozen=True)
class Budget:
    """What a training may spend: minutes, steps, or whichever comes first; the schedule ends where the budget does."""

    max_minutes: float | None = None
    max_steps: int | None = None

    def progress(self, elapsed_s: float, step: int) -> float:
        """The larger share of what has been spent; 1 or more means that the training is over."""
        shares = [0.0]
        if self.max_minutes is not None:
            shares.append(elapsed_s / (60 * self.max_minutes))
        if self.max_steps is not None:
            shares.append(step / self.max_steps)
        return max(shares)
