"""A piece of which some is written anew: what is asked of it, and what a model and its provenance are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events.codec import Codec
from lstmusic.events.given import Given
from lstmusic.events.grammar import CHECK_ROWS
from lstmusic.events.kinds import VELOCITY, event_kinds
from lstmusic.packing import pack, unpack
from lstmusic.sampling.infill import check_particles
from lstmusic.schema.checks import is_list_of, of_kind
from lstmusic.score import Score
from lstmusic.score.alignment import Alignment
from lstmusic.score.score import NOTE_DTYPE
from lstmusic.score.splice import Gap, Spliced, spliced


@dataclass(frozen=True)
class Infill:
    """A piece, and what of it is to be written anew. Every note that sounds outside stays, to the tick.

    Attributes:
        piece: the music.
        bars: the first and the last bar that are written, as pictures number them (an upbeat is bar 0); None: all.
        keep: voices that stay there, too, by name, or one name: a soprano that is to be harmonised; of encodings that know
            voices.
        particles: how many ways are tried side by side; more find better ways on, and take longer.
    """

    piece: Score
    bars: tuple[int, int] | None = None
    keep: tuple[str, ...] | str = ()
    particles: int = 64

    def __post_init__(self) -> None:
        check_particles(self.particles)
        of_kind("infill.piece", self.piece, Score, "a Score, as Score.read gives it")
        if self.bars is not None and not (isinstance(self.bars, tuple | list) and is_list_of(int, [*self.bars], 2)):
            raise ConfigError(f"infill.bars={self.bars}: expected two whole numbers, the first and last bar to write")
        object.__setattr__(self, "keep", (self.keep,) if isinstance(self.keep, str) else tuple(self.keep))
        if self.bars is None and not self.keep:
            raise ConfigError("infill: nothing of the piece would stay, expected infill.bars or infill.keep")
        _ = self.span

    @property
    def span(self) -> tuple[int, int]:
        """The ticks of the piece at which the first of the bars begins and the last one ends.

        Raises:
            ConfigError: the piece has no such bars.
        """
        lines, first = self.piece.bar_ticks(), self.piece.first_bar
        if self.bars is None:
            return 0, int(lines[-1])
        last = first + len(lines) - 2
        if not first <= self.bars[0] <= self.bars[1] <= last:
            raise ConfigError(
                f"infill.bars={[*self.bars]}: expected the first and the last of bars {first} to {last} of the piece"
            )
        return int(lines[self.bars[0] - first]), int(lines[self.bars[1] - first + 1])

    def task(self, codec: Codec, losses: Counter) -> Task:
        """What a model of this encoding is told.

        Args:
            losses: gathers what the encoding does not tell the model of; the piece itself loses nothing.

        Raises:
            ReadError: the piece has no notes that the encoding can carry.
            ConfigError: the encoding knows no such voices, or nothing in those bars.
        """
        ids = codec.encode(self.piece, losses).astype(np.int64)
        music = codec.decode(ids)
        alignment = Alignment.found(self.piece, music, codec.in_seconds)
        start, end = self.span
        to_end = end >= self.piece.end_tick
        gap = Gap((start, end), (alignment.to_music(start), music.end_tick if to_end else alignment.to_music(end)))
        task = Task(self.piece, ids, gap, alignment.origin, self.bars, tuple(self.keep), self.particles)
        if gap.music[0] >= gap.music[1]:
            asked = "" if self.bars is None else [*self.bars]
            raise ConfigError(f"infill.bars={asked}: expected bars in which there is music that this model knows")
        task.given(codec)
        return task


def choices(codec: Codec, given: Given, ids: np.ndarray) -> np.ndarray:
    """bool [N]: which ids of a rewritten piece, int64 [N], were drawn of several; none of a voice that is kept."""
    size = codec.group_size
    states = codec.grammar.trajectory(ids)[size:]
    parts = [states[k : k + CHECK_ROWS] for k in range(0, len(states), CHECK_ROWS)]
    return np.concatenate([np.zeros(size, bool), *(given.mask(part).sum(axis=1) > 1 for part in parts)])


@dataclass(frozen=True)
class Task:
    """An `Infill` as a model of one encoding is told. All but the piece are plain values, which a provenance holds.

    Attributes:
        piece: as it was, or, where it is made again, as it came out: what stays is the same in both.
        ids: of the whole piece as it was, int64 [N].
        gap: what is written anew, in ticks.
        origin: see `Alignment`.
        bars, keep, particles: see `Infill`.
    """

    piece: Score
    ids: np.ndarray
    gap: Gap
    origin: float
    bars: tuple[int, int] | None
    keep: tuple[str, ...]
    particles: int

    def given(self, codec: Codec) -> Given:
        """What stays, as masks."""
        return codec.given(self.ids, *self.gap.music, self.keep)

    def splice(self, codec: Codec, ids: np.ndarray) -> Spliced:
        """The piece with what is new in a model's ids, int [N]."""
        alignment = Alignment(self.piece, codec.decode(self.ids), codec.in_seconds, self.origin)
        velocities = bool((event_kinds(codec.vocabulary) == VELOCITY).any())
        return spliced(alignment, codec.decode(ids), self.gap, self.keep, velocities)

    def facts(self) -> dict[str, Any]:
        """The task as values that JSON takes."""
        return {
            "piece": pack(self.ids),
            "piece_ticks": [*self.gap.piece],
            "music_ticks": [*self.gap.music],
            "origin": self.origin,
            "bars": None if self.bars is None else [*self.bars],
            "keep": [*self.keep],
            "particles": self.particles,
        }

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Task:
        """The task that `facts` tells of, with an empty piece.

        Raises:
            ConfigError: its ids are damaged.
            KeyError, TypeError, ValueError: something else is.
        """
        (piece_start, piece_end), (start, end) = facts["piece_ticks"], facts["music_ticks"]
        bars = facts["bars"]
        return Task(
            Score(np.zeros(0, NOTE_DTYPE), ()),
            unpack(facts["piece"], "provenance: the piece"),
            Gap((int(piece_start), int(piece_end)), (int(start), int(end))),
            float(facts["origin"]),
            None if bars is None else (int(bars[0]), int(bars[1])),
            tuple(str(voice) for voice in facts["keep"]),
            int(facts["particles"]),
        )
