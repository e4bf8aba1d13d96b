"""Echoes: what sounded some frames ago, shown to a frame model, and gates that copy it.

Music repeats itself after a bar, two bars, a phrase. To use that, a recurrent layer has to carry a whole phrase in its
state; here the frames of some lags are kept beside it. The model reads them, with how well each lag has foretold the last
frames, and its head may copy them, as a pointer does (Vinyals et al., 2015; Merity et al., 2017): by one gate a lag,
whatever the key, so that a phrase never heard before repeats as well as one of the training pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lstmusic.errors import StateShapeError

AGREEMENT_STEPS = 8  # frames over which a lag's agreement with the present is taken


class Heard(NamedTuple):
    """What is shown of the past at each step of a window.

    Attributes:
        echoes: float [B, T, N, K], 1 where a key was down so many frames before the step's target; 0 before the piece.
        agreement: float [B, T, N - 1], the share of the last frames that were what that lag before them was; not of lag 1.
        memory: float [C, B, K + 1], what the next window needs: frames, and in the last column whether there was one.
    """

    echoes: Tensor
    agreement: Tensor
    memory: Tensor


class Echoes:
    """The frames of some lags.

    Args:
        num_keys: K.
        lags: in frames, each 2 or more; lag 1 always is the first of the N echoes.
    """

    def __init__(self, num_keys: int, lags: Sequence[int]) -> None:
        if min(lags) < 2:
            raise ValueError(f"echoes {list(lags)}: expected lags of 2 frames at least")
        self.num_keys, self.lags = num_keys, (1, *lags)
        self.memory_steps = max(lags) + AGREEMENT_STEPS - 1

    def initial_memory(self, like: Tensor, lanes: int) -> Tensor:
        """Nothing heard yet, of the type and device of `like`."""
        return like.new_zeros(self.memory_steps, lanes, self.num_keys + 1)

    def hear(self, frames: Tensor, is_frame: Tensor, reset: Tensor, memory: Tensor) -> Heard:
        """What is shown at each step of a window.

        Args:
            frames: float [B, T, K], the frame before each target.
            is_frame: bool [B, T], False where BOS stands in its place.
            reset: bool [B, T], True where a piece begins: nothing of before is heard from there on.
            memory: what the window before left.

        Raises:
            StateShapeError: the memory was made for another number of lanes or other lags.
        """
        lanes, steps, _ = frames.shape
        expected = (self.memory_steps, lanes, self.num_keys + 1)
        if tuple(memory.shape) != expected:
            raise StateShapeError(f"memory of frames {tuple(memory.shape)}: expected {expected}")
        now = torch.cat([frames, is_frame[..., None].to(frames.dtype)], dim=-1)
        past = torch.cat([memory.transpose(0, 1), now], dim=1)  # [B, C + T, K + 1]
        at = torch.arange(steps, device=frames.device)
        began = torch.where(reset.to(frames.device), at, -self.memory_steps).cummax(dim=1).values
        echoes = torch.stack([self._lagged(past, lag, at, began) for lag in self.lags], dim=2)
        agreement = torch.stack([self._agreement(past, lag, at, began) for lag in self.lags[1:]], dim=2)
        first = self.memory_steps + began[:, -1:]  # of the piece at hand
        own = torch.arange(steps, past.shape[1], device=frames.device) >= first
        return Heard(echoes, agreement, (past[:, steps:] * own[..., None]).transpose(0, 1))

    def _lagged(self, past: Tensor, lag: int, at: Tensor, began: Tensor) -> Tensor:
        """The frame that lies `lag` before each target, float [B, T, K]."""
        start = self.memory_steps - lag + 1
        inside = at - (lag - 1) >= began
        return past[:, start : start + len(at), :-1] * inside[..., None]

    def _agreement(self, past: Tensor, lag: int, at: Tensor, began: Tensor) -> Tensor:
        """The share of the last AGREEMENT_STEPS frames that equal the one `lag` before them, float [B, T]."""
        back = AGREEMENT_STEPS - 1
        start = self.memory_steps - back
        now, before = past[:, start:], past[:, start - lag : past.shape[1] - lag]
        same = ((now == before).all(dim=-1) & (now[..., -1] > 0)).to(past.dtype)
        same[:, back:] *= at - lag >= began  # of an earlier piece in this window
        sums = torch.cat([same.new_zeros(len(same), 1), same.cumsum(dim=1)], dim=1)
        lowest = torch.maximum(at - back, began)
        return (sums[:, AGREEMENT_STEPS:] - sums.gather(1, lowest + back)) / AGREEMENT_STEPS


class CopyGates(nn.Module):
    """What echoes add to the logits of keys: for each lag one number where a key was down, and another where it was up.

    Args:
        input_size: W, of what the gates are computed from.
        num_echoes: N.
    """

    def __init__(self, input_size: int, num_echoes: int) -> None:
        super().__init__()
        self.gates = nn.Linear(input_size, 2 * num_echoes)
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)

    def forward(self, x: Tensor, echoes: Tensor) -> Tensor:
        """Float [..., K] from x [..., W] and echoes [..., N, K]."""
        down, up = self.gates(x).chunk(2, dim=-1)
        return ((down - up)[..., None, :] @ echoes)[..., 0, :] + up.sum(dim=-1, keepdim=True)
