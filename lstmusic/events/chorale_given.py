"""What of a chorale is given: four voices on a 16th grid, some of its cells free.

A cell is one voice at one step. The id of a given cell follows from what the voice is to do and what it sounds by then.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events import chorale_grammar as g
from lstmusic.events.given import Given

NONE = -1  # no pitch, or no place
STRIKES = g.VOCABULARY.is_kind("PITCH", np.arange(len(g.VOCABULARY)))


class ChoraleGiven(Given):
    """See the module.

    Args:
        grammar: of the piece.
        ids: the piece, int [N].
        first_step, end_step: the steps first_step..end_step-1 are the gap.
        kept: bool [4], the voices that stay inside the gap, too.
    """

    def __init__(
        self, grammar: g.ChoraleGrammar, ids: np.ndarray, first_step: int, end_step: int, kept: np.ndarray
    ) -> None:
        groups = np.asarray(ids, np.int64).reshape(-1, g.GROUP_SIZE)
        self.grammar, music = grammar, groups[2:-1]
        self.steps = len(music)
        values = g.voice_values(music)
        sounding = g.last_changes(values)[0]
        free = _free(values, sounding, first_step, end_step) & ~kept
        self._silent = np.vstack([~free & (sounding == 0), np.zeros((1, g.GROUP_SIZE), bool)])
        self._ids = _choices(values, free, sounding)
        self._unheld = np.full((self.steps + 1, g.GROUP_SIZE), NONE)
        if not grammar.strikes:  # a note that is given is struck, so its pitch must not sound before it
            step, voice = np.nonzero(free[:-1] & ~free[1:] & (values[1:] > 0))
            pitch = values[step + 1, voice]
            self._unheld[step, voice] = pitch
            self._ids[step, voice, g.PITCHES.start + pitch - g.LOWEST_PITCH] = False
        places = np.flatnonzero(free)
        self._last_free = int(places[-1]) if len(places) else NONE
        self._lone = len(places) > 0 and not (values[~free] > 0).any()  # there is no note but those to be written
        self._ends_alone = bool(free[-1].any()) and not (sounding[-1] > 0)[~free[-1]].any()
        self.prefix = groups[: 2 + (int(places[0]) // g.GROUP_SIZE if len(places) else self.steps)].reshape(-1)

    def mask(self, state: np.ndarray) -> np.ndarray:
        step, voice = np.minimum(state["step"], self.steps), state["member"].astype(np.int64)
        pitch = np.take_along_axis(state["pitch"], voice[:, None], axis=1)[:, 0]
        mask = self.grammar.allowed(state)
        music = state["phase"] == g.MUSIC
        mask[music] &= self._ids[step, voice][music]
        mask[:, g.HOLD] &= (pitch != self._unheld[step, voice]) & ~(self._silent[step, voice] & (pitch > 0))
        last = music & (step * g.GROUP_SIZE + voice == self._last_free)
        if self._lone:
            mask[last & ~state["struck"]] &= STRIKES
        if self._ends_alone:  # the last step sounds, so that the notes are as long as the steps
            earlier = np.arange(g.GROUP_SIZE) < voice[:, None]
            alone = last & ~((state["pitch"] > 0) & earlier).any(axis=1)
            mask[alone, g.REST] = False
            mask[alone & (pitch == 0), g.HOLD] = False
        return mask

    def open(self, state: np.ndarray) -> np.ndarray:
        place = np.where(state["phase"] == g.MUSIC, state["step"] * g.GROUP_SIZE + state["member"], 0)
        return (state["phase"] <= g.MUSIC) & (place <= self._last_free)


def _free(values: np.ndarray, sounding: np.ndarray, first_step: int, end_step: int) -> np.ndarray:
    """The cells inside the gap, bool [T, 4], but for those of notes that sound outside it, too."""
    steps = np.arange(len(values))[:, None]
    begun = np.maximum.accumulate(np.where(values >= 0, steps, 0), axis=0)
    changes = np.where(values >= 0, steps, len(values))
    following = np.minimum.accumulate(changes[::-1], axis=0)[::-1]  # the next change, this step's own among them
    end = np.vstack([following[1:], np.full((1, g.GROUP_SIZE), len(values))])
    inside = (begun >= first_step) & (end <= end_step)
    return (steps >= first_step) & (steps < end_step) & ((sounding == 0) | inside)


def _choices(values: np.ndarray, free: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """The ids that a cell may take, bool [T + 1, 4, V], whatever its voice sounds by then; after the last step EOS.

    Args:
        values: `voice_values` of the piece, int64 [T, 4]. free: bool [T, 4]. sounding: the pitches after each step [T, 4].
    """
    ids = np.zeros((len(values) + 1, g.GROUP_SIZE, len(g.VOCABULARY)), bool)
    cells = ids[:-1]
    cells[free] = STRIKES
    cells[free, g.REST] = True
    before = np.vstack([np.zeros((1, g.GROUP_SIZE), bool), ~free[:-1] & (sounding[:-1] > 0)])
    cells[..., g.HOLD] = np.where(free, ~before, values < 0)  # a given note that has rung into the gap ends there
    struck = ~free & (values > 0)
    cells[struck, g.PITCHES.start + values[struck] - g.LOWEST_PITCH] = True
    silent = ~free & (sounding == 0)
    cells[silent, g.HOLD] = cells[silent, g.REST] = True
    ids[-1, :, g.EOS] = True
    return ids
