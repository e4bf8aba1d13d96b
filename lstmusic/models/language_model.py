"""RecurrentLanguageModel: a recurrent stack over steps of music, and a small head that writes each step's ids in order.

The stack advances once per group of G ids (the four voices of a chorale, one event of a performance). The head writes the
group's members one after the other, each given the stack's output, the members before it and the grammar's features at that
very point. A group of one is the same model with G = 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.dropout import LockedDropout, checked_rate, draw_from, row_mask
from lstmusic.models.stack import RecurrentStack, State

ILLEGAL = -1e9  # the logit of an id that the grammar forbids; finite, so that bf16 and a whole masked row stay finite


class Window(NamedTuple):
    """A window of B lanes over T steps of G ids.

    Attributes:
        previous: int64 [B, T, G], the group before each step.
        targets: int64 [B, T, G], the group of each step.
        columns: int64 [B, T, G, F], categorical context features at each target.
        flags: bool [B, T, G, M], yes/no context features at each target.
        allowed: bool [B, T, G, V], the ids that the grammar allows at each target.
        reset: bool [B, T], True where a piece begins: the state is zero before this step.
        weight: float [B, T, G], 1 where a target is learned, 0 for padding and BOS.
        scored: bool [B, T, G], the targets that count in nats per token.
    """

    previous: Tensor
    targets: Tensor
    columns: Tensor
    flags: Tensor
    allowed: Tensor
    reset: Tensor
    weight: Tensor
    scored: Tensor


class RecurrentLanguageModel(nn.Module):
    """A recurrent language model over groups of ids.

    Args:
        num_ids: V, the vocabulary's size.
        group_size: G, ids per step.
        feature_sizes: the cardinality of each of the F categorical features.
        num_flags: M, the number of yes/no features.
        cell: one of `cells.CELLS`.
        embedding_size: E, width of an id's embedding and of the head.
        hidden_size: H.
        num_layers: L; from the second on residual: x + layer(dropout(x)).
        input_dropout: rate of the locked dropout on what the first layer reads.
        dropout: rate of the locked dropout between layers and before the head.
        head_dropout: rate of the locked dropout inside the head.
        embedding_dropout: the share of ids that go unseen in a training window; see `dropout.row_mask`.
        weight_drop: the share of the recurrent matrices' entries dropped in each training window.
        tied: the output projection is the embedding (Press and Wolf 2017; Inan et al. 2017), else a matrix of its own.
    """

    feature_offsets: Tensor

    def __init__(
        self,
        *,
        num_ids: int,
        group_size: int,
        feature_sizes: list[int],
        num_flags: int,
        cell: str = "lstm",
        embedding_size: int = 256,
        hidden_size: int = 512,
        num_layers: int = 2,
        input_dropout: float = 0.1,
        dropout: float = 0.5,
        head_dropout: float = 0.2,
        embedding_dropout: float = 0.0,
        weight_drop: float = 0.0,
        tied: bool = True,
    ) -> None:
        super().__init__()
        self.group_size, self.embedding_dropout = group_size, checked_rate(embedding_dropout)
        self.embedding = nn.Embedding(num_ids, embedding_size)
        self.register_buffer("feature_offsets", torch.tensor([0, *feature_sizes[:-1]]).cumsum(0), persistent=False)
        num_features = sum(feature_sizes)
        self.stack_features = nn.EmbeddingBag(num_features, hidden_size, mode="sum")
        self.stack_flags = nn.Linear(num_flags, hidden_size, bias=False) if num_flags else None
        self.stack_input = nn.Linear(group_size * embedding_size, hidden_size)
        rates = {"input_dropout": input_dropout, "dropout": dropout, "weight_drop": weight_drop}
        self.layers = RecurrentStack(cell, hidden_size, hidden_size, num_layers, **rates)
        self.head_features = nn.EmbeddingBag(num_features, embedding_size, mode="sum")
        self.head_flags = nn.Linear(num_flags, embedding_size, bias=False) if num_flags else None
        self.head_input = nn.Linear(hidden_size, embedding_size)
        self.head_prefix = nn.ModuleList(
            nn.Linear(embedding_size, embedding_size, bias=False) for _ in range(group_size - 1)
        )
        self.head_mlp = nn.Sequential(
            nn.LayerNorm(embedding_size),
            nn.Linear(embedding_size, 2 * embedding_size),
            nn.GELU(),
            LockedDropout(head_dropout),
            nn.Linear(2 * embedding_size, embedding_size),
        )
        self.head_norm = nn.LayerNorm(embedding_size)
        self.head_dropout = LockedDropout(head_dropout)
        self.output_bias = nn.Parameter(torch.zeros(num_ids))
        self.output_weight = None if tied else nn.Parameter(torch.empty(num_ids, embedding_size))
        self._initialise()

    def _initialise(self) -> None:
        for table in (self.embedding.weight, self.output_weight):
            if table is not None:
                nn.init.normal_(table, std=self.embedding.embedding_dim**-0.5)
        for bag in (self.stack_features, self.head_features):
            nn.init.normal_(bag.weight, std=0.1)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.output_bias.device

    @property
    def generator(self) -> torch.Generator | None:
        """What draws all masks of dropout: a generator on the model's device; None: torch's default."""
        return self.layers.generator

    @generator.setter
    def generator(self, generator: torch.Generator | None) -> None:
        draw_from(generator, self)

    def initial_state(self, lanes: int) -> State:
        """Zeros for this many lanes."""
        return self.layers.initial_state(lanes)

    def forward(self, window: Window, state: State | None = None) -> tuple[Tensor, State]:
        """Nats of every target of a window, each given all before it.

        Args:
            window: see `Window`.
            state: what the window before left, each [L, B, H]; zeros if None.

        Returns:
            nats float [B, T, G], and the state after the last step, still attached.

        Raises:
            StateShapeError: the state was made for another number of lanes or another model.
        """
        logits, state = self.logits(window, state)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        nats = functional.cross_entropy(logits.flatten(0, -2), window.targets.flatten(), reduction="none")
        return nats.view(window.targets.shape), state

    def logits(self, window: Window, state: State | None = None) -> tuple[Tensor, State]:
        """Masked logits float [B, T, G, V] of a window, and the state after it; see `forward`."""
        rows = self._row_mask()
        hidden, state = self.hidden(
            window.previous, window.columns[:, :, 0], window.flags[:, :, 0], window.reset, state, rows
        )
        embedded = self._look_up(window.targets, rows)  # [B, T, G, E]
        bases = [self.head_input(hidden)]
        for member, project in enumerate(self.head_prefix):
            bases.append(bases[-1] + project(embedded[:, :, member]))
        logits = self._head(torch.stack(bases, dim=2), window.columns, window.flags)
        return logits.masked_fill(~window.allowed, ILLEGAL), state

    def hidden(
        self,
        previous: Tensor,
        columns: Tensor,
        flags: Tensor,
        reset: Tensor,
        state: State | None = None,
        rows: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """The stack's outputs [B, T, H] over a window, and the state after it.

        Args:
            previous: int64 [B, T, G].
            columns: int64 [B, T, F], features at each step's first member.
            flags: bool [B, T, M].
            reset: bool [B, T].
            state: each [L, B, H]; zeros if None.
            rows: [V, 1], the window's `row_mask`; None drops no id.
        """
        return self.layers(self._embed_step(previous, columns, flags, rows), reset, state)

    def step(self, previous: Tensor, columns: Tensor, flags: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of the stack: `hidden` over a window of one, without the window.

        Args:
            previous: int64 [B, G]. columns: int64 [B, F]. flags: bool [B, M]. state: each [L, B, H].

        Returns:
            The stack's output [B, H] and the new state.
        """
        return self.layers.step(self._embed_step(previous, columns, flags), state)

    def member_logits(self, hidden: Tensor, members: Tensor, columns: Tensor, flags: Tensor) -> Tensor:
        """Unmasked logits [B, V] of a group's next member.

        Args:
            hidden: the stack's output [B, H] at this step.
            members: int64 [B, g], the group's ids so far.
            columns: int64 [B, F], the features now. flags: bool [B, M].
        """
        base = self.head_input(hidden)
        for member in range(members.shape[1]):
            base = base + self.head_prefix[member](self.embedding(members[:, member]))
        return self._head(base, columns, flags)

    def _row_mask(self) -> Tensor | None:
        if not (self.training and self.embedding_dropout):
            return None
        return row_mask(self.embedding.weight, self.embedding_dropout, self.generator)

    def _look_up(self, ids: Tensor, rows: Tensor | None) -> Tensor:
        return self.embedding(ids) if rows is None else self.embedding(ids) * rows[ids]

    def _embed_step(self, previous: Tensor, columns: Tensor, flags: Tensor, rows: Tensor | None = None) -> Tensor:
        if previous.numel() > len(self.embedding.weight) * self.group_size:
            x = self._embed_many(previous, columns, rows)
        else:
            x = self.stack_input(self._look_up(previous, rows).flatten(-2)) + self._bag(self.stack_features, columns)
        return x if self.stack_flags is None else x + self.stack_flags(flags.to(x.dtype))

    def _embed_many(self, previous: Tensor, columns: Tensor, rows: Tensor | None) -> Tensor:
        """The same sum where there are more steps than ids: each id is projected once, then all is looked up at once."""
        table = self.embedding.weight if rows is None else self.embedding.weight * rows
        per_member = self.stack_input.weight.unflatten(1, (self.group_size, -1)).unbind(1)  # G of [H, E]
        projected = [functional.linear(table, weight).to(table.dtype) for weight in per_member]
        features, num_ids = self.stack_features.weight, len(table)
        first = num_ids * torch.arange(self.group_size + 1, device=previous.device)  # row of each member, then features
        index = torch.cat([previous + first[:-1], columns + self.feature_offsets + first[-1]], dim=-1)
        summed = functional.embedding_bag(index.flatten(0, -2), torch.cat([*projected, features]), mode="sum")
        return summed.unflatten(0, index.shape[:-1]) + self.stack_input.bias

    def _bag(self, bag: nn.EmbeddingBag, columns: Tensor) -> Tensor:
        """The summed embeddings of categorical features [..., F] -> [..., width]."""
        rows = (columns + self.feature_offsets).flatten(0, -2)
        return bag(rows).unflatten(0, columns.shape[:-1])

    def _head(self, base: Tensor, columns: Tensor, flags: Tensor) -> Tensor:
        u = base + self._bag(self.head_features, columns)
        if self.head_flags is not None:
            u = u + self.head_flags(flags.to(u.dtype))
        u = self.head_dropout(self.head_norm(u + self.head_mlp(u)))
        table = self.embedding.weight if self.output_weight is None else self.output_weight
        return functional.linear(u, table, self.output_bias)
