"""How the time of a piece and that of what an encoding keeps of it meet: the music may begin later, and lies on a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from lstmusic.score.score import Score

GRID_QUARTERS, GRID_S = 1 / 12, 0.01  # where the music of an encoding may begin
NEAR_QUARTERS, NEAR_S = 1 / 8 + 1e-6, 0.015  # onsets of one note lie no further apart
ORIGINS = 64  # places in a piece where its music may begin
COMPARED = 1000  # notes
PITCH_APART = 2.0**24  # further than any two times of a piece, so that pitch and time are one number


class Onsets(NamedTuple):
    """Pitches and the times at which they begin, [N] each, in seconds or quarters."""

    pitch: np.ndarray
    time: np.ndarray

    def moved(self, by: float) -> Onsets:
        """The same, later."""
        return Onsets(self.pitch, self.time + by)

    def of(self, some: np.ndarray) -> Onsets:
        """Those of some notes, by index or bool [N]."""
        return Onsets(self.pitch[some], self.time[some])

    def nearest(self, others: Onsets, near: float) -> np.ndarray:
        """For each note the other of its pitch that begins nearest to it, int64 [N]; -1: none does within `near`."""
        if not len(others.pitch):
            return np.full(len(self.pitch), -1)
        keys, wanted = others.pitch * PITCH_APART + others.time, self.pitch * PITCH_APART + self.time
        order = np.argsort(keys, kind="stable")
        after = np.searchsorted(keys, wanted, sorter=order)
        sides = order[np.clip([after - 1, after], 0, len(order) - 1)]
        closer = np.where(np.diff(np.abs(keys[sides] - wanted), axis=0)[0] < 0, sides[1], sides[0])
        return np.where(np.abs(keys[closer] - wanted) <= near, closer, -1)

    def nearest_of(self, some: np.ndarray, others: Onsets, near: float) -> np.ndarray:
        """Like `nearest`, of some of the others, int64 [n], alone."""
        return np.r_[some, -1][self.nearest(others.of(some), near)]


@dataclass(frozen=True)
class Alignment:
    """How the time of a piece and that of its encoding's music meet.

    Args:
        piece: the piece. music: what an encoding keeps of it.
        in_seconds: the music tells seconds; otherwise it tells beats.
        origin: where the music begins in the piece, in seconds or quarters.
    """

    piece: Score
    music: Score
    in_seconds: bool
    origin: float = 0.0

    @staticmethod
    def found(piece: Score, music: Score, in_seconds: bool) -> Alignment:
        """The alignment whose origin makes most notes of the music meet notes of the piece."""
        at_zero = Alignment(piece, music, in_seconds)
        return replace(at_zero, origin=at_zero._best_origin())

    def _times(self, score: Score, ticks: np.ndarray | int) -> np.ndarray:
        """Seconds, or quarters, of ticks."""
        return score.seconds(ticks) if self.in_seconds else np.asarray(ticks) / score.ticks_per_quarter

    def _onsets(self, score: Score) -> Onsets:
        return Onsets(score.notes["pitch"], self._times(score, score.notes["onset_tick"]))

    @property
    def near(self) -> float:
        """How far apart onsets of one note may lie, in seconds or quarters."""
        return NEAR_S if self.in_seconds else NEAR_QUARTERS

    def _best_origin(self) -> float:
        grid = GRID_S if self.in_seconds else GRID_QUARTERS
        piece, music = self._onsets(self.piece), Onsets(*(column[:COMPARED] for column in self._onsets(self.music)))
        places = np.rint((np.unique(piece.time)[:ORIGINS] - music.time[:1]) / grid) * grid
        if not self.in_seconds:  # beats are counted from a bar line where that is as good
            places = np.r_[self._times(self.piece, self.piece.bar_ticks()[:ORIGINS]), places]
        met = [int((music.moved(place).nearest(piece, self.near) >= 0).sum()) for place in places.tolist()]
        return float(places[int(np.argmax(met))])

    def in_piece(self, music: Score) -> np.ndarray:
        """The note of the piece that each note of music in this time is, int64 [notes]; -1: none."""
        return self._onsets(music).moved(self.origin).nearest(self._onsets(self.piece), self.near)

    def in_music(self) -> np.ndarray:
        """The note of the music that each note of the piece is, int64 [notes]; -1: none.

        Notes of a unison are told apart by their tracks: each is on that which holds most notes of its own track.
        """
        piece, music = self._onsets(self.piece), self._onsets(self.music).moved(self.origin)
        tracks, track_of = self.piece.notes["track"], self.music.notes["track"]
        anywhere = piece.nearest(music, self.near)
        found = np.full(len(anywhere), -1)
        for track in np.unique(tracks[anywhere >= 0]):
            own = tracks == track
            usual = np.bincount(track_of[anywhere[own & (anywhere >= 0)]]).argmax()
            found[own] = piece.of(own).nearest_of(np.flatnonzero(track_of == usual), music, self.near)
        left, free = found < 0, np.setdiff1d(np.arange(len(track_of)), found)
        found[left] = piece.of(left).nearest_of(free, music, self.near)
        return found

    def to_music(self, tick: int) -> int:
        """The nearest tick of the music to one of the piece; what lies before the music is its beginning."""
        time = max(float(self._times(self.piece, tick)) - self.origin, 0.0)
        return int(self.music.ticks(time) if self.in_seconds else np.rint(time * self.music.ticks_per_quarter))

    def to_piece(self, ticks: np.ndarray) -> np.ndarray:
        """The nearest ticks of the piece to some of the music, int64."""
        times = self._times(self.music, ticks) + self.origin
        rounded = self.piece.ticks(times) if self.in_seconds else np.rint(times * self.piece.ticks_per_quarter)
        return np.asarray(rounded).astype(np.int64)
