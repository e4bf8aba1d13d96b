"""Parts of windows: what the measurements of this room cut, stack and carry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lstmusic.models.language_model import Window
from lstmusic.models.model import Model
from lstmusic.models.stack import State


def num_steps(window: Window) -> int:
    """T of a window."""
    return window.targets.shape[1]


def between(window: Window, start: int, stop: int) -> Window:
    """The steps start..stop-1 of a window [B, T]."""
    return Window(*(field[:, start:stop] for field in window))


def stacked(pieces: Sequence[Window]) -> Window:
    """Pieces of one lane each [1, T_i] side by side [B, T], the shorter ones padded at their end.

    Padding has weight 0, is not scored, and every id is allowed there.
    """
    longest = max(num_steps(piece) for piece in pieces)

    def padded(field: Tensor, missing: int, value: float) -> Tensor:
        return functional.pad(field, (0, 0) * (field.ndim - 2) + (0, missing), value=value)

    rows = []
    for piece in pieces:
        missing = longest - num_steps(piece)
        rows.append(Window(*(padded(f, missing, name == "allowed") for name, f in piece._asdict().items())))
    return Window(*(torch.cat(fields) for fields in zip(*rows, strict=True)))


@torch.no_grad()
def states_before(model: Model, piece: Window, steps: Sequence[int]) -> State:
    """What the model carries before each of these steps of a piece [1, T], the steps side by side: each part [L, N, H].

    Args:
        steps: rising, each within the piece.
    """
    state, at, found = model.initial_state(1), 0, []
    for step in steps:
        if step > at:
            _, state = model(between(piece, at, step), state)
        at = step
        found.append(state)
    return tuple(torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
