"""Where notes of the `metrical` encoding may be written anew: what fits in a gap beside the notes that are given.

A free note is of a program that the piece has, lies wholly inside the gap, and never on a given note of its program and
pitch: nobody could hear, and no MIDI track could tell, which of the two ends first.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events import metrical_vocabulary as v

PITCHES = np.arange(v.NUM_PITCHES)
PROGRAMS = np.arange(v.DRUM_KIT + 1)


class FreeNotes:
    """The notes that fit in a gap.

    Args:
        start, end: of the gap, in steps.
        line: the step of the final bar line, where no note begins.
        onset, program, pitch, offset: of the given notes, in steps, int64 [N] each. None lies wholly inside the gap.
        shut: int64 [K], steps at which no free note begins.
        programs: bool [programs], those of which free notes may be.
    """

    def __init__(
        self,
        start: int,
        end: int,
        line: int,
        onset: np.ndarray,
        program: np.ndarray,
        pitch: np.ndarray,
        offset: np.ndarray,
        shut: np.ndarray,
        programs: np.ndarray,
    ) -> None:
        self.start, self.steps = start, max(min(end, line) - start, 0)
        # Given notes ring into the gap or out of it: what is left to each program and pitch is one stretch between them.
        self.earliest = np.full((len(PROGRAMS), v.NUM_PITCHES), start)
        self.latest = np.full((len(PROGRAMS), v.NUM_PITCHES), end)
        before = onset < start
        np.maximum.at(self.earliest, (program[before], pitch[before]), offset[before])
        np.minimum.at(self.latest, (program[~before], pitch[~before]), onset[~before])
        self.latest[~programs] = start
        self._programs = self._by_step()
        self._programs[self._row(shut)] = False
        self._steps = np.logical_or.reduce(self._programs, axis=1)

    def _by_step(self) -> np.ndarray:
        """bool [steps + 1, programs]: which programs have a pitch that may begin; in the last row, for all else, none."""
        begins, stops = (np.clip(bound - self.start, 0, self.steps) for bound in (self.earliest, self.latest))
        program = np.repeat(PROGRAMS, v.NUM_PITCHES)
        more = np.zeros((self.steps + 1, len(PROGRAMS)), np.int32)
        np.add.at(more, (begins.ravel(), program), 1)
        np.add.at(more, (np.maximum(begins, stops).ravel(), program), -1)
        return np.cumsum(more, axis=0) > 0

    def _row(self, step: np.ndarray) -> np.ndarray:
        """The rows [...] of steps in the tables by step."""
        inside = (step >= self.start) & (step < self.start + self.steps)
        return np.where(inside, step - self.start, self.steps)

    def onsets(self) -> np.ndarray:
        """The steps at which a free note may begin, int64 [K], rising."""
        return self.start + np.flatnonzero(self._steps)

    def first(self) -> np.ndarray:
        """The program and the pitch of the first free note that may come, int64 [2], where there is one."""
        step = self.onsets()[0]
        return np.argwhere((self.earliest <= step) & (step < self.latest))[0]

    def begins(self, step: np.ndarray) -> np.ndarray:
        """bool [...]: whether a free note may begin at each step."""
        return self._steps[self._row(step)]

    def programs(self, step: np.ndarray) -> np.ndarray:
        """bool [B, programs]: whose notes may begin at each step [B]."""
        return self._programs[self._row(step)]

    def pitches(self, step: np.ndarray, state: np.ndarray) -> np.ndarray:
        """bool [B, pitches]: of a state's program, those that may begin at each step [B], not below the note before there.

        The pitch of a free note before is among them: an equal one may always follow.
        """
        program, floor = state["program"], np.where(state["tied"], state["pitch"], 0)
        fits = (self.earliest[program] <= step[:, None]) & (step[:, None] < self.latest[program])
        return fits & (floor[:, None] <= PITCHES) & self.begins(step)[:, None]

    def durations(self, step: np.ndarray, state: np.ndarray) -> np.ndarray:
        """bool [B, durations]: those that end a note of a state's program and pitch in time, struck at each step [B]."""
        left = self.latest[state["program"], state["pitch"]] - step
        return left[:, None] >= v.DURATION_STEPS
