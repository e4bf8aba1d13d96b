"""Prime, step, stop: many songs at once, legal by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lstmusic.events.grammar import Grammar
from lstmusic.models.model import Model
from lstmusic.models.stack import State
from lstmusic.sampling import ending, stepper
from lstmusic.sampling.controls import BoundControls, Controls
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.snapshot import Snapshot
from lstmusic.sampling.songs import BLOCK, Rules, Songs

Generators = Sequence[np.random.Generator | None]


@dataclass(frozen=True)
class Sampled:
    """One song.

    Attributes:
        ids: int64 [N], BOS group and primer included.
        nats: float64, one per id that was drawn: under the model at temperature 1, the grammar's mask applied.
        overruled: how often a control gave way to the grammar.
        overlong: how often the length gave way to it, so that the song may be longer than was asked.
        stuck: whether the song was closed because it went on without moving on in time.
    """

    ids: np.ndarray
    nats: np.ndarray
    overruled: int = 0
    overlong: int = 0
    stuck: bool = False


@torch.inference_mode()
def sample(
    model: Model,
    grammar: Grammar,
    generators: Generators,
    *,
    settings: SamplingSettings,
    length: Length,
    primer: np.ndarray | None = None,
    start: Snapshot | None = None,
    controls: Controls | None = None,
    repetition: Repetition | None = None,
    weights: str = "float32",
) -> list[Sampled]:
    """Write one song per generator, in blocks of BLOCK side by side.

    Args:
        model: in evaluation mode.
        generators: one per song; None leaves its place in its block empty. A song depends on its generator and its place in
            the block alone.
        primer: legal ids without an EOS group, int64 [N], that every song begins with; None: a BOS group.
        start: where every song goes on from, instead of from a primer; its ids are the first ones of each.
        controls, repetition: what the songs are steered to; None: nothing asked for, loops broken.
        weights: how the stepper holds them; see `stepper.build`.

    Returns:
        The songs, in the order of the generators that there are.

    Raises:
        ConfigError: the encoding or the model has not what a control needs.
    """
    bound = BoundControls(controls or Controls(), grammar)
    heard = primer if start is None else start.ids
    prefix = grammar.bos() if heard is None else np.asarray(heard, np.int64)
    rows = BLOCK * (1 if bound.columns is None else 2)
    rules = Rules(grammar, stepper.build(model, rows, weights), bound, settings, length, repetition or Repetition())
    beginning = primed(model, rules, prefix, start)
    write = _to_cadence if length.given and length.cadence else _to_end
    songs: list[Sampled] = []
    for first in range(0, len(generators), BLOCK):
        block = [*generators[first : first + BLOCK], *[None] * BLOCK][:BLOCK]
        if any(block):
            songs += write(beginning.again(block), prefix)
    return songs


def primed(model: Model, rules: Rules, prefix: np.ndarray, start: Snapshot | None = None) -> Songs:
    """A block that has read a prefix, all but its last group: that is read by the first step.

    Args:
        start: what carries the state after the prefix; None: the model reads it.
    """
    grammar, size = rules.grammar, rules.grammar.group_size
    groups = torch.from_numpy(prefix.reshape(-1, size)).to(model.device)
    trajectory, where = grammar.trajectory(prefix), grammar.start(1)
    if len(groups) > 1:
        where = trajectory[-1:].copy()
        grammar.advance(where, prefix[-1:])
    moments = np.r_[trajectory[size:], where]  # after BOS, and after each id
    bars = grammar.length(moments)[0]
    lanes = rules.stepper.rows // rules.rows
    state = start.lanes(lanes, model.device) if start else _read(model, rules, groups[:-1], moments[:-1:size], lanes)
    rows = torch.arange(lanes).repeat_interleave(rules.rows)
    state = tuple(part[:, rows] for part in state)
    songs = Songs(rules, [None] * rules.rows, np.repeat(where, rules.rows), groups[-1:].repeat(rules.rows, 1), state)
    if start is not None:
        songs.ids_at_rest[:] = len(bars) - 1 - np.flatnonzero(np.diff(bars, prepend=-1.0) > 0)[-1]
    for group, bar in zip(prefix.reshape(-1, size)[1:], bars[size::size], strict=True):
        songs.hear(np.tile(group, (rules.rows, 1)), np.full(rules.rows, bar))
    return songs


def _read(model: Model, rules: Rules, groups: torch.Tensor, before: np.ndarray, lanes: int) -> State:
    """What the model carries after groups, int64 [N, G], the grammar's state `before` each step [N]: [L, lanes, H]."""
    state = model.initial_state(lanes)
    if len(groups):
        columns, flags = rules.context(before[None])
        reset = torch.zeros(columns.shape[:2], dtype=torch.bool)
        _, state = model.hidden(groups.repeat(lanes, 1, 1), columns, flags, reset, state)
    return state


def _to_end(songs: Songs, prefix: np.ndarray) -> list[Sampled]:
    """Write on until every song has ended."""
    songs.resume()
    while not songs.finished.all():
        songs.write_group()
    return [_song(songs, row, prefix) for row in range(BLOCK) if songs.generators[row] is not None]


def _to_cadence(songs: Songs, prefix: np.ndarray) -> list[Sampled]:
    """Write until the last bars of every song begin; from there each is written many times over, and one way is chosen."""
    songs.resume()
    begun: dict[int, Sampled] = {}
    ways: dict[int, tuple[Songs, np.random.Generator]] = {}
    while any(songs.generators):
        over, near = songs.finished, ending.is_near(*songs.left())
        for row, generator in enumerate(songs.generators):
            if generator is not None and (over[row] or near[row]):
                begun[row] = _song(songs, row, prefix)
                if not over[row]:
                    chooser, *particles = generator.spawn(1 + BLOCK)
                    ways[row] = songs.forked(row, particles), chooser
                songs.generators[row] = None
        if any(songs.generators):
            songs.write_group()
    return [_ended(song, *ways[row]) if row in ways else song for row, song in sorted(begun.items())]


def _ended(begun: Sampled, ways: Songs, chooser: np.random.Generator) -> Sampled:
    """A song with the ending that was chosen among those that follow what is written of it."""
    ways.resume()
    while not ways.finished.all():
        ways.write_group()
    return _song(ways, ending.choose(ways.forced_nats, chooser.random()), begun.ids, begun)


def _song(songs: Songs, row: int, prefix: np.ndarray, begun: Sampled | None = None) -> Sampled:
    """The song of a row so far, cut after its EOS group: the others of its block may have gone on."""
    grammar = songs.grammar
    groups = np.array([group[row] for group in songs.groups], np.int64).reshape(-1, grammar.group_size)
    nats = np.array([values[row] for values in songs.nats]).reshape(groups.shape)
    ends = np.flatnonzero(groups[:, 0] == grammar.vocabulary.id("EOS"))
    written = slice(int(ends[0]) + 1 if len(ends) else None)
    before = Sampled(prefix, np.zeros(0)) if begun is None else begun
    return Sampled(
        ids=np.r_[prefix, groups[written].ravel()],
        nats=np.r_[before.nats, nats[written].ravel()],
        overruled=before.overruled + int(songs.overruled[row]),
        overlong=before.overlong + int(songs.overlong[row]),
        stuck=bool(songs.stuck[row]),
    )
