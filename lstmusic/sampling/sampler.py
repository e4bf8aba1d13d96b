"""Prime, step, stop: many songs at once, legal by construction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lstmusic.events.grammar import Grammar
from lstmusic.models.language_model import ILLEGAL, RecurrentLanguageModel, State
from lstmusic.sampling import filters

MAX_BARS = 64  # where no length is asked for, a song that has not ended by itself is closed here
MAX_GROUPS = 200_000


@dataclass(frozen=True)
class SamplingSettings:
    """How ids are drawn; see `filters.probabilities`. `greedy` takes the likeliest id and ignores the rest."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    greedy: bool = False

    def __post_init__(self) -> None:
        filters.check(self.temperature, self.top_k, self.top_p, self.min_p)


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


@dataclass
class _Songs:
    """B songs in the making: where their grammar stands, what the stack carries, and the group before."""

    grammar_state: np.ndarray
    state: State
    previous: Tensor


@torch.no_grad()
def sample(
    model: RecurrentLanguageModel,
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
    songs = _prime(model, grammar, prefix, len(generators))
    start = grammar.length(songs.grammar_state)
    groups: list[np.ndarray] = []
    nats: list[np.ndarray] = []
    while not grammar.finished(songs.grammar_state).all() and len(groups) < MAX_GROUPS:
        group, group_nats = _group(model, grammar, songs, generators, settings, length, start)
        groups.append(group)
        nats.append(group_nats)
    written, surprise = np.concatenate(groups, axis=1), np.concatenate(nats, axis=1)
    return [_until_end(grammar, prefix, ids, values) for ids, values in zip(written, surprise, strict=True)]


def _prime(model: RecurrentLanguageModel, grammar: Grammar, prefix: np.ndarray, batch: int) -> _Songs:
    """Read a prefix once and copy what it leaves for every song; its last group is left to be read by the next step."""
    groups = torch.from_numpy(prefix.reshape(1, -1, grammar.group_size))
    trajectory = grammar.trajectory(prefix).reshape(groups.shape[1:])
    state = model.initial_state(1)
    if len(trajectory) > 1:
        context = grammar.features(trajectory[1:, 0])
        columns, flags = torch.from_numpy(context.columns).long()[None], torch.from_numpy(context.flags)[None]
        reset = torch.zeros(1, len(trajectory) - 1, dtype=torch.bool)
        _, state = model.hidden(groups[:, :-1], columns, flags, reset, state)
    grammar_state = grammar.start(1) if len(trajectory) == 1 else trajectory[-1, -1:].copy()
    if len(trajectory) > 1:
        grammar.advance(grammar_state, prefix[-1:])
    copies = tuple(part.expand(-1, batch, -1).contiguous() for part in state)
    return _Songs(np.repeat(grammar_state, batch), copies, groups[:, -1].expand(batch, -1).clone())


def _group(
    model: RecurrentLanguageModel,
    grammar: Grammar,
    songs: _Songs,
    generators: list[np.random.Generator],
    settings: SamplingSettings,
    length: Length,
    start: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one group for every song: ids int64 [B, G] and their nats float64 [B, G]."""
    members = torch.zeros(len(generators), 0, dtype=torch.long)
    nats = np.zeros((len(generators), grammar.group_size))
    hidden = None
    for member in range(grammar.group_size):
        context = grammar.features(songs.grammar_state)
        columns, flags = torch.from_numpy(context.columns).long(), torch.from_numpy(context.flags)
        if hidden is None:
            hidden, songs.state = model.step(songs.previous, columns, flags, songs.state)
        logits = model.member_logits(hidden, members, columns, flags)
        ids, nats[:, member] = _draw(logits, grammar, songs.grammar_state, generators, settings, length, start)
        grammar.advance(songs.grammar_state, ids)
        members = torch.cat([members, torch.from_numpy(ids)[:, None]], dim=1)
    songs.previous = members
    return members.numpy(), nats


def _draw(
    logits: Tensor,
    grammar: Grammar,
    state: np.ndarray,
    generators: list[np.random.Generator],
    settings: SamplingSettings,
    length: Length,
    start: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    legal = grammar.allowed(state)
    reached = length.reached(grammar, state, start)
    mask = np.where(reached[:, None], grammar.closing(state), legal) if reached.any() else legal
    if length.given:
        mask = _not_ending_early(mask, grammar, reached)
    legal_t, mask_t = torch.from_numpy(legal), torch.from_numpy(mask)
    if settings.greedy:
        ids = logits.masked_fill(~mask_t, ILLEGAL).argmax(-1)
    else:
        p = filters.probabilities(
            logits,
            mask_t,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            min_p=settings.min_p,
        )
        uniform = torch.tensor([generator.random() for generator in generators], dtype=torch.float64)
        ids = filters.draw(p, uniform)
    surprise = -torch.log_softmax(logits.double().masked_fill(~legal_t, -torch.inf), dim=-1)
    return ids.numpy(), surprise.gather(1, ids[:, None])[:, 0].numpy()


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
