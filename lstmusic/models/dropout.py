"""Locked dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def locked_dropout(x: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Drop features of x, float [B, T, ...], the same ones along the window (axis 1), others for each lane and call.

    Source: Gal and Ghahramani (2016), section 4; in the form of Merity et al. (2018), section 4.2.
    """
    if rate == 0:
        return x
    mask = torch.rand(x.shape[0], 1, *x.shape[2:], device=x.device, generator=generator) >= rate
    return x * (mask.to(x.dtype) / (1 - rate))


def checked_rate(rate: float) -> float:
    """The rate itself, if it is one; else ValueError."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout {rate}: expected 0 <= rate < 1")
    return rate


class LockedDropout(nn.Module):
    """`locked_dropout` as a module: nothing is dropped in evaluation.

    Attributes:
        generator: draws the masks; None: torch's default.
    """

    generator: torch.Generator | None = None

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = checked_rate(rate)

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x, float [B, T, ...]."""
        return locked_dropout(x, self.rate, self.generator) if self.training else x
