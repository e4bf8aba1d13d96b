"""What of a tune stays while the notes that lie wholly in a gap are written anew.

One voice: the notes that reach into the gap from both sides leave one stretch of steps free. Everywhere else a step's group
follows from what sounds there, cut where the meter or the key changes and where it lasts longer than the longest DURATION.
A silence before the free stretch may be longer than it was, or be followed by a note; one that begins in it ends in it, or
lasts until the next given note.

A tune begins and ends with a note. So where the gap reaches its end, the last free note lasts until the tune ended before.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events import melody_vocabulary as v
from lstmusic.events.given import Given, highest
from lstmusic.events.melody_grammar import MUSIC, MelodyGrammar
from lstmusic.events.melody_line import Line

FREE = -1  # in the place of the one id that may come
NEVER = 2**30  # later than any step
NUM_HEADER_IDS = 2 * v.GROUP_SIZE
IDS = np.arange(len(v.VOCABULARY))
STEPS = np.arange(1, v.MAX_DURATION + 1)


class MelodyGiven(Given):
    """See the module.

    Args:
        grammar: of this encoding.
        ids: int64 [N], a whole legal tune.
        line: its notes, in steps of the grid.
        start, end: the gap, in steps; nothing is free where it holds none.
    """

    def __init__(self, grammar: MelodyGrammar, ids: np.ndarray, line: Line, start: int, end: int) -> None:
        self.grammar, self.length = grammar, int(line.end[-1])
        self._header = ids[v.GROUP_SIZE : v.GROUP_SIZE + NUM_HEADER_IDS]
        end = min(end, self.length)
        before, after = line.onset < start, line.end > end
        self._first_free = int(line.end[before].max(initial=start))
        self._end_free = int(line.onset[after].min(initial=end))
        if self._first_free >= self._end_free:
            self._first_free = self._end_free = 0
        self._tabulate_changes(ids)
        self._tabulate_notes(Line(*(column[before | after] for column in line)))
        self.prefix = self._forced(grammar, ids)

    def _tabulate_changes(self, ids: np.ndarray) -> None:
        """By step: the ids of a change of meter or key, if there is one, and the step of the next; int64 [length + 1]."""
        at = np.flatnonzero(v.VOCABULARY.is_kind("METER", ids))[1:]
        step = self.grammar.trajectory(ids)["step"][at].astype(np.int64)
        self._meter, self._key = np.full((2, self.length + 1), FREE)
        self._meter[step], self._key[step] = ids[at], ids[at + 1]
        self._next_change = _next(step, self.length)

    def _tabulate_notes(self, given: Line) -> None:
        """By step, int64 [length + 1]: the id that begins its group, and by when a sound or a silence ends there."""
        steps = np.arange(self.length + 1)
        self._free = (steps >= self._first_free) & (steps < self._end_free)
        self._head = np.where(self._free, FREE, v.REST_ID)
        self._sound_until = np.full(self.length + 1, self._end_free)
        for onset, end, pitch in zip(*given, strict=True):
            self._head[onset:end], self._sound_until[onset:end] = v.HOLD_ID, end
            self._head[onset] = v.PITCHES.start + pitch
        self._head[self.length] = v.EOS
        following = _next(given.onset, self.length)
        self._silent_until = np.where(following < NEVER, following, self.length - 1)  # a step is left for the last note

    def mask(self, state: np.ndarray) -> np.ndarray:
        mask, step = self.grammar.allowed(state), state["step"].astype(np.int64)
        music, first = state["phase"] == MUSIC, state["member"] == 0
        at_header = np.minimum(v.GROUP_SIZE * state["phase"] + state["member"], NUM_HEADER_IDS - 1)
        changed = state["group"] == v.CHANGE
        head = np.where((self._meter[step] >= 0) & ~changed, self._meter[step], self._head[step])
        second = np.where(changed, self._key[step], FREE)
        only = np.where(music, np.where(first, head, second), self._header[at_header])
        only = np.where(state["phase"] > MUSIC, v.EOS, only)
        mask &= (only[:, None] == FREE) | (only[:, None] == IDS)
        free = music & first & (only == FREE)
        mask[free, v.METER_IDS] = mask[free, v.EOS] = False
        mask[:, v.HOLD_ID] &= ~free | (state["onsets"][:, -1] >= self._first_free)  # a given note has its own end
        mask[:, v.REST_ID] &= ~free | (step < self._silent_until[step])
        mask[:, v.DURATIONS] &= self._durations(step, state["group"])
        return mask

    def open(self, state: np.ndarray) -> np.ndarray:
        return state["step"] < self._end_free

    def latest(self, state: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return highest(mask, v.DURATIONS)

    def _durations(self, step: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """Which may come for a group of this kind [B] at this step [B], bool [B, durations].

        The longest, or one that ends in the free stretch.
        """
        until = np.where(kind == v.REST, self._silent_until[step], self._sound_until[step])
        longest = np.minimum(np.minimum(until, self._next_change[step]) - step, v.MAX_DURATION)[:, None]
        ends_free = self._free[np.minimum(step[:, None] + STEPS, self.length)]
        return (longest == STEPS) | (longest > STEPS) & ends_free


def _next(steps: np.ndarray, length: int) -> np.ndarray:
    """The first of rising steps after each step 0..length, int64; NEVER where there is none."""
    return np.r_[steps, NEVER][np.searchsorted(steps, np.arange(length + 1), side="right")]
