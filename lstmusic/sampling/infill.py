"""Rewrite the middle of a piece: of many ways to fill a gap one after which the model would have written what is given.

A causal model writes a gap without knowing what comes after it. So it is written many times over, side by side: each way is
a particle that draws every id by the model among those after which what is given can still come out; one of them may stand
for ids that would pass by what is given (`beyond`). A particle is weighed by the probability that the model gives its ids,
the given ones among them, over that by which they were drawn at temperature 1; where few carry all the weight they are
drawn anew in proportion to it. That is a particle filter with systematic resampling where the effective sample size falls
under half (Doucet and Johansen, "A tutorial on particle filtering and smoothing", 2009, sections 3.3 to 3.5); where nothing
stands for other ids its steps are the locally optimal proposal. Past the gap the particles read on, to be weighed by how
well what follows fits them, and then one is drawn. The rest of the piece is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lstmusic.errors import ConfigError, GenerationError
from lstmusic.events.given import Given
from lstmusic.events.grammar import TOLERANCE, Grammar
from lstmusic.models.model import Model
from lstmusic.sampling import ending, stepper
from lstmusic.sampling.controls import BoundControls, Controls
from lstmusic.sampling.sampler import Sampled, primed
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.songs import BLOCK, Rules, Songs

MOST_PARTICLES = 1024
LEAST_EFFECTIVE = 0.5  # the share of particles under which they are drawn anew
BEAT_BARS = 0.25  # so far particles write until all of them are weighed
UNWRITTEN = -1  # stands where a song has ended before others


@dataclass(frozen=True)
class Infilled(Sampled):
    """A piece of which some was written anew.

    Its `nats` begin after what is given before the gap, given ids among them; NaN for those that the model did not read.

    Attributes:
        forced_nats: -log of the importance weight: of the probability of each id over that by which it was drawn, all
            along the way. Where no id stands for others that is what the model left to what is given.
        effective: the effective sample size at the end, 1 to the number of particles: how much of a choice there was.
    """

    forced_nats: float = 0.0
    effective: float = 1.0


def check_particles(count: int) -> None:
    """Raise ConfigError where so many ways cannot be written side by side."""
    if not 1 <= count <= MOST_PARTICLES:
        raise ConfigError(f"infill.particles={count}: expected 1 to {MOST_PARTICLES}")


@torch.inference_mode()
def infill(
    model: Model,
    grammar: Grammar,
    given: Given,
    generators: Sequence[np.random.Generator],
    *,
    settings: SamplingSettings,
    particles: int,
    controls: Controls | None = None,
    weights: str = "float32",
) -> list[Infilled]:
    """Write what is free of a piece, once per generator; a song depends on its generator alone.

    Args:
        model: in evaluation mode.
        given: what of the piece stays.
        settings: how ids are drawn. The particles are weighed by the model at temperature 1, whatever it is.
        particles: ways written side by side for each song; 1: the gap is written blindly.
        controls: what the free ids are steered to; what is given stays as it is.
        weights: how the stepper holds them; see `stepper.build`.

    Raises:
        ConfigError: nothing is free, or the encoding or the model has not what a control needs.
        GenerationError: the model's logits are not finite.
    """
    check_particles(particles)
    bound = BoundControls(controls or Controls(), grammar)
    rows = -(-particles // BLOCK) * BLOCK
    writer = stepper.build(model, rows * (1 if bound.columns is None else 2), weights)
    rules = Rules(grammar, writer, bound, settings, Length(), Repetition(break_loops=False), given)
    beginning = primed(model, rules, given.prefix)
    if not given.open(beginning.where[:1])[0]:
        raise ConfigError("nothing to write: every note in the gap sounds outside it, too; expected a longer gap")
    chosen = [_filtered(beginning, given, generator, particles) for generator in generators]
    return _completed(chosen, given, grammar)


class _Particles:
    """The ways in which one song is written, and what each weighs.

    Notes differ in how many ids they take, so particles wait for each other at every beat: who has come less far has been
    weighed by less, and would seem to do better.

    Args:
        songs: a row for each particle, and idle ones behind them.
        count: how many particles.
        chooser: draws those that go on.
    """

    def __init__(self, songs: Songs, given: Given, count: int, chooser: np.random.Generator) -> None:
        self.songs, self.given, self.count, self.chooser = songs, given, count, chooser
        self.free_until = songs.now[:, 0]  # bars and seconds [2] at which something was free last for some particle
        self.nats_at_draw = np.zeros(count)  # forced nats when the particles were drawn last
        self.written: list[np.ndarray] = []  # which rows each group was written for, bool [rows]
        self.draws: list[tuple[int, np.ndarray]] = []  # groups written by then, and the row that each row goes on from

    @property
    def live(self) -> np.ndarray:
        """bool [rows]: those that go on; one that has not ended but stands still in time, note upon note, is given up."""
        return ~self.songs.finished & ~self.songs.stuck

    @property
    def free(self) -> bool:
        """Whether something is still to be written for some particle."""
        return bool(self.given.open(self.songs.where)[self.live].any())

    @property
    def over(self) -> bool:
        """Whether the gap lies so far behind that what follows weighs no more."""
        live = self.live
        if self.free or not live.any():
            return not live.any()
        return ending.is_over(*(self.songs.now[:, live].min(axis=1) - self.free_until))

    def write_beat(self) -> None:
        """Let every particle write to the next beat, or its end; where few of them carry the weight, draw them anew.

        Only in the gap: copies of a particle come to differ in what they write.
        """
        beat = self._beats()[self.live].min()
        while (writing := self.live & (self._beats() <= beat)).any():
            free = writing & self.given.open(self.songs.where)
            self.songs.write_group_of(writing)
            self.written.append(writing)
            self.free_until = np.maximum(self.free_until, np.where(free, self.songs.now, 0.0).max(axis=1))
        if self.free and self.effective < LEAST_EFFECTIVE * self.count:
            self._draw()

    def _beats(self) -> np.ndarray:
        """The beat in which each row stands, float64 [rows]."""
        return np.floor(self.songs.now[0] / BEAT_BARS + TOLERANCE)

    @property
    def since_draw(self) -> np.ndarray:
        """Forced nats of each particle since they were drawn last, float64 [particles].

        Infinite for those that were given up.

        Raises:
            GenerationError: they are not finite for any of them.
        """
        nats = np.where(
            self.songs.stuck[: self.count], np.inf, self.songs.forced_nats[: self.count] - self.nats_at_draw
        )
        if not np.isfinite(nats.min()):
            raise GenerationError(
                "no way through the gap was found: each wrote note upon note without moving on in time, or the model finds "
                "what is given impossible; expected more particles, or another seed"
            )
        return nats

    @property
    def effective(self) -> float:
        """The effective sample size, 1 to the number of particles."""
        return float(1 / np.square(_weights(self.since_draw)).sum())

    def _draw(self) -> None:
        """Particles in proportion to their weights, by one uniform number for all of them."""
        drawn = systematic(_weights(self.since_draw), self.chooser.random())
        rows = np.r_[drawn, np.arange(self.count, self.songs.rows)]
        self.songs.take(rows)
        self.nats_at_draw = self.songs.forced_nats[: self.count].copy()
        self.draws.append((len(self.written), rows))

    def line(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the song of a particle was written: which of all groups are its own, int64 [N], and in which rows [N]."""
        line, draws = [], self.draws.copy()
        for group in reversed(range(len(self.written))):
            while draws and draws[-1][0] > group:
                row = int(draws.pop()[1][row])
            if self.written[group][row]:
                line.append((group, row))
        groups, rows = np.array(line[::-1], np.int64).T
        return groups, rows


