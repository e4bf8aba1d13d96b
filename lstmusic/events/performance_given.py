"""What of a performance stays while the notes that lie wholly in a gap are written anew.

Given are endings and onsets at their times, in the order in which the grammar spells them. How many of them a song has
written follows from where it stands, so that the mask is a function of the grammar's state. The spelling may change where
the notes do not: after other notes in the gap, the first one behind it may need a VELOCITY, or need none any more.

A piece ends where something is let go. Where the gap reaches its end and no given note lasts until there, one that is free
is made to: the piece ends when it did.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstmusic.events import performance_grammar as g
from lstmusic.events.given import NONE, Given, highest

NEVER = 2**40  # later than any time
ORDER_BITS = 9  # that hold whether something is an onset, and its key plus 1
SHIFTS = np.arange(1, g.MAX_SHIFT + 1)


class _Events(NamedTuple):
    """Endings and onsets in the grammar's order, int64 [N + 1] each; the last stands for what never comes."""

    time: np.ndarray
    is_onset: np.ndarray
    key: np.ndarray
    velocity_bin: np.ndarray

    @classmethod
    def of(cls, notes: g.Notes) -> _Events:
        """All that begins and ends notes."""
        onsets = notes.onset, np.ones_like(notes.pitch), notes.pitch, notes.velocity_bin
        endings = notes.end, np.zeros_like(notes.pitch), notes.pitch, notes.velocity_bin
        never = np.array([NEVER]), np.array([0]), np.array([0]), np.array([0])
        time, is_onset, key, velocity_bin = (np.concatenate(c) for c in zip(onsets, endings, never, strict=True))
        order = np.argsort(_place(time, is_onset, key))
        return cls(time[order], is_onset[order], key[order], velocity_bin[order])


class _Here(NamedTuple):
    """States [B] and what is to come of the given events.

    Attributes:
        state: the grammar's.
        time: int64 [B].
        next: the first event of each that has not come yet, [B] each.
        inside: bool [B], whether free notes may sound.
        free: bool [B, K], the keys that sound and are not given.
        until: int64 [B, K], by when a free note of each key is let go.
    """

    state: np.ndarray
    time: np.ndarray
    next: _Events
    inside: np.ndarray
    free: np.ndarray
    until: np.ndarray


