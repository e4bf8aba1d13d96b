"""The state of the `metrical` state machine: one row for each song or token, and what follows from it at once."""

from __future__ import annotations

import numpy as np

from lstmusic.events import metrical_vocabulary as v

# What comes next: OPEN is between groups, EVENT follows a POSITION; the others wait for the kind of their name.
OPEN, EVENT, AT_METER, AT_KEY, AT_PITCH, AT_DURATION, AT_VELOCITY, AT_PAD, ENDING, DONE = range(10)
NEXT = np.full(len(v.VOCABULARY.ranges), OPEN)
NEXT[[v.BAR, v.METER, v.POSITION, v.PROGRAM, v.PITCH, v.DRUM, v.DURATION]] = (
    *(AT_METER, AT_KEY, EVENT, AT_PITCH, AT_DURATION, AT_DURATION, AT_VELOCITY),
)

STATE = np.dtype(
    [
        ("slot", "i1"),
        ("member", "i1"),  # of the group; always 0 in the flat form
        ("bars", "<i4"),  # BARs so far
        ("bar_start", "<i4"),  # the step of the last BAR, counted from the first
        ("struck", "?"),  # a note began in this bar; likewise in the one before
        ("struck_before", "?"),
        ("position", "i1"),  # in the bar; -1: none yet
        ("fresh", "?"),  # the id before was the POSITION, and a new one
        ("count", "<i4"),  # notes at the position so far
        ("tied", "?"),  # what is known of the note at hand equals the note before it at the position
        ("meter", "i1"),  # the last id of each kind; -1: none yet
        ("key", "i1"),
        ("tempo", "<i2"),  # 0: none yet
        ("program", "<i2"),
        ("pitch", "<i2"),  # of a PITCH or a DRUM
        ("duration", "<i2"),
        ("velocity", "i1"),
        ("time_s", "<f8"),  # since the music began
        ("ends", "<i4", (v.NUM_PITCHES,)),  # the step at which each pitch has sounded; drums do not sound on
    ]
)


def bar_steps(meter: np.ndarray) -> np.ndarray:
    """The length of a bar of each METER; 0 where it is not known yet."""
    return np.where(meter >= 0, v.BAR_STEPS[meter], 0)


def seconds_per_step(tempo: np.ndarray) -> np.ndarray:
    """Of each TEMPO; 0 where it is not known yet: until then nothing has begun."""
    return np.where(tempo > 0, 60 / v.STEPS_PER_QUARTER / np.maximum(tempo, 1), 0)


def step_of(state: np.ndarray) -> np.ndarray:
    """The step at which each state stands, counted from the first bar line."""
    return state["bar_start"] + np.maximum(state["position"], 0)
