"""Which event may come next, and the context a model may read: what every encoding's state machine promises.

A state is a NumPy array structured by the encoding, with any leading shape: one row per song while sampling, one row per
token for a whole piece. `allowed` and `features` read any such shape, so that only `advance` (one token for B songs) and
`trajectory` (a whole piece at once, vectorised) say the same thing in two ways; a property test holds them together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from lstmusic.errors import IllegalSequenceError
from lstmusic.events import conditions
from lstmusic.events.vocabulary import Vocabulary

TOLERANCE = 1e-6  # steps, bars or seconds: sums of fractions are not exact
CHECK_ROWS = 1024  # `allowed` makes V booleans for each id: a long piece is checked part by part


def latest(where: np.ndarray) -> np.ndarray:
    """For each position of bool [N]: the index of the last True strictly before it; -1 where there is none."""
    index = np.where(where, np.arange(len(where)), -1)
    return np.r_[-1, np.maximum.accumulate(index)[:-1]]


def values_at(values: np.ndarray, index: np.ndarray, otherwise: float) -> np.ndarray:
    """values[index] where the index is not negative."""
    return np.where(index >= 0, values[np.maximum(index, 0)], otherwise)


def whole_steps(steps: np.ndarray) -> np.ndarray:
    """So many whole steps, rounded down, as float: infinity stays what it is."""
    return np.floor(steps + TOLERANCE)


class Context(NamedTuple):
    """What a model may read at each token.

    Attributes:
        columns: int16 [..., F], categorical features; column f lies in 0..column_sizes[f]-1.
        flags: bool [..., M], yes/no features (which pitches sound).
    """

    columns: np.ndarray
    flags: np.ndarray


class Grammar(ABC):
    """The state machine of one encoding.

    Attributes:
        vocabulary: the ids it speaks about.
        group_size: how many ids make one step of music.
        feature_sizes: the cardinality of each categorical feature, by name, in the order of the columns.
        num_flags: the number of yes/no features.
        voices: the names of the voices that a song's ids belong to.
        conditions: whether a model is also told what the music around is like; see `conditions`.
    """

    vocabulary: Vocabulary
    group_size: int
    feature_sizes: dict[str, int]
    num_flags: int
    voices: tuple[str, ...] = ("all",)
    conditions: bool = False

    @abstractmethod
    def start(self, batch: int) -> np.ndarray:
        """The state [B] right after the BOS group, before the first id that has to be chosen."""

    @abstractmethod
    def advance(self, state: np.ndarray, ids: np.ndarray) -> None:
        """Move the state [B] on by one legal id per song (int [B]), in place."""

    @abstractmethod
    def trajectory(self, ids: np.ndarray) -> np.ndarray:
        """The state [N] before each id of a piece (ids [N], BOS group included; its rows hold the start state).

        Exact up to and including the first illegal id; what follows it has no meaning.
        """

    @abstractmethod
    def allowed(self, state: np.ndarray) -> np.ndarray:
        """bool [..., V]: the ids that may come next. At least one is, in every state that legal ids reach.

        After the end it is EOS again, so that a finished song can wait for the others; in a piece that is not legal.
        """

    def permits(self, state: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """bool [N]: whether each id (int64 [N]) may come next in its state [N]: what `allowed` says of this id alone."""
        ok = np.zeros(len(ids), bool)
        for start in range(0, len(ids), CHECK_ROWS):
            part = slice(start, start + CHECK_ROWS)
            ok[part] = np.take_along_axis(self.allowed(state[part]), ids[part, None], axis=-1)[:, 0]
        return ok

    @abstractmethod
    def features(self, state: np.ndarray) -> Context:
        """The context features of each state."""

    @property
    def column_sizes(self) -> dict[str, int]:
        """The cardinality of each column that a model reads, by name: of the features, and of the conditions if any."""
        return self.feature_sizes | (conditions.SIZES if self.conditions else {})

    def context(self, state: np.ndarray) -> Context:
        """What a model reads at each state: its features, and behind them the conditions, none of them told."""
        columns, flags = self.features(state)
        if not self.conditions:
            return Context(columns, flags)
        untold = np.full((*columns.shape[:-1], len(conditions.SIZES)), conditions.UNKNOWN, columns.dtype)
        return Context(np.concatenate([columns, untold], axis=-1), flags)

    @abstractmethod
    def closing(self, state: np.ndarray) -> np.ndarray:
        """bool [..., V]: the ids that bring the piece to its end soonest; a subset of `allowed`."""

    @abstractmethod
    def finished(self, state: np.ndarray) -> np.ndarray:
        """bool [...]: the piece has ended with a whole EOS group."""

    @abstractmethod
    def length(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bars and seconds (float [...] each) of music so far, by the encoding's own meter and tempo."""

    def voice(self, state: np.ndarray) -> np.ndarray:
        """int64 [...]: which of `voices` the id that comes next belongs to."""
        return np.zeros(state.shape, np.int64)

    def key_ids(self, state: np.ndarray, number: int) -> np.ndarray:
        """bool [..., V]: the ids that may come where the piece's key is to be this one; all of those that write no key.

        Args:
            number: of a major key 0-11, of a minor key 12-23, from C.
        """
        return np.ones((*state.shape, len(self.vocabulary)), bool)

    def crowd(self, state: np.ndarray) -> np.ndarray:
        """int16 [..., V]: how many notes sound together once the id has come, the new one among them.

        0 for an id that starts no note. One that obliges to a note tells what that note will make, so that under any limit
        from 1 up some id is always left; drums do not sound on and count as nothing.
        """
        return np.zeros((*state.shape, len(self.vocabulary)), np.int16)

    def parallels(self, state: np.ndarray) -> np.ndarray:
        """bool [..., V]: the ids by which the voice whose turn it is moves in parallel fifths, octaves or unisons.

        With a voice that has had its turn in this step: those whose turn is yet to come are not known to move.
        """
        return np.zeros((*state.shape, len(self.vocabulary)), bool)

    def within(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        """bool [..., V]: the ids after which the piece can still end in exactly so much music from here.

        Says nothing of states that are `full`: there `closing` ends the piece.

        Args:
            bars, seconds: float, broadcastable to the state's shape, rounded down to the encoding's grid; infinity is no
                limit, and of both the nearer end counts.
        """
        mask = np.ones((*state.shape, len(self.vocabulary)), bool)
        mask[..., self.vocabulary.id("EOS")] = np.isinf(self.steps_left(state, bars, seconds))
        return mask

    def full(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        """bool [...]: whether so many bars and seconds are not one step. From there on `closing` ends the piece."""
        return self.steps_left(state, bars, seconds) < 1

    def steps_left(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        """float [...]: how many whole steps of the grid so many bars and seconds are; infinity: there is no limit.

        Without a grid any part of a bar or a second counts as one.
        """
        return np.broadcast_to(np.ceil(np.minimum(bars, seconds) - TOLERANCE), state.shape)

    def bos(self) -> np.ndarray:
        """The BOS group, int64 [G]."""
        return np.full(self.group_size, self.vocabulary.id("BOS"))

    def legal(self, ids: np.ndarray) -> np.ndarray:
        """bool [N]: which ids of a piece its grammar allows; rows after the first illegal one have no meaning."""
        ids = np.asarray(ids, np.int64)
        ok = np.zeros(len(ids), bool)
        g = self.group_size
        if len(ids) < g or len(ids) % g:
            return ok
        in_range = (ids >= 0) & (ids < self.vocabulary.size)
        if not in_range.all():
            first = int(np.argmin(in_range))
            ok[:first] = True
            return ok
        ok[:g] = ids[:g] == self.bos()
        states = self.trajectory(ids)[g:]
        ok[g:] = self.permits(states, ids[g:]) & ~self.finished(states)
        return ok

    def check(self, ids: np.ndarray) -> None:
        """Raise at the first id that the grammar does not allow.

        Raises:
            IllegalSequenceError: names the position and the event.
        """
        if len(ids) % self.group_size:
            raise IllegalSequenceError(f"{len(ids)} ids: expected whole groups of {self.group_size}")
        self.check_prefix(ids)

    def check_prefix(self, ids: np.ndarray) -> None:
        """Like `check`, but the last group may be unfinished."""
        ids = np.asarray(ids, np.int64)
        if len(ids) < self.group_size:
            raise IllegalSequenceError(f"{len(ids)} ids: expected at least a BOS group of {self.group_size}")
        missing = -len(ids) % self.group_size
        ok = self.legal(np.r_[ids, np.zeros(missing, np.int64)])[: len(ids)]
        if not ok.all():
            at = int(np.argmin(ok))
            value = int(ids[at])
            event = self.vocabulary.event(value) if 0 <= value < self.vocabulary.size else f"id {value}"
            raise IllegalSequenceError(f"position {at}: {event} is not allowed here")
