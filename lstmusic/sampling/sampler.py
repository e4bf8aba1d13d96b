"""Prime, step, stop: many songs at once, legal by construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmusic.events.grammar import Grammar
from lstmusic.models.language_model import ILLEGAL, State
from lstmusic.models.model import Model
from lstmusic.sampling import filters

MAX_BARS = 64  # where no length is asked for, a song that has not ended by itself is closed here
MAX_IDS_AT_REST = 640  # 128 notes of five ids: a song that goes on for longer without moving on in time is closed


@dataclass(frozen=True)
class SamplingSettings:
    """How ids are drawn; see `filters.probabilities`. `greedy` takes the likeliest id and ignores the rest."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    greedy: bool = False

    def __post_init__(self) -> None:
        filters.check(**self.filters())

    def filters(self) -> dict[str, Any]:
        """The arguments of `filters.probabilities`."""
        return {name: value for name, value in self.__dict__.items() if name != "greedy"}


@dataclass(frozen=True)
class Length:
    """How much music is written beyond the primer; without either the model ends each song itself."""

    bars: float | None = None
    seconds: float | None = None

    def reached(self, grammar: Grammar, state: np.ndarray, start: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """bool [B]: the songs that are long enough."""
        bars, seconds = (now - then for now, then in zip(grammar.length(state), start, strict=True))
        limit = MAX_BARS if self.bars is None and self.seconds is None else np.inf
        enough = bars >= (limit if self.bars is None else self.bars) - 1e-9
        return enough if self.seconds is None else enough | (seconds >= self.seconds - 1e-9)

    @property
    def given(self) -> bool:
        """Whether a length was asked for; then no song ends before it."""
        return self.bars is not None or self.seconds is not None


@dataclass(frozen=True)
class Sampled:
    """One song.

    Attributes:
        ids: int64 [N], BOS group and primer included.
        nats: float64, one per id that was drawn: under the model at temperature 1, the grammar's mask applied.
    """

    ids: np.ndarray
    nats: np.ndarray


@torch.no_grad()
def sample(
    model: Model,
    grammar: Grammar,
    generators: list[np.random.Generator],
    *,
    settings: SamplingSettings,
    length: Length,
    primer: np.ndarray | None = None,
) -> list[Sampled]:
    """Write one song per generator, all at once.

    Args:
        model: in evaluation mode.
        generators: one per song; a song's numbers do not depend on how many others are written.
        primer: legal ids without an EOS group, int64 [N], that every song begins with; None: a BOS group.

    Returns:
        The songs, in the order of the generators.
    """
    prefix = grammar.bos() if primer is None else np.asarray(primer, np.int64)
    songs = _Songs(model, grammar, generators, settings, length)
    songs.prime(prefix)
    groups = []
    while not grammar.finished(songs.where).all():
        groups.append(songs.write_group())
    written, surprise = (np.concatenate(parts, axis=1) for parts in zip(*groups, strict=True))
    return [_until_end(grammar, prefix, ids, values) for ids, values in zip(written, surprise, strict=True)]


class _Songs:
    """B songs in the making: where their grammar stands, what the stack carries, and the group that it reads next."""

    def __init__(
        self,
        model: Model,
        grammar: Grammar,
        generators: list[np.random.Generator],
        settings: SamplingSettings,
        length: Length,
    ) -> None:
        self.model, self.grammar, self.generators = model, grammar, generators
        self.settings, self.length = settings, length

    def prime(self, prefix: np.ndarray) -> None:
        """Read a prefix once and copy what it leaves for every song; its last group is left to be read by the next step."""
        batch, grammar, device = len(self.generators), self.grammar, self.model.device
        groups = torch.from_numpy(prefix.reshape(1, -1, grammar.group_size)).to(device)
        state = self.model.initial_state(1)
        where = grammar.start(1)
        if groups.shape[1] > 1:
            trajectory = grammar.trajectory(prefix)
            columns, flags = self._features(trajectory[grammar.group_size :: grammar.group_size])
            reset = torch.zeros(1, len(columns), dtype=torch.bool, device=device)
            _, state = self.model.hidden(groups[:, :-1], columns[None], flags[None], reset, state)
            where = trajectory[-1:].copy()
            grammar.advance(where, prefix[-1:])
        self.where = np.repeat(where, batch)
        self.state: State = tuple(part.expand(-1, batch, -1).contiguous() for part in state)
        self.previous = groups[:, -1].expand(batch, -1)
        self.start = grammar.length(self.where)
        self.bars, self.ids_at_rest = self.start[0], np.zeros(batch, np.int64)
        self.stuck = np.zeros(batch, bool)

    def write_group(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw one group for every song: ids int64 [B, G] and their nats float64 [B, G]."""
        columns, flags = self._features(self.where)
        hidden, self.state = self.model.step(self.previous, columns, flags, self.state)
        members = self.previous[:, :0]
        nats = []
        for member in range(self.grammar.group_size):
            if member:
                columns, flags = self._features(self.where)
            logits = self.model.member_logits(hidden, members, columns, flags).double().cpu()
            ids, surprise = self._draw(logits)
            nats.append(surprise)
            self.grammar.advance(self.where, ids.numpy())
            members = torch.cat([members, ids[:, None].to(members.device)], dim=1)
        self.previous = members
        return members.cpu().numpy(), torch.stack(nats, dim=1).numpy()

    def _features(self, where: np.ndarray) -> tuple[Tensor, Tensor]:
        context = self.grammar.features(where)
        columns, flags = torch.from_numpy(context.columns).long(), torch.from_numpy(context.flags)
        return columns.to(self.model.device), flags.to(self.model.device)

    def _stuck(self) -> np.ndarray:
        """bool [B]: the songs that once stood still for too long, as one does that would strike one note for ever."""
        bars, _ = self.grammar.length(self.where)
        self.ids_at_rest = np.where(bars > self.bars, 0, self.ids_at_rest + 1)
        self.bars = bars
        self.stuck |= self.ids_at_rest > MAX_IDS_AT_REST
        return self.stuck

    def _draw(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """One id per song, int64 [B], and its nats at temperature 1 under the grammar's mask, float64 [B]."""
        legal = self.grammar.allowed(self.where)
        reached = self.length.reached(self.grammar, self.where, self.start) | self._stuck()
        mask = np.where(reached[:, None], self.grammar.closing(self.where), legal) if reached.any() else legal
        if self.length.given:
            mask = _not_ending_early(mask, self.grammar, reached)
        possible = torch.from_numpy(mask)
        if self.settings.greedy:
            ids = logits.masked_fill(~possible, ILLEGAL).argmax(-1)
        else:
            uniform = torch.tensor([generator.random() for generator in self.generators], dtype=torch.float64)
            ids = filters.draw(filters.probabilities(logits, possible, **self.settings.filters()), uniform)
        surprise = -torch.log_softmax(logits.masked_fill(~torch.from_numpy(legal), -torch.inf), dim=-1)
        return ids, surprise.gather(1, ids[:, None])[:, 0]


def _not_ending_early(mask: np.ndarray, grammar: Grammar, reached: np.ndarray) -> np.ndarray:
    """Forbid EOS in songs that are not long enough, unless nothing else is left."""
    eos = grammar.vocabulary.id("EOS")
    others = mask.sum(axis=1) - mask[:, eos] > 0
    mask = mask.copy()
    mask[~reached & others, eos] = False
    return mask


def _until_end(grammar: Grammar, prefix: np.ndarray, ids: np.ndarray, nats: np.ndarray) -> Sampled:
    """Cut a song after its EOS group; the other songs of the batch may have gone on."""
    ends = np.flatnonzero(ids.reshape(-1, grammar.group_size)[:, 0] == grammar.vocabulary.id("EOS"))
    stop = (int(ends[0]) + 1) * grammar.group_size if len(ends) else len(ids)
    return Sampled(np.r_[prefix, ids[:stop]], nats[:stop])
