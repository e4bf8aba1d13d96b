"""What of a piece of the `metrical` encoding is given while the notes of a gap are written anew.

Given are all bars, tempi and the end, and every note that sounds outside the gap; free are notes wholly inside it, of the
programs that the piece has. All groups of a piece have one order, by step and then bar, tempo and notes by rising
program, pitch, duration and velocity, so that the last group written tells which given ones are done and which comes
next. Ids of free notes are allowed while they lie before it in that order; its own ids always are.

Of equal notes at one step (two violins in unison) the order does not tell how many are done; the number of notes at the
step does, where all of them are given. So no free note is struck together with notes that ring out of the gap in unison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.given import NONE, Given, highest
from lstmusic.events.grammar import Grammar
from lstmusic.events.metrical_free import PITCHES, PROGRAMS, FreeNotes
from lstmusic.events.metrical_state import (
    AT_DURATION,
    AT_KEY,
    AT_METER,
    AT_PAD,
    AT_PITCH,
    AT_VELOCITY,
    DONE,
    ENDING,
    EVENT,
    OPEN,
    step_of,
)

LINE, CHANGE, NOTE = range(3)  # the order at one step: a bar, then a tempo (or the end), then notes
ANY = len(PROGRAMS)  # no given note at the step: free notes of every program may come
# Where the next id of the given group stands among its own (behind them, PAD and EOS), and how far what is written of the
# group at hand has to agree with it for that: in its step, its program, its pitch. By slot.
MEMBER, AGREED = np.zeros((2, DONE + 1), np.int64)
MEMBER[[EVENT, AT_METER, AT_KEY, AT_PITCH, AT_DURATION, AT_VELOCITY, AT_PAD, ENDING, DONE]] = 1, 1, 2, 2, 3, 4, 5, 6, 6
AGREED[[EVENT, AT_PITCH, AT_DURATION, AT_VELOCITY]] = 1, 2, 3, 3


def rank(step, order, program=0, pitch=0, duration=0, velocity=0) -> np.ndarray:
    """The place of groups in the order of all groups, as one number each; arguments broadcast."""
    step = np.asarray(step, np.int64)  # which 32 bits would not hold
    return ((((step * 3 + order) * len(PROGRAMS) + program) * v.NUM_PITCHES + pitch) << 6 | duration) << 6 | velocity


def _bare(line: np.ndarray, note: np.ndarray) -> list[np.ndarray]:
    """Of the first bar and the last, which have to have a note, those without: the groups at both their lines, [2].

    Args:
        line, note: whether each given group is a bar or a note, bool [K].
    """
    lines = np.flatnonzero(line)
    return [bar for bar in (lines[:2], lines[-2:]) if not note[bar[0] : bar[1]].any()]


def _waiting(step: np.ndarray, bare: Iterable[np.ndarray], onsets: np.ndarray) -> np.ndarray:
    """bool [K]: the given groups that wait until their bar has a note, while there is a place for it.

    Args:
        step: of each group, int64 [K].
        bare: the bars in which one has to be written anew.
        onsets: int64, the steps at which free notes may begin.
    """
    waiting = np.zeros(len(step), bool)
    for first, last in bare:
        final = onsets[np.searchsorted(onsets, step[last]) - 1]
        waiting[first + 1 : last + 1] |= step[first + 1 : last + 1] > final
    return waiting


class MetricalGiven(Given):
    """See the module.

    Args:
        grammar: of the form in which the piece is written anew.
        groups: int64 [M, 5], all groups between BOS and EOS of a whole legal piece.
        step: int64 [M], where each group stands.
        start, end: of the gap, in steps.
        to_ids: what gives the ids of groups, and of an end behind them.
    """

    def __init__(
        self,
        grammar: Grammar,
        groups: np.ndarray,
        step: np.ndarray,
        start: int,
        end: int,
        to_ids: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self.grammar, self.grouped = grammar, grammar.group_size > 1
        note = v.KIND[groups[:, 1]] == v.PROGRAM
        offset = step + np.where(note, v.DURATION_STEPS[np.where(note, v.VALUE[groups[:, 3]], 0)], 0)
        own = np.isin(PROGRAMS, v.VALUE[groups[note, 1]])
        given = ~note | (step < start) | (offset > end)
        groups, step, note, offset = groups[given], step[given], note[given], offset[given]
        value, line = v.VALUE[groups], v.KIND[groups[:, 0]] == v.BAR
        self.rank = rank(step, np.where(line, LINE, CHANGE))
        self.rank[note] = rank(step[note], NOTE, *value[note, 1:].T)
        shut = step[1:][self.rank[1:] == self.rank[:-1]]
        sounding = step[note], value[note, 1], value[note, 2], offset[note]
        self.free = FreeNotes(start, end, int(step[-1]), *sounding, shut, own)
        bare = _bare(line, note)
        if not all(
            self.free.begins(np.arange(*step[bar])).any() for bar in bare
        ):  # the piece's programs sound on all keys
            self.free = FreeNotes(start, end, int(step[-1]), *sounding, shut, np.ones_like(own))
        onsets = self.free.onsets()
        self.last = int(onsets[-1]) if len(onsets) else -1
        first_free = rank(onsets[0], NOTE, *self.free.first()) if len(onsets) else np.inf
        self.prefix = to_ids(groups[self.rank < first_free])[: -grammar.group_size].astype(np.int64)
        # Of each given group, and of the end, which comes last and stands at no step
        self.step = np.append(step, -1)
        self.program, self.pitch = (np.append(np.where(note, value[:, member], -1), -1) for member in (1, 2))
        self.waits = np.append(_waiting(step, bare, onsets), False)
        self.ids = np.full((len(groups) + 1, v.GROUP_SIZE + 2), v.EOS)
        self.ids[:-1, : v.GROUP_SIZE], self.ids[:, v.GROUP_SIZE] = groups, v.PAD

    def mask(self, state: np.ndarray) -> np.ndarray:
        state = np.asarray(state)
        step, following = step_of(state), self._following(state)
        program, pitch = self.program[following], self.pitch[following]
        here, agreed = self._agreed(state, following)
        mask = np.zeros((len(state), len(v.VOCABULARY)), bool)
        slot = state["slot"]
        at = np.flatnonzero(slot == OPEN)
        if len(at):
            self._positions(mask, at, state[at], following[at])
        at = np.flatnonzero(((slot == OPEN) & (state["position"] >= 0)) | (slot == EVENT) | (slot == AT_PITCH))
        if len(at):
            self._notes(mask, at, state[at], step[at], np.where(here, program, ANY)[at], pitch[at])
        at = np.flatnonzero((slot == AT_DURATION) & (agreed < AGREED[AT_DURATION]))
        if len(at):
            mask[at, v.IDS[v.DURATION]] = self.free.durations(step[at], state[at])
        mask[(slot == AT_VELOCITY) & (agreed < AGREED[AT_VELOCITY]), v.IDS[v.VELOCITY]] = True
        mask &= self.grammar.allowed(state)
        given = self._given(state)
        ready = given != NONE
        mask[ready, given[ready]] = True
        return mask

    def latest(self, state: np.ndarray, mask: np.ndarray) -> np.ndarray:
        given = self._given(state)
        return np.where(given != NONE, given, highest(mask, v.IDS[v.DURATION]))

    def _agreed(self, state: np.ndarray, following: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether the next given group stands here, bool [B], and in how many of place, program and pitch the one at hand
        is like it, int64 [B]."""
        here = (self.step[following] == step_of(state)) & (state["position"] >= 0)
        pitch = self.pitch[following] == state["pitch"]
        return here, here * (1 + (self.program[following] == state["program"]) * (1 + pitch))

    def _given(self, state: np.ndarray) -> np.ndarray:
        """The id by which the next given group begins or goes on, int64 [B]; `NONE` where it cannot come yet."""
        slot, following = state["slot"], self._following(state)
        here, agreed = self._agreed(state, following)
        program, member = self.program[following], MEMBER[slot]
        if not self.grouped:  # which goes on at its position, and with its program, without saying so
            member = np.where(here & (slot <= EVENT) & (program >= 0), 1 + (program == state["program"]), member)
        ready = (agreed >= AGREED[slot]) & ~((slot == OPEN) & self.waits[following] & ~state["struck"])
        return np.where(ready, self.ids[following, member], NONE)

    def open(self, state: np.ndarray) -> np.ndarray:
        return step_of(np.asarray(state)) <= self.last

    def _following(self, state: np.ndarray) -> np.ndarray:
        """The index [B] of the given group that comes next: the first that is not before what is written so far."""
        step, slot, tied = step_of(state), state["slot"], state["tied"]
        told = {  # of the group at hand, or of the note before while it is not known to differ
            name: np.where(tied | (slot >= after), state[name], 0)
            for name, after in (("program", AT_PITCH), ("pitch", AT_DURATION), ("duration", AT_VELOCITY))
        }
        order = np.where(state["position"] < 0, LINE, np.where(state["fresh"], CHANGE, NOTE))
        done = tied | ((slot == OPEN) & (order == LINE) & (state["bars"] > 0))
        sought = rank(step, order, **told, velocity=np.where(tied, state["velocity"], 0)) + done
        # Where nothing is free, equal notes are told apart by their number.
        counted = tied & ~self.free.begins(step)
        sought = np.where(counted, rank(step, NOTE), sought)
        return np.searchsorted(self.rank, sought) + np.where(counted, state["count"], 0)

    def _positions(self, mask: np.ndarray, at: np.ndarray, state: np.ndarray, following: np.ndarray) -> None:
        """Later positions where free notes may begin, before that of the next given group."""
        steps = state["bar_start"][:, None] + np.arange(v.MAX_BAR)
        later = steps > np.where(state["position"] < 0, -1, step_of(state))[:, None]
        mask[at, v.IDS[v.POSITION]] = later & (steps < self.step[following, None]) & self.free.begins(steps)

    def _notes(
        self,
        mask: np.ndarray,
        at: np.ndarray,
        state: np.ndarray,
        step: np.ndarray,
        program: np.ndarray,
        pitch: np.ndarray,
    ) -> None:
        """Programs and pitches of free notes at the position, before a given note there, and the position for another one.

        Which of these ids may come is the grammar's to say.

        Args:
            program, pitch: of that note, [len(at)]; `ANY`: there is none.
        """
        own = state["program"]
        limit = np.select([own < program, own == program], [v.NUM_PITCHES, pitch], 0)
        pitches = self.free.pitches(step, state) & (limit[:, None] > PITCHES)
        again = state["tied"][:, None] & (own[:, None] == PROGRAMS)
        fits = np.where(again, pitches.any(axis=1, keepdims=True), self.free.programs(step))
        programs = fits & ~(state["tied"][:, None] & (own[:, None] > PROGRAMS)) & (program[:, None] > PROGRAMS)
        mask[at, v.IDS[v.PROGRAM]] = programs
        drum = own == v.DRUM_KIT
        mask[at[drum], v.IDS[v.DRUM]] = pitches[drum]
        mask[at[~drum], v.IDS[v.PITCH]] = pitches[~drum]
        struck = np.maximum(state["position"], 0) + v.FIRST[v.POSITION]
        mask[at, struck] |= programs.any(axis=1)