def _weights(nats: np.ndarray) -> np.ndarray:
    """What particles weigh, float64 [P], their sum is 1; given the forced nats of each."""
    weights = ending.weights(nats)
    return weights / weights.sum()


def systematic(weights: np.ndarray, uniform: float) -> np.ndarray:
    """Which particles go on, int64 [P]: each as often as its share of P says, rounded up or down.

    Args:
        weights: float64 [P], their sum is 1. uniform: a number in [0, 1).
    """
    count = len(weights)
    cumulative = weights.cumsum()
    places = (uniform + np.arange(count)) / count * cumulative[-1]
    return np.minimum(np.searchsorted(cumulative, places, side="right"), count - 1)


def _filtered(
    beginning: Songs, given: Given, generator: np.random.Generator, count: int
) -> tuple[Infilled, np.ndarray]:
    """A song up to some way past the gap, and where its grammar stands, [1]."""
    chooser, *own = generator.spawn(1 + count)
    songs = beginning.again([*own, *[None] * (beginning.rows - count)])
    songs.resume()
    particles = _Particles(songs, given, count, chooser)
    while not particles.over:
        particles.write_beat()
    row = ending.choose(particles.since_draw, chooser.random())
    line = particles.line(row)
    song = Infilled(
        ids=np.r_[given.prefix, np.array(songs.groups)[line].ravel()],
        nats=np.array(songs.nats)[line].ravel(),
        overruled=int(songs.overruled[row]),
        forced_nats=float(songs.forced_nats[row]),
        effective=particles.effective,
    )
    return song, songs.where[row : row + 1]


def _completed(begun: list[tuple[Infilled, np.ndarray]], given: Given, grammar: Grammar) -> list[Infilled]:
    """The songs with the rest of the piece: nothing of it is free, so the grammar alone writes it."""
    where = np.concatenate([state for _, state in begun])
    rest = [np.zeros((len(begun), 0), np.int64)]
    while not (over := grammar.finished(where)).all():
        ids = given.mask(where).argmax(axis=1)
        grammar.advance(where, ids)
        rest.append(np.where(over, UNWRITTEN, ids)[:, None])
    songs = []
    for (song, _), ids in zip(begun, np.concatenate(rest, axis=1), strict=True):
        ids = ids[ids != UNWRITTEN]
        songs.append(replace(song, ids=np.r_[song.ids, ids], nats=np.r_[song.nats, np.full(len(ids), np.nan)]))
    return songs
