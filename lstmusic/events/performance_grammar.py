"""The state machine of the `performance` encoding: Performance RNN's 388 events, BOS and EOS, one id per step.

Within one instant, endings come first, then onsets, each by rising pitch; a VELOCITY comes only where it changes and only
before an onset; a silence is written with the longest shifts first. So every music has exactly one spelling, no note can
last zero time, and what sounds at the end is always closed.

Source of the events: Simon and Oore, "Performance RNN" (2017); the order within an instant is ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstmusic.events.grammar import Context, Grammar, latest, values_at, whole_steps
from lstmusic.events.vocabulary import Vocabulary

NUM_PITCHES = 128
MAX_SHIFT = 100
STEPS_PER_SECOND = 100
VELOCITY_BINS = 32
BAR_S = 2.0  # the events know no meter: a bar is four quarters at 120 qpm, as in the MIDI that decoding writes
MAX_POLYPHONY_FEATURE = 15
AGE_BUCKETS = 41
BINS = np.arange(1, VELOCITY_BINS + 1)

MUSIC, DONE = range(2)
PEDAL = NUM_PITCHES  # the key that the sustain pedal is
BOS, EOS = 0, 1
STATE_FIELDS = [
    ("phase", "i1"),
    ("pending", "?"),  # a VELOCITY waits for its onset
    ("velocity", "i1"),  # 0: none yet
    ("last_shift", "i1"),  # the id before was a TIME_SHIFT of this many steps; 0: it was not
    ("on_floor", "<i2"),  # the last key struck in this instant; -1: none
    ("off_floor", "<i2"),  # the last key let go in this instant; -1: none
    ("time", "<i8"),  # steps of 10 ms since the piece began
    ("onset_time", "<i8"),  # when the last note began; -1: none has
]


class Notes(NamedTuple):
    """Notes, and the pedal as notes of the key PEDAL, in steps of 10 ms; int64 [N] each."""

    onset: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity_bin: np.ndarray


class PerformanceGrammar(Grammar):
    """See the module.

    Attributes:
        num_keys: pitches, and the pedal where there is one.
        ons, offs, shifts, velocities: the ids (slices) of what begins and ends a key, of time and of velocity.
    """

    group_size = 1

    def __init__(self, pedals: bool = False) -> None:
        self.num_keys = NUM_PITCHES + pedals
        notes = [
            ("NOTE_ON", 0, NUM_PITCHES - 1),
            ("PEDAL_DOWN", 0, 0),
            ("NOTE_OFF", 0, NUM_PITCHES - 1),
            ("PEDAL_UP", 0, 0),
        ]
        self.vocabulary = Vocabulary(
            [
                ("BOS", 0, 0),
                ("EOS", 0, 0),
                *(row for row in notes if pedals or row[0].startswith("NOTE")),
                ("TIME_SHIFT", 1, MAX_SHIFT),
                ("VELOCITY", 1, VELOCITY_BINS),
            ]
        )
        on, off = self.vocabulary.id("NOTE_ON"), self.vocabulary.id("NOTE_OFF")
        self.ons, self.offs = slice(on, on + self.num_keys), slice(off, off + self.num_keys)
        self.shifts, self.velocities = self.vocabulary.slice_of("TIME_SHIFT"), self.vocabulary.slice_of("VELOCITY")
        self.state_dtype = np.dtype([*STATE_FIELDS, ("sounding", "?", (self.num_keys,))])
        self.keys = np.arange(self.num_keys)
        self.num_flags = self.num_keys
        self.feature_sizes = {
            "onset_age": AGE_BUCKETS,
            "velocity": VELOCITY_BINS + 1,
            "polyphony": MAX_POLYPHONY_FEATURE + 1,
            "on_floor": self.num_keys + 1,
            "off_floor": self.num_keys + 1,
            "pending": 2,
            "shift": 3,
        }

    def start(self, batch: int) -> np.ndarray:
        state = np.zeros(batch, self.state_dtype)
        state["on_floor"] = state["off_floor"] = state["onset_time"] = -1
        return state

    def kinds(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
        """bool [N] each: what begins a key, what ends one, shifts, velocities."""
        return tuple((ids >= s.start) & (ids < s.stop) for s in (self.ons, self.offs, self.shifts, self.velocities))

    def advance(self, state: np.ndarray, ids: np.ndarray) -> None:
        ids = np.asarray(ids, np.int64)
        rows = np.arange(len(state))
        on, off, shift, velocity = self.kinds(ids)
        pitch = np.where(on, ids - self.ons.start, ids - self.offs.start)
        state["sounding"][rows[on], pitch[on]] = True
        state["sounding"][rows[off], pitch[off]] = False
        steps = np.where(shift, ids - self.shifts.start + 1, 0)
        state["time"] += steps
        state["last_shift"] = steps
        for name, mine in (("on_floor", on), ("off_floor", off)):
            state[name] = np.where(shift, -1, np.where(mine, pitch, state[name]))
        is_note = on & (pitch < PEDAL)
        state["onset_time"] = np.where(is_note, state["time"], state["onset_time"])
        state["velocity"] = np.where(velocity, ids - self.velocities.start + 1, state["velocity"])
        state["pending"] = velocity
        state["phase"] = np.where(ids == EOS, DONE, state["phase"])

    def trajectory(self, ids: np.ndarray) -> np.ndarray:
        ids = np.asarray(ids, np.int64)
        state = self.start(len(ids))
        on, off, shift, velocity = self.kinds(ids)
        steps = np.where(shift, ids - self.shifts.start + 1, 0)
        state["time"] = np.cumsum(steps) - steps
        state["last_shift"] = np.r_[0, steps[:-1]]
        last_shift, last_on, last_off = latest(shift), latest(on), latest(off)
        state["on_floor"] = np.where(last_on > last_shift, values_at(ids - self.ons.start, last_on, -1), -1)
        state["off_floor"] = np.where(last_off > last_shift, values_at(ids - self.offs.start, last_off, -1), -1)
        last_note = latest(on & (ids < self.ons.start + PEDAL))
        state["onset_time"] = values_at(state["time"], last_note, -1)
        state["velocity"] = values_at(ids - self.velocities.start + 1, latest(velocity), 0)
        state["pending"] = np.r_[False, velocity[:-1]]
        # In legal ids a key sounds after every other event of its own; eight keys to a word
        change = np.zeros((len(ids) + 1, -(-self.num_keys // 8) * 8), np.uint8)
        change[1:][on, ids[on] - self.ons.start] = 1
        change[1:][off, ids[off] - self.offs.start] = 1
        odd = np.bitwise_xor.accumulate(change.view(np.uint64)[:-1], axis=0)
        state["sounding"] = odd.view(bool)[:, : self.num_keys]
        state["phase"] = np.where(latest(ids == EOS) >= 0, DONE, MUSIC)
        return state

    def allowed(self, state: np.ndarray) -> np.ndarray:
        mask = np.zeros((*state.shape, len(self.vocabulary)), bool)
        each, sounding = state[..., None], state["sounding"]
        mask[..., self.ons] = self._may_strike(each, self.keys, sounding)
        mask[..., self.offs] = self._may_release(each, self.keys, sounding)
        mask[..., self.velocities] = self._may_set(state)[..., None] & (each["velocity"] != BINS)
        mask[..., self.shifts] = self._may_shift(each)
        mask[..., EOS] = self._may_end(state)
        return mask

    def permits(self, state: np.ndarray, ids: np.ndarray) -> np.ndarray:
        ok = np.zeros(len(ids), bool)
        on, off, shift, velocity = (np.flatnonzero(mine) for mine in self.kinds(ids))
        for may, at, first in ((self._may_strike, on, self.ons.start), (self._may_release, off, self.offs.start)):
            key = ids[at] - first
            ok[at] = may(state[at], key, state["sounding"][at, key])
        ok[velocity] = self._may_set(state[velocity])
        ok[velocity] &= ids[velocity] - self.velocities.start + 1 != state["velocity"][velocity]
        ok[shift] = self._may_shift(state[shift])
        ended = np.flatnonzero(ids == EOS)
        ok[ended] = self._may_end(state[ended])
        return ok

    @staticmethod
    def _is_open(state: np.ndarray) -> np.ndarray:
        return ~state["pending"] & (state["phase"] != DONE)

    def _may_strike(self, state: np.ndarray, key: np.ndarray, sounds: np.ndarray) -> np.ndarray:
        ready = (state["velocity"] > 0) & (state["phase"] != DONE)
        pedal_ready = ready & ~state["pending"] & (state["off_floor"] != PEDAL)
        return ~sounds & (state["on_floor"] < key) & np.where(key < PEDAL, ready, pedal_ready)

    def _may_release(self, state: np.ndarray, key: np.ndarray, sounds: np.ndarray) -> np.ndarray:
        return sounds & (state["off_floor"] < key) & ((state["on_floor"] < 0) & self._is_open(state))

    def _may_set(self, state: np.ndarray) -> np.ndarray:
        """Whether another velocity may come: where some pitch can still be struck."""
        free = ~state["sounding"][..., :PEDAL] & (state["on_floor"][..., None] < self.keys[:PEDAL])
        return free.any(axis=-1) & self._is_open(state)

    def _may_shift(self, state: np.ndarray) -> np.ndarray:
        whole = (state["last_shift"] == 0) | (state["last_shift"] == MAX_SHIFT)
        return whole & (state["onset_time"] >= 0) & self._is_open(state)

    def _may_end(self, state: np.ndarray) -> np.ndarray:
        silent = ~state["sounding"].any(axis=-1) & (state["off_floor"] >= 0) & (state["on_floor"] < 0)
        return silent & self._is_open(state) | (state["phase"] == DONE)

    def closing(self, state: np.ndarray) -> np.ndarray:
        # What sounds ends together, lowest pitch first; where nothing does and the piece may not end in a silence, one
        # more note is struck.
        mask = self.allowed(state)
        ends = mask[..., EOS]
        offs = mask[..., self.offs].any(axis=-1)
        shifts = mask[..., self.shifts].any(axis=-1) & state["sounding"].any(axis=-1)
        keep = np.zeros_like(mask)
        keep[..., EOS] = ends
        lowest = np.argmax(mask[..., self.offs], axis=-1)
        keep[..., self.offs] = (lowest[..., None] == self.keys) & (~ends & offs)[..., None]
        keep[..., self.shifts] = (~ends & ~offs & shifts)[..., None]
        keep[..., self.ons] = (self.keys < PEDAL) & (~ends & ~offs & ~shifts)[..., None]
        keep[..., self.velocities] = (~ends & ~offs & ~shifts)[..., None]
        return mask & keep

    def crowd(self, state: np.ndarray) -> np.ndarray:
        # A VELOCITY obliges to an onset. The pedal is no note.
        crowd = np.zeros((*state.shape, len(self.vocabulary)), np.int16)
        notes = 1 + state["sounding"][..., :PEDAL].sum(axis=-1)[..., None]
        crowd[..., self.ons.start : self.ons.start + PEDAL] = notes
        crowd[..., self.velocities] = notes
        return crowd

    def within(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        left = self.steps_left(state, bars, seconds)
        mask = np.ones((*state.shape, len(self.vocabulary)), bool)
        mask[..., EOS] = np.isinf(left)
        # A piece ends where something is let go: a silence must leave time for one more note.
        longest = left - ~state["sounding"].any(axis=-1)
        mask[..., self.shifts] = np.arange(1, MAX_SHIFT + 1) <= longest[..., None]
        return mask

    def steps_left(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        return np.broadcast_to(whole_steps(np.minimum(bars * BAR_S, seconds) * STEPS_PER_SECOND), state.shape)

    def features(self, state: np.ndarray) -> Context:
        since = np.where(state["onset_time"] >= 0, state["time"] - state["onset_time"], 0)
        age = np.minimum(np.floor(4 * np.log2(1.0 + since)), AGE_BUCKETS - 1)
        polyphony = np.minimum(state["sounding"][..., :PEDAL].sum(axis=-1), MAX_POLYPHONY_FEATURE)
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