def _place(time: np.ndarray, is_onset: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Where an event stands in the grammar's order, int64; key -1 is before all of its sort."""
    return (time * 2 + is_onset << ORDER_BITS - 1) + key + 1


class PerformanceGiven(Given):
    """See the module.

    Args:
        grammar: of this encoding.
        ids: int64 [N], a whole legal piece.
        notes: all keys that sound in it.
        start, end: the gap, in steps of 10 ms; nothing is free where it holds none.
    """

    def __init__(self, grammar: g.PerformanceGrammar, ids: np.ndarray, notes: g.Notes, start: int, end: int) -> None:
        self.grammar, self.length = grammar, int(notes.end.max())
        end = min(end, self.length)
        self.start, self.end = (start, end) if start < end else (0, 0)
        outside = (notes.onset < self.start) | (notes.end > self.end)
        self.events = _Events.of(g.Notes(*(column[outside] for column in notes)))
        self._places = _place(*self.events[:3])
        self._tabulate()
        self.prefix = self._forced(grammar, ids)

    def _tabulate(self) -> None:
        """After each event of the gap and after those before it: which given keys sound, and when a free one must end.

        `_held` bool [R, K] and `_until` int64 [R, K]; row r holds after `_first + r` events.
        """
        events, num_keys = self.events, self.grammar.num_keys
        self._first, last = np.searchsorted(events.time, [self.start, self.end + 1]).tolist()
        struck = np.bincount(events.key[: self._first], minlength=num_keys) % 2 == 1
        self._held = np.repeat(struck[None], last - self._first + 1, axis=0)
        self._until = np.full(self._held.shape, self.end)
        for row, event in enumerate(range(self._first, last), start=1):
            key = events.key[event]
            self._held[row:, key] ^= True
            if events.is_onset[event]:  # the only one of its key, as it rings out of the gap
                # The pedal cannot be lifted and pressed at once.
                self._until[:row, key] = events.time[event] - (key == g.PEDAL)

    def mask(self, state: np.ndarray) -> np.ndarray:
        here, grammar = self._here(state), self.grammar
        mask = grammar.allowed(state)
        endings, ended = self._endings(here)
        mask[:, grammar.offs] &= endings
        mask[:, grammar.ons], velocities = self._onsets(here, mask[:, grammar.ons], ended)
        mask[:, grammar.velocities] &= velocities
        mask[:, grammar.shifts] &= self._shifts(here)
        mask[:, g.EOS] &= here.time >= self.length
        return mask

    def open(self, state: np.ndarray) -> np.ndarray:
        return (state["time"] < self.end) & ~self.grammar.finished(state)

    def latest(self, state: np.ndarray, mask: np.ndarray) -> np.ndarray:
        here, grammar = self._here(state), self.grammar
        _, ended = self._endings(here)
        given = ended & (here.next.time == here.time) & (here.next.is_onset == 1)
        is_new = (here.next.key < g.PEDAL) & (here.next.velocity_bin != state["velocity"])
        velocity, onset = grammar.velocities.start + here.next.velocity_bin - 1, grammar.ons.start + here.next.key
        due = np.where(ended, highest(mask, grammar.shifts), highest(mask, grammar.offs))
        found = np.where(given, np.where(is_new, velocity, onset), due)
        comes = np.take_along_axis(mask, np.maximum(found, 0)[:, None], axis=1)[:, 0]  # not while another onset is due
        return np.where(comes, found, NONE)

    def _here(self, state: np.ndarray) -> _Here:
        time, off, on = (state[name].astype(np.int64) for name in ("time", "off_floor", "on_floor"))
        written = np.searchsorted(self._places, _place(time, on >= 0, np.where(on >= 0, on, off)), side="right")
        row = np.clip(written - self._first, 0, len(self._held) - 1)
        inside = (time >= self.start) & (time <= self.end)
        free = state["sounding"] & ~self._held[row] & inside[:, None]
        return _Here(state, time, _Events(*(c[written] for c in self.events)), inside, free, self._until[row])

    def _endings(self, here: _Here) -> tuple[np.ndarray, np.ndarray]:
        """Which keys may be let go, bool [B, K]: of those that must be now the lowest, and free ones below it.

        And whether none must be now any more, bool [B].
        """
        given = (here.next.time == here.time) & (here.next.is_onset == 0)
        is_given = given[:, None] & (self.grammar.keys == here.next.key[:, None])
        due = is_given | here.free & (here.until <= here.time[:, None])
        ended = ~due.any(axis=1)
        lowest = np.where(ended, self.grammar.num_keys, due.argmax(axis=1))
        return (is_given | here.free) & (self.grammar.keys <= lowest[:, None]), ended

    def _onsets(self, here: _Here, legal: np.ndarray, ended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which keys may be struck, bool [B, K], and which velocities set, bool [B, bins].

        Free are keys below the next given one that have time to sound.

        Args:
            legal: bool [B, K], which keys the grammar lets be struck at once.
            ended: bool [B], whether all that had to end now has.
        """
        state, upcoming, keys = here.state, here.next, self.grammar.keys
        given = ended & (upcoming.time == here.time)
        below = np.where(given, upcoming.key, self.grammar.num_keys)
        in_time = (ended & here.inside)[:, None] & (here.until > here.time[:, None])
        free = in_time & (keys < below[:, None])
        is_pitch = upcoming.key < g.PEDAL
        ready = given & (~is_pitch | (upcoming.velocity_bin == state["velocity"]))
        silent = ~state["sounding"] & (keys > state["on_floor"][:, None])
        announced = (free & silent)[:, : g.PEDAL].any(axis=1, keepdims=True)
        asked = np.where(given & is_pitch, upcoming.velocity_bin, 0)
        velocities = announced | (asked[:, None] == g.BINS)
        return legal & (free | ready[:, None] & (keys == upcoming.key[:, None])), velocities

    def _shifts(self, here: _Here) -> np.ndarray:
        """Which shifts may come, bool [B, 100]: to where something can happen; the longest also on the way there."""
        following = here.next.time[:, None]
        any_free = here.free.any(axis=1, keepdims=True)
        due = np.where(here.free, here.until, NEVER).min(axis=1, keepdims=True)
        last_onset = np.where(here.state["sounding"], 0, here.until).max(axis=1, keepdims=True) - 1
        # With nothing given to wait for, something free must still sound at the end.
        waiting = np.where(following < NEVER, following, last_onset)
        time = here.time[:, None] + SHIFTS
        happens = (time >= self.start) & (any_free | (time <= last_onset))
        happens |= (time == following) | (SHIFTS == g.MAX_SHIFT)
        return happens & (time <= np.where(any_free, np.minimum(following, due), waiting))
