"""The state machine of the `performance` encoding: Performance RNN's 388 events, BOS and EOS, one id per step.

Within one instant, endings come first, then onsets, each by rising pitch; a VELOCITY comes only where it changes and only
before an onset; a silence is written with the longest shifts first. So every music has exactly one spelling, no note can
last zero time, and what sounds at the end is always closed.

Source of the events: Simon and Oore, "Performance RNN" (2017); the order within an instant is ours.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events.grammar import Context, Grammar, latest, values_at
from lstmusic.events.vocabulary import Vocabulary

NUM_PITCHES = 128
MAX_SHIFT = 100
STEPS_PER_SECOND = 100
VELOCITY_BINS = 32
BAR_S = 2.0  # the events know no meter: a bar is four quarters at 120 qpm, as in the MIDI that decoding writes
MAX_POLYPHONY_FEATURE = 15
AGE_BUCKETS = 41

MUSIC, DONE = range(2)
STATE = np.dtype(
    [
        ("phase", "i1"),
        ("pending", "?"),  # a VELOCITY waits for its onset
        ("velocity", "i1"),  # 0: none yet
        ("last_shift", "i1"),  # the id before was a TIME_SHIFT of this many steps; 0: it was not
        ("on_floor", "<i2"),  # the last pitch struck in this instant; -1: none
        ("off_floor", "<i2"),  # the last pitch ended in this instant; -1: none
        ("time", "<i8"),  # steps of 10 ms since the piece began
        ("onset_time", "<i8"),  # when the last note began; -1: none has
        ("sounding", "?", (NUM_PITCHES,)),
    ]
)
VOCABULARY = Vocabulary(
    [
        ("BOS", 0, 0),
        ("EOS", 0, 0),
        ("NOTE_ON", 0, NUM_PITCHES - 1),
        ("NOTE_OFF", 0, NUM_PITCHES - 1),
        ("TIME_SHIFT", 1, MAX_SHIFT),
        ("VELOCITY", 1, VELOCITY_BINS),
    ]
)
BOS, EOS = VOCABULARY.id("BOS"), VOCABULARY.id("EOS")
NOTE_ONS, NOTE_OFFS, SHIFTS, VELOCITIES = (
    VOCABULARY.slice_of(kind) for kind in ("NOTE_ON", "NOTE_OFF", "TIME_SHIFT", "VELOCITY")
)
PITCHES = np.arange(NUM_PITCHES)


class PerformanceGrammar(Grammar):
    """See the module."""

    vocabulary = VOCABULARY
    group_size = 1
    num_flags = NUM_PITCHES
    feature_sizes = {  # noqa: RUF012 (a constant)
        "onset_age": AGE_BUCKETS,
        "velocity": VELOCITY_BINS + 1,
        "polyphony": MAX_POLYPHONY_FEATURE + 1,
        "on_floor": NUM_PITCHES + 1,
        "off_floor": NUM_PITCHES + 1,
        "pending": 2,
        "shift": 3,
    }

    def start(self, batch: int) -> np.ndarray:
        state = np.zeros(batch, STATE)
        state["on_floor"] = state["off_floor"] = state["onset_time"] = -1
        return state

    def advance(self, state: np.ndarray, ids: np.ndarray) -> None:
        ids = np.asarray(ids, np.int64)
        rows = np.arange(len(state))
        on, off, shift, velocity = (
            VOCABULARY.is_kind(kind, ids) for kind in ("NOTE_ON", "NOTE_OFF", "TIME_SHIFT", "VELOCITY")
        )
        pitch = np.where(on, ids - NOTE_ONS.start, ids - NOTE_OFFS.start)
        state["sounding"][rows[on], pitch[on]] = True
        state["sounding"][rows[off], pitch[off]] = False
        steps = np.where(shift, ids - SHIFTS.start + 1, 0)
        state["time"] += steps
        state["last_shift"] = steps
        for name, mine in (("on_floor", on), ("off_floor", off)):
            state[name] = np.where(shift, -1, np.where(mine, pitch, state[name]))
        state["onset_time"] = np.where(on, state["time"], state["onset_time"])
        state["velocity"] = np.where(velocity, ids - VELOCITIES.start + 1, state["velocity"])
        state["pending"] = velocity
        state["phase"] = np.where(ids == EOS, DONE, state["phase"])

    def trajectory(self, ids: np.ndarray) -> np.ndarray:
        ids = np.asarray(ids, np.int64)
        state = self.start(len(ids))
        on, off, shift, velocity = (
            VOCABULARY.is_kind(kind, ids) for kind in ("NOTE_ON", "NOTE_OFF", "TIME_SHIFT", "VELOCITY")
        )
        steps = np.where(shift, ids - SHIFTS.start + 1, 0)
        state["time"] = np.cumsum(steps) - steps
        state["last_shift"] = np.r_[0, steps[:-1]]
        last_shift, last_on, last_off = latest(shift), latest(on), latest(off)
        state["on_floor"] = np.where(last_on > last_shift, values_at(ids - NOTE_ONS.start, last_on, -1), -1)
        state["off_floor"] = np.where(last_off > last_shift, values_at(ids - NOTE_OFFS.start, last_off, -1), -1)
        state["onset_time"] = values_at(state["time"], last_on, -1)
        state["velocity"] = values_at(ids - VELOCITIES.start + 1, latest(velocity), 0)
        state["pending"] = np.r_[False, velocity[:-1]]
        change = np.zeros((len(ids) + 1, NUM_PITCHES), np.int8)
        change[1:][on, ids[on] - NOTE_ONS.start] = 1
        change[1:][off, ids[off] - NOTE_OFFS.start] = -1
        state["sounding"] = np.cumsum(change, axis=0, dtype=np.int8)[:-1] > 0
        state["phase"] = np.where(latest(ids == EOS) >= 0, DONE, MUSIC)
        return state

    def allowed(self, state: np.ndarray) -> np.ndarray:
        mask = np.zeros((*state.shape, len(VOCABULARY)), bool)
        sounding, pending, velocity = state["sounding"], state["pending"], state["velocity"]
        done = state["phase"] == DONE
        open_ = ~pending & ~done
        free = ~sounding & (state["on_floor"][..., None] < PITCHES) & ~done[..., None]
        no_onset_yet = state["on_floor"] < 0
        mask[..., NOTE_ONS] = free & (velocity > 0)[..., None]
        mask[..., NOTE_OFFS] = sounding & (state["off_floor"][..., None] < PITCHES) & (no_onset_yet & open_)[..., None]
        bins = np.arange(1, VELOCITY_BINS + 1)
        mask[..., VELOCITIES] = (bins != velocity[..., None]) & (free.any(axis=-1) & open_)[..., None]
        may_shift = (state["last_shift"] == 0) | (state["last_shift"] == MAX_SHIFT)
        mask[..., SHIFTS] = (may_shift & (state["onset_time"] >= 0) & open_)[..., None]
        ended = ~sounding.any(axis=-1) & (state["off_floor"] >= 0) & no_onset_yet & open_
        mask[..., EOS] = ended | done
        return mask

    def closing(self, state: np.ndarray) -> np.ndarray:
        # What sounds ends together, lowest pitch first; where nothing does and the piece may not end in a silence, one
        # more note is struck.
        mask = self.allowed(state)
        ends = mask[..., EOS]
        offs = mask[..., NOTE_OFFS].any(axis=-1)
        shifts = mask[..., SHIFTS].any(axis=-1) & state["sounding"].any(axis=-1)
        keep = np.zeros_like(mask)
        keep[..., EOS] = ends
        lowest = np.argmax(mask[..., NOTE_OFFS], axis=-1)
        keep[..., NOTE_OFFS] = (lowest[..., None] == PITCHES) & (~ends & offs)[..., None]
        keep[..., SHIFTS] = (~ends & ~offs & shifts)[..., None]
        keep[..., NOTE_ONS] = keep[..., VELOCITIES] = (~ends & ~offs & ~shifts)[..., None]
        return mask & keep

    def features(self, state: np.ndarray) -> Context:
        since = np.where(state["onset_time"] >= 0, state["time"] - state["onset_time"], 0)
        age = np.minimum(np.floor(4 * np.log2(1.0 + since)), AGE_BUCKETS - 1)
        polyphony = np.minimum(state["sounding"].sum(axis=-1), MAX_POLYPHONY_FEATURE)
        shift = (state["last_shift"] > 0).astype(np.int16) + (state["last_shift"] == MAX_SHIFT)
        columns = [
            age,
            state["velocity"],
            polyphony,
            state["on_floor"] + 1,
            state["off_floor"] + 1,
            state["pending"],
            shift,
        ]
        return Context(np.stack(columns, axis=-1).astype(np.int16), state["sounding"])

    def finished(self, state: np.ndarray) -> np.ndarray:
        return state["phase"] == DONE

    def length(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seconds = state["time"] / STEPS_PER_SECOND
        return seconds / BAR_S, seconds
