"""How full the music of the `metrical` encoding would become with an id, and whether it could still end where it is to.

Both look ahead from the id that opens a note's group, since a note that is begun has to be finished.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.grammar import whole_steps
from lstmusic.events.metrical_state import (
    AT_METER,
    AT_PITCH,
    EVENT,
    OPEN,
    bar_steps,
    seconds_per_step,
    step_of,
)

PITCHES = np.arange(v.NUM_PITCHES)
TOO_MANY = (
    v.NUM_PITCHES + 1
)  # what a key that sounds tells: a state knows which keys sound, not how many notes each has


def crowd(rows: np.ndarray) -> np.ndarray:
    """int16 [N, V]: see `Grammar.crowd`; for states [N].

    A position tells what a pitched note there would make: that a drum alone could follow is not reckoned with.
    """
    told = np.zeros((len(rows), len(v.VOCABULARY)), np.int16)
    at = np.flatnonzero(rows["slot"] == OPEN)
    told[at, v.IDS[v.POSITION]] = 1 + _sounding_at_positions(rows[at])
    at = np.flatnonzero(np.isin(rows["slot"], (OPEN, EVENT, AT_PITCH)))
    state = rows[at]
    sounding = state["ends"] > step_of(state)[:, None]
    count = 1 + sounding.sum(axis=1)[:, None]
    told[at, v.IDS[v.PITCH]] = np.where(sounding, TOO_MANY, count)
    # The program of the note before, whose notes rise, may have no silent key left.
    full = state["tied"] & ~(~sounding & (state["pitch"][:, None] <= PITCHES)).any(axis=1)
    same = full[:, None] & (state["program"][:, None] == np.arange(v.DRUM_KIT))
    programs = v.IDS[v.PROGRAM]
    told[at, programs.start : programs.start + v.DRUM_KIT] = np.where(same, TOO_MANY, count)
    return told


def _sounding_at_positions(rows: np.ndarray) -> np.ndarray:
    """int64 [N, MAX_BAR]: how many keys still sound at each position of the bar, of what has been struck so far."""
    until = np.clip(rows["ends"] - rows["bar_start"][:, None], 0, v.MAX_BAR)
    places = until + np.arange(len(rows))[:, None] * (v.MAX_BAR + 1)
    ending = np.bincount(places.ravel(), minlength=len(rows) * (v.MAX_BAR + 1)).reshape(len(rows), v.MAX_BAR + 1)
    return v.NUM_PITCHES - np.cumsum(ending, axis=1)[:, :-1]


def within(rows: np.ndarray, bars: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """bool [N, V]: see `Grammar.within`; for states [N] and as many bars and seconds.

    No note is struck or rings beyond the end; the final bar line is the first one there or after it. What is left in bars
    is counted in bars like the present one: another METER may come where all that sounds still ends in time.
    """
    left = steps_left(rows, bars, seconds)
    mask = np.ones((len(rows), len(v.VOCABULARY)), bool)
    mask[:, v.EOS] = np.isinf(left)
    position = np.maximum(rows["position"], 0)
    to_line = bar_steps(rows["meter"]) - position
    # The last bar holds a note: one without is left only for another, and what begins before it leaves its last step free.
    later = to_line < left
    mask[:, v.BAR] = rows["struck"] | later
    mask[:, v.IDS[v.POSITION]] = np.arange(v.MAX_BAR) < (position + left)[:, None]
    mask[:, v.IDS[v.DURATION]] = (left - later)[:, None] >= v.DURATION_STEPS
    limits = ((AT_METER, v.METER, bars, _after_meters), (EVENT, v.TEMPO, seconds, _after_tempi))
    for slot, kind, amount, steps in limits:
        at = np.flatnonzero(rows["slot"] == slot)
        if len(at):
            sounds = np.maximum(rows["ends"][at].max(axis=1) - step_of(rows[at]), 0)[:, None]  # for so many steps
            after = steps(amount[at])
            free = ~rows["struck"][at][:, None] | (to_line[at][:, None] < after)
            mask[at, v.IDS[kind]] = after >= sounds + free
    return mask


def steps_left(state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
    """float [...]: see `Grammar.steps_left`; while no meter or tempo is known, bars or seconds limit nothing."""
    bar, step_s = bar_steps(state["meter"]), seconds_per_step(state["tempo"])
    by_bars = np.where(bar > 0, whole_steps(bars * np.maximum(bar, 1)), np.inf)
    return np.minimum(by_bars, np.where(step_s > 0, whole_steps(seconds / np.where(step_s > 0, step_s, 1)), np.inf))


def _after_meters(bars: np.ndarray) -> np.ndarray:
    """The steps [N, meters] that are left after a bar line with each METER."""
    return whole_steps(bars[:, None] * v.BAR_STEPS)


def _after_tempi(seconds: np.ndarray) -> np.ndarray:
    """The steps [N, tempi] that are left after each TEMPO."""
    return whole_steps(seconds[:, None] / seconds_per_step(np.arange(v.LOWEST_QPM, v.HIGHEST_QPM + 1)))
