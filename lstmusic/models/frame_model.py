"""FrameModel: a recurrent stack over frames of keys, each down or up, and a head that writes the next frame.

It reads and judges the windows of an encoding whose groups are frames, one id a key, and is asked like
`RecurrentLanguageModel`. It does not say when a piece ends: in the literature the likelihood of frames is that of a piece
whose length is known. Ids that are neither a key up nor one that is down cost 0 nats, and are written only where the
grammar allows nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.echoes import Echoes
from lstmusic.models.frame_heads import FrameHead, IndependentHead, JointHead
from lstmusic.models.language_model import ILLEGAL, Window
from lstmusic.models.stack import RecurrentStack, State

NEVER_CHOSEN = ILLEGAL / 2  # the logit of an id that says of no key that it is up or down: above what is forbidden


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
        echoes: lags in frames whose frames the model reads and may copy; see `echoes`. The state then carries them too.
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
        echoes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.num_ids, self.num_keys, self.hidden_size = num_ids, num_keys, hidden_size
        self.echoes = Echoes(num_keys, echoes) if echoes else None
        num_echoes = len(echoes) + 1 if echoes else 0
        num_inputs = num_keys * max(num_echoes, 1) + len(echoes)
        for name, ids in (("is_up", up_ids), ("is_down", down_ids)):
            of_id = torch.zeros(num_ids, dtype=torch.bool)
            of_id[ids] = True
            self.register_buffer(name, of_id, persistent=False)
        self.embedding = nn.Linear(num_inputs, embedding_size) if embedding_size else None
        self.layers = RecurrentStack(
            cell,
            embedding_size or num_inputs,
            hidden_size,
            num_layers,
            input_dropout=input_dropout,
            dropout=dropout,
            weight_drop=weight_drop,
        )
        self.head: FrameHead = (
            IndependentHead(hidden_size, num_keys, num_echoes)
            if output == "independent"
            else JointHead(hidden_size, num_keys, embedding_size, head_dropout, num_echoes)
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.is_up.device

    def initial_state(self, lanes: int) -> State:
        """Zeros for this many lanes."""
        state = self.layers.initial_state(lanes)
        return state if self.echoes is None else (*state, self.echoes.initial_memory(state[0], lanes))

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
        read, state = self.hidden(window.previous, *no_context, window.reset, state)
        hidden, echoes = self._unpacked(read)
        return self.head(hidden, self.is_down[window.targets], echoes), state

    def hidden(
        self, previous: Tensor, columns: Tensor, flags: Tensor, reset: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        """What the head reads at each step of a window, and the state after it.

        Args:
            previous: int64 [B, T, K].
            columns, flags: context that frames do not have; not read.
            reset: bool [B, T].
            state: of the stack, each [L, B, H], and where there are echoes their memory; zeros if None.

        Returns:
            The stack's outputs and behind them the echoes, float [B, T, H + N K], and the state.
        """
        state = self.initial_state(previous.shape[0]) if state is None else state
        inputs, echoes, state, memory = self._read(previous, reset, state)
        hidden, after = self.layers(inputs, reset, state)
        return torch.cat([hidden, *echoes], dim=-1), (*after, *memory)

    def step(self, previous: Tensor, columns: Tensor, flags: Tensor, state: State) -> tuple[Tensor, State]:
        """One step: what the head reads [B, H + N K] after previous, int64 [B, K], and the new state."""
        begins = torch.zeros(len(previous), 1, dtype=torch.bool)  # the state knows
        inputs, echoes, state, memory = self._read(previous[:, None], begins, state)
        hidden, after = self.layers.step(inputs[:, 0], state)
        return torch.cat([hidden, *(part[:, 0] for part in echoes)], dim=-1), (*after, *memory)

    def member_logits(self, hidden: Tensor, members: Tensor, columns: Tensor, flags: Tensor) -> Tensor:
        """Unmasked logits [B, V] of the next key of a frame, given what `step` returned and the ids below, int64 [B, k]."""
        own, echoes = self._unpacked(hidden)
        return self._of_ids(self.head.next_key(own, self.is_down[members], echoes))

    def _read(
        self, previous: Tensor, reset: Tensor, state: State
    ) -> tuple[Tensor, tuple[Tensor, ...], State, tuple[Tensor, ...]]:
        """What the first layer reads [B, T, I], the flat echoes if any, the stack's state, the new memory if any."""
        down = self.is_down[previous].to(next(self.parameters()).dtype)
        echoes: tuple[Tensor, ...] = ()
        memory: tuple[Tensor, ...] = ()
        if self.echoes is not None:
            *own, memory_before = state
            is_frame = (self.is_up | self.is_down)[previous[..., 0]]
            heard = self.echoes.hear(down, is_frame, reset, memory_before)
            state, echoes, memory = tuple(own), (heard.echoes.flatten(-2),), (heard.memory,)
            down = torch.cat([*echoes, heard.agreement], dim=-1)
        return down if self.embedding is None else self.embedding(down), echoes, state, memory

    def _unpacked(self, read: Tensor) -> tuple[Tensor, Tensor | None]:
        """The stack's outputs, and the echoes [..., N, K] if there are any."""
        if self.echoes is None:
            return read, None
        hidden, echoes = read[..., : self.hidden_size], read[..., self.hidden_size :]
        return hidden, echoes.unflatten(-1, (-1, self.num_keys))

    def _of_ids(self, logits: Tensor) -> Tensor:
        """The logits of all ids, float [..., V], from that of a key being down, float [...]."""
        of_ids = torch.where(self.is_up, 0.0, NEVER_CHOSEN).expand(*logits.shape, -1)
        return torch.where(self.is_down, logits[..., None], of_ids)
