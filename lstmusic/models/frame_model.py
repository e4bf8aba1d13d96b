"""FrameModel: a recurrent stack over frames of keys, each down or up, and a head that writes the next frame.

It reads and judges the windows of an encoding whose groups are frames, one id a key, and is asked like
`RecurrentLanguageModel`. It does not say when a piece ends: in the literature the likelihood of frames is that of a piece
whose length is known. Ids that are neither a key up nor one that is down cost 0 nats, and are never written by choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.frame_heads import FrameHead, IndependentHead, JointHead
from lstmusic.models.language_model import ILLEGAL, Window
from lstmusic.models.stack import RecurrentStack, State


class FrameModel(nn.Module):
    """A recurrent model over frames.

    Args:
        num_ids: V, the vocabulary's size.
        num_keys: K, the size of a group.
        up_ids, down_ids: the ids that say of a key that it is up, and that it is down.
        cell, hidden_size, num_layers, input_dropout, dropout, weight_drop: of the stack; see `RecurrentStack`.
        output: `independent` or `joint`; see `frame_heads`.
        embedding_size: width of what the first layer reads, and of the joint head; 0: the first layer reads the keys.
        head_dropout: rate of the locked dropout inside the joint head.
    """

    is_up: Tensor
    is_down: Tensor

    def __init__(
        self,
        *,
        num_ids: int,
        num_keys: int,
        up_ids: list[int],
        down_ids: list[int],
        output: str = "joint",
        cell: str = "lstm",
        hidden_size: int = 256,
        num_layers: int = 1,
        embedding_size: int = 128,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        head_dropout: float = 0.0,
        weight_drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_ids, self.num_keys = num_ids, num_keys
        for name, ids in (("is_up", up_ids), ("is_down", down_ids)):
            of_id = torch.zeros(num_ids, dtype=torch.bool)
            of_id[ids] = True
            self.register_buffer(name, of_id, persistent=False)
        self.embedding = nn.Linear(num_keys, embedding_size) if embedding_size else None
        self.layers = RecurrentStack(
            cell,
            embedding_size or num_keys,
            hidden_size,
            num_layers,
            input_dropout=input_dropout,
            dropout=dropout,
            weight_drop=weight_drop,
        )
        self.head: FrameHead = (
            IndependentHead(hidden_size, num_keys)
            if output == "independent"
            else JointHead(hidden_size, num_keys, embedding_size, head_dropout)
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.is_up.device

    def initial_state(self, lanes: int) -> State:
        """Zeros for this many lanes."""
        return self.layers.initial_state(lanes)

    def forward(self, window: Window, state: State | None = None) -> tuple[Tensor, State]:
        """Nats of every target of a window, float [B, T, K], and the state after it; see `RecurrentLanguageModel`."""
        logits, state = self._key_logits(window, state)
        down = self.is_down[window.targets]
        nats = functional.binary_cross_entropy_with_logits(logits.float(), down.float(), reduction="none")
        return nats * (down | self.is_up[window.targets]), state

    def logits(self, window: Window, state: State | None = None) -> tuple[Tensor, State]:
        """Masked logits float [B, T, K, V] of a window, and the state after it."""
        logits, state = self._key_logits(window, state)
        return self._of_ids(logits).masked_fill(~window.allowed, ILLEGAL), state

    def _key_logits(self, window: Window, state: State | None) -> tuple[Tensor, State]:
        """The logit of each key of each step being down, float [B, T, K], given the keys below it."""
        no_context = window.columns[:, :, 0], window.flags[:, :, 0]
        hidden, state = self.hidden(window.previous, *no_context, window.reset, state)
        return self.head(hidden, self.is_down[window.targets]), state

    def hidden(
        self, previous: Tensor, columns: Tensor, flags: Tensor, reset: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        """The stack's outputs [B, T, H] over a window, and the state after it.

        Args:
            previous: int64 [B, T, K].
            columns, flags: context that frames do not have; not read.
            reset: bool [B, T].
            state: each [L, B, H]; zeros if None.
        """
        return self.layers(self._inputs(previous), reset, state)

    def step(self, previous: Tensor, columns: Tensor, flags: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of the stack: its output [B, H] after previous, int64 [B, K], and the new state, each [L, B, H]."""
        return self.layers.step(self._inputs(previous), state)

    def member_logits(self, hidden: Tensor, members: Tensor, columns: Tensor, flags: Tensor) -> Tensor:
        """Unmasked logits [B, V] of the next key of a frame: hidden [B, H], members int64 [B, k], the ids below it."""
        return self._of_ids(self.head.next_key(hidden, self.is_down[members]))

    def _inputs(self, previous: Tensor) -> Tensor:
        """What the first layer reads of frames, int64 [..., K]: 1 for each key that is down, or an embedding of these."""
        down = self.is_down[previous].to(next(self.parameters()).dtype)
        return down if self.embedding is None else self.embedding(down)

    def _of_ids(self, logits: Tensor) -> Tensor:
        """The logits of all ids, float [..., V], from that of a key being down, float [...]."""
        of_ids = torch.where(self.is_up, 0.0, ILLEGAL).expand(*logits.shape, -1)
        return torch.where(self.is_down, logits[..., None], of_ids)
