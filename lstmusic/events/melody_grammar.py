"""The state machine of the `melody` encoding: one voice, two ids a step: what sounds, and for how long.

A tune is a BOS group, two header groups (METER and KEY; TEMPO and POSITION, the first note's place in its bar), music
groups and an EOS group. A music group is PITCH, HOLD or REST with its DURATION, or METER with KEY where one of them
changes. After the longest DURATION and after a change, HOLD goes on with the note and REST with the silence, and only
there; a tune begins and ends with a note; a change changes something. So every tune has exactly one spelling.

The task is folk-rnn's (Sturm, Santos, Ben-Tal and Korshunova, 2016); the events and their grouping are ours.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events.grammar import TOLERANCE, Context, Grammar, latest, values_at, whole_steps
from lstmusic.events.melody_vocabulary import (
    BAR_STEPS,
    BEAT_STEPS,
    CHANGE,
    DURATIONS,
    END,
    EOS,
    GROUP_SIZE,
    HEADER,
    HOLD,
    HOLD_ID,
    KEYS,
    LOWEST_QPM,
    MAX_DURATION,
    METER_IDS,
    METERS,
    NOTE,
    NUM_PITCHES,
    PITCHES,
    POSITIONS,
    REST,
    REST_ID,
    STEPS_PER_QUARTER,
    TEMPI,
    UNKNOWN_KEY,
    VOCABULARY,
    kinds_of,
)

STRAIN_BARS = 8  # folk tunes are made of strains of eight bars
WIDEST_INTERVAL = 12
NUM_RECENT = 96  # notes that a state remembers
NEVER = -(2**30)  # the onset of a note that there was not
ECHO_BARS = (1, 2, 4, 8)  # how far back a tune is likely to repeat itself
LONGEST_ECHO = 4 * STEPS_PER_QUARTER

METER_AND_KEY, TEMPO_AND_POSITION, MUSIC, DONE = range(4)  # phases
STATE = np.dtype(
    [
        ("phase", "i1"),
        ("member", "i1"),
        ("group", "i1"),  # what the group at hand is, or between groups the one before
        ("meter", "i1"),  # -1 until its id has come; likewise the three below
        ("key", "i1"),
        ("tempo", "<i2"),
        ("position", "<i2"),
        ("step", "<i4"),  # steps of music completed
        ("origin", "<i4"),  # where the bars of this meter are counted from; before 0 with a pickup
        ("bars", "<i4"),  # whole bars completed at the origin; -1 with a pickup, which is none
        ("duration", "<i2"),  # the last DURATION; 0: none yet
        ("sounding", "?"),  # a note sounds, rather than a rest
        ("onsets", "<i4", (NUM_RECENT,)),  # the steps of the last notes, the latest one last
        ("pitches", "<i2", (NUM_RECENT,)),  # -1: none yet
    ]
)
UNKNOWN_YET = ("meter", "key", "tempo", "position", "pitches")


class MelodyGrammar(Grammar):
    """See the module."""

    vocabulary = VOCABULARY
    group_size = GROUP_SIZE
    num_flags = 0
    feature_sizes = {  # noqa: RUF012 (a constant)
        "slot": 10,
        "meter": len(METERS) + 1,
        "key": UNKNOWN_KEY + 2,
        "place_in_bar": int(BAR_STEPS.max()),
        "place_in_beat": int(BEAT_STEPS.max()),
        "bar_in_strain": STRAIN_BARS,
        "pitch": NUM_PITCHES + 1,
        "degree": 13,
        "interval": 2 * WIDEST_INTERVAL + 2,
        "duration": MAX_DURATION + 1,
        "sounding": 2,
        **{f"pitch_{bars}_bars_ago": NUM_PITCHES + 1 for bars in ECHO_BARS},
        **{f"until_next_{bars}_bars_ago": LONGEST_ECHO + 1 for bars in ECHO_BARS},
    }

    def start(self, batch: int) -> np.ndarray:
        state = np.zeros(batch, STATE)
        for name in UNKNOWN_YET:
            state[name] = -1
        state["onsets"] = NEVER
        return state

    def advance(self, state: np.ndarray, ids: np.ndarray) -> None:
        ids = np.asarray(ids, np.int64)
        first, second = state["member"] == 0, state["member"] == 1
        music = state["phase"] == MUSIC
        kind = np.where(music & first, kinds_of(ids), HEADER)
        self._turn(state, ids, kind == CHANGE)
        for name in ("meter", "key", "tempo", "position"):
            here = VOCABULARY.is_kind(name.upper(), ids)
            state[name][here] = VOCABULARY.values(name.upper(), ids[here])
        pickup = VOCABULARY.is_kind("POSITION", ids) & (state["position"] > 0)
        state["origin"][pickup] = -state["position"][pickup]
        state["bars"][pickup] = -1
        struck = kind == NOTE
        for name, values in (("pitches", ids - PITCHES.start), ("onsets", state["step"])):
            state[name][struck] = np.c_[state[name][struck, 1:], values[struck]]
        lasting = np.isin(kind, (NOTE, HOLD, REST))
        state["sounding"][lasting] = kind[lasting] != REST
        state["group"] = np.where(music & first, kind, state["group"])
        timed = VOCABULARY.is_kind("DURATION", ids)
        state["duration"][timed] = VOCABULARY.values("DURATION", ids[timed])
        state["step"][timed] += state["duration"][timed]
        state["phase"] += second & (~music | (state["group"] == END)) & (state["phase"] < DONE)
        state["member"] = first

    @staticmethod
    def _turn(state: np.ndarray, ids: np.ndarray, change: np.ndarray) -> None:
        """A new meter begins a bar, whether or not the bar before it is whole."""
        turned = change & (VOCABULARY.values("METER", ids) != state["meter"])
        bars = -(-(state["step"] - state["origin"]) // _of_meter(BAR_STEPS, state))
        state["bars"][turned] += bars[turned]
        state["origin"][turned] = state["step"][turned]

    def trajectory(self, ids: np.ndarray) -> np.ndarray:
        ids = np.asarray(ids, np.int64)
        place, state = np.arange(len(ids)), self.start(len(ids))
        state["member"] = np.where(place < GROUP_SIZE, 0, place % GROUP_SIZE)
        ended = latest((ids == EOS) & (place % GROUP_SIZE == 1)) >= 0
        state["phase"] = np.where(ended, DONE, np.clip(place // GROUP_SIZE - 1, METER_AND_KEY, MUSIC))
        begins = (place >= 3 * GROUP_SIZE) & (place % GROUP_SIZE == 0)
        kind = np.where(begins, kinds_of(ids), HEADER)
        state["group"] = values_at(kind, latest(begins), HEADER)
        for name in ("meter", "key", "tempo", "position"):
            here = latest(VOCABULARY.is_kind(name.upper(), ids))
            state[name] = values_at(VOCABULARY.values(name.upper(), ids), here, -1)
        state["sounding"] = values_at(kind != REST, latest(np.isin(kind, (NOTE, HOLD, REST))), False)
        timed, duration = VOCABULARY.is_kind("DURATION", ids), VOCABULARY.values("DURATION", ids)
        state["duration"] = values_at(duration, latest(timed), 0)
        state["step"] = np.cumsum(timed * duration) - timed * duration
        struck = kind == NOTE
        for name, values, none in (("pitches", ids - PITCHES.start, -1), ("onsets", state["step"], NEVER)):
            known = np.r_[np.full(NUM_RECENT, none), values[struck]]
            state[name] = np.lib.stride_tricks.sliding_window_view(known, NUM_RECENT)[np.cumsum(struck) - struck]
        state["origin"] = np.minimum(-state["position"], 0)
        state["bars"] = -(state["position"] > 0).astype(np.int64)
        for at in np.flatnonzero(kind == CHANGE):
            row = state[at : at + 1].copy()
            self._turn(row, ids[at : at + 1], np.ones(1, bool))
            state["origin"][at + 1 :], state["bars"][at + 1 :] = row["origin"], row["bars"]
        return state

    def allowed(self, state: np.ndarray) -> np.ndarray:
        mask = np.zeros((*state.shape, len(VOCABULARY)), bool)
        phase, first, kind = state["phase"], state["member"] == 0, state["group"]
        headers = ((METER_AND_KEY, METER_IDS, KEYS), (TEMPO_AND_POSITION, TEMPI, POSITIONS))
        for header, one, two in headers:
            mask[..., one] = ((phase == header) & first)[..., None]
            mask[..., two] = ((phase == header) & ~first)[..., None]
        mask[..., POSITIONS] &= np.arange(BAR_STEPS.max()) < _of_meter(BAR_STEPS, state)[..., None]
        begun = (phase == MUSIC) & first
        later, changed = begun & (state["pitches"][..., -1] >= 0), kind == CHANGE
        cut = changed | (state["duration"] == MAX_DURATION)  # so that what lasts may last on
        mask[..., PITCHES] = begun[..., None]
        mask[..., HOLD_ID] = later & state["sounding"] & cut
        mask[..., REST_ID] = later & (state["sounding"] | cut)
        mask[..., METER_IDS] |= (later & ~changed)[..., None] & self._meters(state)
        second = (phase == MUSIC) & ~first
        mask[..., DURATIONS] = (second & np.isin(kind, (NOTE, HOLD, REST)))[..., None]
        mask[..., KEYS] |= (second & changed)[..., None] & self._keys(state)
        mask[..., EOS] = (later & state["sounding"] & ~changed) | (second & (kind == END)) | (phase == DONE)
        return mask

    @staticmethod
    def _meters(state: np.ndarray) -> np.ndarray:
        """bool [..., meters]: those that a change may name: any, but before the first bar line only the one that is."""
        line = state["origin"] + np.where(state["origin"] < 0, _of_meter(BAR_STEPS, state), 0)
        same = np.arange(len(METERS)) == state["meter"][..., None]
        return same | (state["step"] >= line)[..., None]

    @staticmethod
    def _keys(state: np.ndarray) -> np.ndarray:
        """bool [..., keys]: those that a change may name: another one unless the meter is new; never "unknown" again."""
        keys = np.arange(UNKNOWN_KEY + 1)
        same = keys == state["key"][..., None]
        turned = (state["origin"] == state["step"])[..., None]
        return np.where(same, turned, keys != UNKNOWN_KEY)

    def closing(self, state: np.ndarray) -> np.ndarray:
        mask = self.allowed(state)
        between = (state["phase"] == MUSIC) & (state["member"] == 0)
        end, strike = np.zeros((2, len(VOCABULARY)), bool)
        end[EOS] = strike[PITCHES] = True
        ready = mask[..., EOS]
        mask[between & ready] = end
        mask[between & ~ready] = strike  # a tune ends with a note
        return mask

    def key_ids(self, state: np.ndarray, number: int) -> np.ndarray:
        left = np.tile(VOCABULARY.without_others("KEY", number), (*state.shape, 1))
        # A change changes something: one to the same meter would be one to another key.
        same_meter = np.arange(len(METERS)) == state["meter"][..., None]
        left[..., METER_IDS] &= ~(same_meter & (state["key"] == number)[..., None])
        return left

    def crowd(self, state: np.ndarray) -> np.ndarray:
        crowd = np.zeros((*state.shape, len(VOCABULARY)), np.int16)
        crowd[..., PITCHES] = 1
        return crowd

    def within(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        left = self.steps_left(state, bars, seconds)
        mask = np.ones((*state.shape, len(VOCABULARY)), bool)
        mask[..., EOS] = np.isinf(left)
        # A tune ends with a note: a rest leaves a step for it.
        mask[..., REST_ID] = left > 1
        longest = left - (state["group"] == REST)
        mask[..., DURATIONS] = np.arange(1, MAX_DURATION + 1) <= longest[..., None]
        mask[..., METER_IDS] = (state["phase"] != MUSIC)[..., None] | self._meters_that_fit(state, bars)
        return mask

    @staticmethod
    def _meters_that_fit(state: np.ndarray, bars: np.ndarray | float) -> np.ndarray:
        """bool [..., meters]: the present one, and those in which something is left once the bar at hand is filled up."""
        counted = _bars_counted(state)
        after = bars - np.minimum(counted, 0) - (np.ceil(counted - TOLERANCE) - counted)
        same = np.arange(len(METERS)) == state["meter"][..., None]
        return same | (whole_steps(np.asarray(after)[..., None] * BAR_STEPS) >= 1)

    def steps_left(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        to_bar_line = np.minimum(_bars_counted(state), 0)  # a pickup takes nothing off the bars that are left
        by_bars = whole_steps((bars - to_bar_line) * _of_meter(BAR_STEPS, state))
        return np.minimum(by_bars, whole_steps(seconds / _seconds_per_step(state)))

    def features(self, state: np.ndarray) -> Context:
        phase, member, kind = state["phase"], state["member"], state["group"]
        music = phase == MUSIC
        slot = np.where(music, np.where(member == 0, 4, 4 + kind), 2 * phase + member)
        slot = np.where(phase == DONE, 4 + END, slot)
        since = np.where(music, state["step"] - state["origin"], 0)
        bar = _of_meter(BAR_STEPS, state)
        known = (state["key"] >= 0) & (state["key"] < UNKNOWN_KEY) & (state["pitches"][..., -1] >= 0)
        pitch, before = state["pitches"][..., -1], state["pitches"][..., -2]
        degree = np.where(known, (pitch - state["key"] % 12) % 12, 12)
        leap = np.clip(pitch - before, -WIDEST_INTERVAL, WIDEST_INTERVAL)
        interval = np.where(before >= 0, leap + WIDEST_INTERVAL + 1, 0)
        columns = [slot, state["meter"] + 1, state["key"] + 1]
        columns += [
            since % bar,
            since % bar % _of_meter(BEAT_STEPS, state),
            (state["bars"] + since // bar) % STRAIN_BARS,
        ]
        columns += [pitch + 1, degree, interval, state["duration"], state["sounding"]]
        echoes = [self._echo(state, bars * bar) for bars in ECHO_BARS]
        columns += [column for echo in zip(*echoes, strict=True) for column in echo]
        return Context(np.stack(columns, axis=-1).astype(np.int16), np.zeros((*state.shape, 0), bool))

    @staticmethod
    def _echo(state: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What happened so many steps before: the pitch struck then plus 1 (0: none), and the steps from then to the next
        onset (0: more than LONGEST_ECHO).
        """
        then = state["step"] - back
        gone = state["onsets"] - then[..., None]
        pitch = np.where(gone == 0, state["pitches"] + 1, 0).max(axis=-1)
        until = np.where(gone > 0, gone, LONGEST_ECHO + 1).min(axis=-1)
        return pitch, np.where(until > LONGEST_ECHO, 0, until)

    def finished(self, state: np.ndarray) -> np.ndarray:
        return state["phase"] == DONE

    def length(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.maximum(_bars_counted(state), 0), state["step"] * _seconds_per_step(state)


def _bars_counted(state: np.ndarray) -> np.ndarray:
    """Bars from the first bar line, float [...]: a pickup is part of none, there the count is negative."""
    return state["bars"] + (state["step"] - state["origin"]) / _of_meter(BAR_STEPS, state)


def _seconds_per_step(state: np.ndarray) -> np.ndarray:
    """At each state's tempo; at the lowest where it is not known yet."""
    return 60.0 / STEPS_PER_QUARTER / np.maximum(state["tempo"], LOWEST_QPM)


def _of_meter(steps: np.ndarray, state: np.ndarray) -> np.ndarray:
    """BAR_STEPS or BEAT_STEPS of each state's meter; of the first one where it is not known yet."""
    return steps[np.clip(state["meter"], 0, len(METERS) - 1)]
