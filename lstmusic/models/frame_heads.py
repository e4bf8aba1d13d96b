"""What a frame model says of a frame: each key by itself, or each key given the keys below it.

Both map the stack's output h and a frame of K keys to the logit of each key being down; with echoes (see `echoes`) they
may copy what sounded before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.dropout import DrawsMasks, checked_rate, mask
from lstmusic.models.echoes import CopyGates

RESTING_LOGIT = -3.0  # before anything is learned a key is down in one frame of 21: four of 88 keys


class FrameHead(nn.Module, ABC):
    """Base of the heads."""

    @abstractmethod
    def forward(self, hidden: Tensor, frames: Tensor, echoes: Tensor | None = None) -> Tensor:
        """The logit of every key, float [B, T, K], given those below it.

        Args:
            hidden: float [B, T, H].
            frames: bool [B, T, K], the keys that are down.
            echoes: float [B, T, N, K], for a head that copies.
        """

    @abstractmethod
    def next_key(self, hidden: Tensor, below: Tensor, echoes: Tensor | None = None) -> Tensor:
        """The logit of key number k, float [B]: hidden [B, H], below bool [B, k], the keys below it, echoes [B, N, K]."""


class IndependentHead(FrameHead):
    """logit = V h + b: the keys of a frame know nothing of each other."""

    def __init__(self, hidden_size: int, num_keys: int, num_echoes: int = 0) -> None:
        super().__init__()
        self.output = nn.Linear(hidden_size, num_keys)
        self.copy = CopyGates(hidden_size, num_echoes) if num_echoes else None
        nn.init.constant_(self.output.bias, RESTING_LOGIT)

    def forward(self, hidden: Tensor, frames: Tensor, echoes: Tensor | None = None) -> Tensor:
        logits = self.output(hidden)
        return logits if self.copy is None else logits + self.copy(hidden, echoes)

    def next_key(self, hidden: Tensor, below: Tensor, echoes: Tensor | None = None) -> Tensor:
        k = slice(below.shape[1], below.shape[1] + 1)
        logit = functional.linear(hidden, self.output.weight[k], self.output.bias[k])
        if self.copy is not None and echoes is not None:
            logit = logit + self.copy(hidden, echoes[..., k])
        return logit[:, 0]


class JointHead(DrawsMasks, FrameHead):
    """An autoregressive head over the keys of a frame, from low to high.

    logit_k = (V h + b)_k + U_k . f(a_k) with a_k = C h + c + the sum of W_j over the keys j < k that are down, where f is a
    small residual network. Source: NADE (Larochelle and Murray, 2011), its conditioning on h as in RNN-NADE
    (Boulanger-Lewandowski et al., 2012, section 6.3); both have f = sigmoid.

    a_k changes only behind a key that is down: f is computed once for each such stretch of keys, n + 1 times in a frame
    of n keys instead of K times, with the same result.

    Args:
        head_size: D, the width of a_k.
        head_dropout: rate of the locked dropout inside f and on its output.
        num_echoes: N; what is copied may depend on the keys below, through f(a_k).
    """

    def __init__(
        self, hidden_size: int, num_keys: int, head_size: int, head_dropout: float = 0.0, num_echoes: int = 0
    ) -> None:
        super().__init__()
        self.direct = IndependentHead(hidden_size, num_keys, num_echoes)
        self.copy = CopyGates(head_size, num_echoes) if num_echoes else None
        self.head_input = nn.Linear(hidden_size, head_size)
        self.head_prefix = nn.Linear(num_keys, head_size, bias=False)
        self.mlp_norm = nn.LayerNorm(head_size)
        self.mlp_input = nn.Linear(head_size, 2 * head_size)
        self.mlp_output = nn.Linear(2 * head_size, head_size)
        self.head_norm = nn.LayerNorm(head_size)
        self.output = nn.Linear(head_size, num_keys, bias=False)
        self.head_dropout = checked_rate(head_dropout)
        nn.init.normal_(self.head_prefix.weight, std=0.2)

    def forward(self, hidden: Tensor, frames: Tensor, echoes: Tensor | None = None) -> Tensor:
        frame, prefix, row = stretches(frames.flatten(0, 1))
        a = self.head_input(hidden).flatten(0, 1)[frame] + self.head_prefix(prefix.to(hidden.dtype))
        f = self._f(a, frame // frames.shape[1], lanes=len(hidden))
        logits = self.output(f)
        if self.copy is not None and echoes is not None:
            logits = logits + self.copy(f, echoes.flatten(0, 1)[frame])
        return self.direct(hidden, frames, echoes) + logits.gather(0, row).view(frames.shape)

    def next_key(self, hidden: Tensor, below: Tensor, echoes: Tensor | None = None) -> Tensor:
        k = below.shape[1]
        prefix = functional.linear(below.to(hidden.dtype), self.head_prefix.weight[:, :k])
        every = torch.arange(len(hidden), device=hidden.device)
        f = self._f(self.head_input(hidden) + prefix, every, lanes=len(hidden))
        logit = f @ self.output.weight[k]
        if self.copy is not None and echoes is not None:
            logit = logit + self.copy(f, echoes[..., k : k + 1])[:, 0]
        return self.direct.next_key(hidden, below, echoes) + logit

    def _f(self, a: Tensor, lane: Tensor, lanes: int) -> Tensor:
        """f of a, float [R, D], each row in its lane, int64 [R], of so many of the window."""
        a = self.mlp_norm(a)
        inner = self._drop(functional.gelu(self.mlp_input(a)), lane, lanes)
        return self._drop(self.head_norm(a + self.mlp_output(inner)), lane, lanes)

    def _drop(self, x: Tensor, lane: Tensor, lanes: int) -> Tensor:
        if not self.training or self.head_dropout == 0:
            return x
        return x * mask((lanes, x.shape[1]), self.head_dropout, x, self.generator)[lane]


def stretches(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The stretches of keys of each frame that have the same keys down below them: R = N + the number of keys down.

    Args:
        frames: bool [N, K].

    Returns:
        The frame of each stretch, int64 [R]; the keys that are down below it, bool [R, K]; and for each key of each
        frame its stretch, int64 [N, K].
    """
    count, num_keys = frames.shape
    begins = torch.cat([frames.new_ones(count, 1), frames], dim=1)  # below the lowest key, and behind each that is down
    frame, begin = begins.nonzero(as_tuple=True)
    prefix = frames[frame] & (torch.arange(num_keys, device=frames.device) < begin[:, None])
    down_before = frames.flatten().cumsum(0).view(frames.shape) - frames.long()  # in this frame and all before it
    return frame, prefix, down_before + torch.arange(count, device=frames.device)[:, None]
