"""What is dropped while training: features, rows of the embedding, entries of the recurrent matrix; by masks that stay.

A mask stays for a whole window, so that backpropagation through time sees one network. It is drawn by a generator that is
passed in, so that a training can save where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DrawsMasks:
    """Mixin of the modules that drop something while training.

    Attributes:
        generator: draws the masks, on the device where the module is; None: torch's default.
    """

    generator: torch.Generator | None = None


def draw_from(generator: torch.Generator | None, module: nn.Module) -> None:
    """Let a module and all below it draw their masks from one generator."""
    for part in module.modules():
        if isinstance(part, DrawsMasks):
            part.generator = generator


def mask(shape: Sequence[int], rate: float, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """What to multiply with: 0 at a share `rate` of places, 1 / (1 - rate) elsewhere, so that means stay.

    Args:
        like: has the dtype and device to make.
    """
    kept = torch.rand(*shape, device=like.device, generator=generator) >= rate
    return kept.to(like.dtype) / (1 - rate)


def locked_dropout(x: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Drop features of x, float [B, T, ...], the same ones along the window (axis 1), others for each lane and call.

    Source: Gal and Ghahramani (2016), section 4; in the form of Merity et al. (2018), section 4.2.
    """
    return x * mask((x.shape[0], 1, *x.shape[2:]), rate, x, generator) if rate else x


def row_mask(embedding: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Embedding dropout: the factors [V, 1] of the rows of an embedding [V, E] for one window.

    An id that is dropped is dropped wherever it is read in the window, in every lane. The output projection keeps its
    rows, even where it is tied: an id that is dropped goes unseen, but stays as likely as it was.

    Source: Merity et al. (2018), section 4.3, after Gal and Ghahramani (2016), section 4.2.
    """
    return mask((embedding.shape[0], 1), rate, embedding, generator)


def weight_drop(recurrent: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """DropConnect on a recurrent matrix: other entries dropped at each call, which is once a window.

    Source: Merity et al. (2018), section 2, after Wan et al. (2013).
    """
    return recurrent * mask(recurrent.shape, rate, recurrent, generator) if rate else recurrent


def checked_rate(rate: float) -> float:
    """The rate itself, if it is one; else ValueError."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout {rate}: expected 0 <= rate < 1")
    return rate


class LockedDropout(DrawsMasks, nn.Module):
    """`locked_dropout` as a module: nothing is dropped in evaluation."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = checked_rate(rate)

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x, float [B, T, ...]."""
        return locked_dropout(x, self.rate, self.generator) if self.training else x
