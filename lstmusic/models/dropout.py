"""Locked dropout."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LockedDropout(nn.Module):
    """Dropout whose mask stays the same along the window (axis 1), anew for each lane and window.

    Source: Gal and Ghahramani (2016), section 4; in the form of Merity et al. (2018), section 4.2.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"dropout {rate}: expected 0 <= rate < 1")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x, float [B, T, ...]."""
        if not self.training or self.rate == 0:
            return x
        mask = torch.rand(x.shape[0], 1, *x.shape[2:], device=x.device) >= self.rate
        return x * (mask.to(x.dtype) / (1 - self.rate))
