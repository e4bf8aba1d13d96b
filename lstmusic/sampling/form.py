"""A minimum of repetition: bars that follow an earlier one, where a song comes back to too little by itself.

A bar is what lies between two bar lines as the grammar counts them. Two bars are the same if they share nearly all groups
that strike notes, each at its place. A bar is drawn to its model by nats added to the logits of the model's ids; it may go
another way, and the next one is drawn more strongly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from lstmusic.events.kinds import PITCH, event_kinds
from lstmusic.events.vocabulary import Vocabulary

BONUS_NATS = 4.0  # for the id that the model bar has at this place,
FAILED_NATS = 1.0  # and as much more for every bar that did not come out like its model
BARS_BACK = (4, 2)  # where a bar's model is: a phrase before, or half of one
MEMORY_BARS = 32
ALIKE = 0.8  # the share of groups with notes that bars have to have in common
PLACES_PER_BAR = 3840  # places are compared as whole numbers: 3840 holds every grid of ours but performance's, nearly


@dataclass(frozen=True)
class _Bar:
    """A bar that has ended: its groups, each int64 [G], where they begin, and which of them strike notes at which place."""

    groups: list[np.ndarray]
    begins: list[int]
    content: frozenset[tuple[int, bytes]]

    def like(self, other: _Bar) -> bool:
        """Whether both are the same; a bar without notes is like none."""
        most = max(len(self.content), len(other.content))
        return most > 0 and len(self.content & other.content) >= ALIKE * most


@dataclass
class _Song:
    """One song, cut into bars.

    Attributes:
        place: where it stands, from its beginning; None: nothing was heard.
        begun: whether a note has been struck; what comes before without taking time is a header.
        groups, begins, content: of the bar at hand.
        bars: those that have ended and are remembered.
        finished, repeated: how many have ended, and how many of them were like a bar before them.
        model, at: the bar that the one at hand follows, and its group that comes next; None: there is none.
        nats: how strongly a bar is drawn to its model.
    """

    place: int | None = None
    begun: bool = False
    groups: list[np.ndarray] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    content: set[tuple[int, bytes]] = field(default_factory=set)
    bars: deque[_Bar] = field(default_factory=lambda: deque(maxlen=MEMORY_BARS))
    finished: int = 0
    repeated: int = 0
    model: _Bar | None = None
    at: int | None = None
    nats: float = BONUS_NATS

    def copy(self) -> _Song:
        """One that goes on by itself."""
        return replace(
            self, groups=[*self.groups], begins=[*self.begins], content={*self.content}, bars=self.bars.copy()
        )

    def hear(self, group: np.ndarray, bars: float, strikes: bool) -> bool:
        """Go on by a group, int64 [G], after which there are so many bars; whether a bar begins with the next."""
        place = round(bars * PLACES_PER_BAR)
        before = place - place % PLACES_PER_BAR if self.place is None else self.place
        begin = before % PLACES_PER_BAR
        end = begin + place - before
        self.place = place
        self.begun |= strikes
        if self.begun or end > begin:
            self.groups.append(group)
            self.begins.append(begin)
        if strikes:
            self.content.add((end, group.tobytes()))
        lines = end // PLACES_PER_BAR
        if lines == 0:
            self._follow(end)
            return False
        self._end_bar()
        for _ in range(lines - 1):  # a long note went over them
            self._end_bar()
        return True

    def _end_bar(self) -> None:
        bar = _Bar(self.groups, self.begins, frozenset(self.content))
        known = any(bar.like(earlier) for earlier in self.bars)
        self.finished += 1
        self.repeated += known
        if self.model is not None and not known:
            self.nats += FAILED_NATS
        self.bars.append(bar)
        self.groups, self.begins, self.content, self.model, self.at = [], [], set(), None, None

    def begin_bar(self, least: float) -> None:
        """Take a model for the bar that begins, if without its repeating one there would be too few that do."""
        if self.repeated >= least * (self.finished + 1):
            return
        models = (self.bars[-back] for back in BARS_BACK if back <= len(self.bars))
        self.model = next((bar for bar in models if bar.content), None)
        self._follow((self.place or 0) % PLACES_PER_BAR)

    def _follow(self, place: int) -> None:
        """Go on in the model with its next group that begins here; where none does, wait."""
        if self.model is None:
            return
        begins = self.model.begins
        at = bisect_left(begins, place, lo=0 if self.at is None else self.at + 1)
        self.at = at if at < len(begins) and begins[at] == place else None


class Form:
    """Holds songs to a share of bars that repeat an earlier one.

    Args:
        least: the share, 0 to 1, of all bars that have ended.
        vocabulary: of the ids.
    """

    def __init__(self, songs: int, least: float, vocabulary: Vocabulary) -> None:
        self.least, self._num_ids = least, len(vocabulary)
        self._strikes = event_kinds(vocabulary) == PITCH
        self._songs = [_Song() for _ in range(songs)]

    def bonus(self, members: np.ndarray) -> np.ndarray | None:
        """Nats to add to the logits of the next id, float64 [B, V], after int64 [B, g] of its group; None: none at all."""
        member = members.shape[1]
        if all(song.at is None for song in self._songs):
            return None
        nats = np.zeros((len(self._songs), self._num_ids))
        for row, song in enumerate(self._songs):
            if song.model is not None and song.at is not None:
                nats[row, song.model.groups[song.at][member]] = song.nats
        return nats

    def hear(self, groups: np.ndarray, bars: np.ndarray) -> None:
        """Go on by one group per song, int64 [B, G], after which there are so many bars, float64 [B]."""
        strikes = self._strikes[groups].any(axis=1)
        for song, group, after, struck in zip(self._songs, groups, bars.tolist(), strikes.tolist(), strict=True):
            if song.hear(group, after, struck):
                song.begin_bar(self.least)

    def take(self, rows: np.ndarray) -> None:
        """Song r goes on as song rows[r] stood."""
        self._songs = [self._songs[row].copy() for row in rows]
