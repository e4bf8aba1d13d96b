"""The state machine of the `metrical` encoding: bars, positions in them and the notes there, of any number of instruments.

Music is a list of groups: a bar (BAR, METER, KEY), a tempo (POSITION, TEMPO) or a note (POSITION, PROGRAM, PITCH or DRUM,
DURATION, VELOCITY). The grouped form fills every group to five ids with PAD. The flat form leaves out PAD, a POSITION that
its bar has just stated and a PROGRAM that the note before had; both forms carry the same music, so that their nats per
note compare.

Every music has exactly one spelling. At one position the tempo comes first, and only where it changes, then the notes by
rising program, pitch, duration and velocity; equal notes may follow each other (two violins in unison). The first group
after the first bar states the tempo, and where it stands the music begins: what lies before is the missing part of an
incomplete bar. The first bar holds a note, and so does the last. After it comes one more BAR, the final bar line, and only
there a piece may end: a song that is to be eight bars long ends where the ninth would begin, its last chord complete. KEY
is unknown only until one is stated.
"""

from __future__ import annotations

import numpy as np

from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.grammar import Context, Grammar, latest, values_at

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
UNKNOWN_YET = ("position", "meter", "program", "pitch", "duration", "velocity")
LATEST = {
    "meter": v.METER,
    "key": v.KEY,
    "tempo": v.TEMPO,
    "program": v.PROGRAM,
    "duration": v.DURATION,
    "velocity": v.VELOCITY,
}
MAX_COUNT_FEATURE = 15
QPM_PER_FEATURE = 20
PHRASE_BARS = 8


def bar_steps(meter: np.ndarray) -> np.ndarray:
    """The length of a bar of each METER; 0 where it is not known yet."""
    return np.where(meter >= 0, v.BAR_STEPS[meter], 0)


def seconds_per_step(tempo: np.ndarray) -> np.ndarray:
    """Of each TEMPO; 0 where it is not known yet: until then nothing has begun."""
    return np.where(tempo > 0, 60 / v.STEPS_PER_QUARTER / np.maximum(tempo, 1), 0)


def step_of(state: np.ndarray) -> np.ndarray:
    """The step at which each state stands, counted from the first bar line."""
    return state["bar_start"] + np.maximum(state["position"], 0)


class MetricalGrammar(Grammar):
    """See the module."""

    vocabulary = v.VOCABULARY
    num_flags = v.NUM_PITCHES
    feature_sizes = {  # noqa: RUF012 (a constant)
        "slot": DONE + 1,
        "position": v.MAX_BAR + 1,
        "step_of_quarter": v.STEPS_PER_QUARTER + 1,
        "bar": PHRASE_BARS,
        "meter": len(v.METERS) + 1,
        "key": v.NUM_KEYS + 1,
        "tempo": v.HIGHEST_QPM // QPM_PER_FEATURE + 1,
        "program": v.DRUM_KIT + 2,
        "pitch": v.NUM_PITCHES + 1,
        "duration": len(v.DURATION_STEPS) + 1,
        "velocity": v.VELOCITY_BINS + 2,
        "count": MAX_COUNT_FEATURE + 1,
        "polyphony": MAX_COUNT_FEATURE + 1,
        "tied": 2,
    }

    def __init__(self, grouped: bool = True) -> None:
        self.grouped = grouped
        self.group_size = v.GROUP_SIZE if grouped else 1
        self.next = NEXT.copy()
        if grouped:
            self.next[[v.KEY, v.TEMPO, v.PAD]] = AT_PAD
        self.next[v.EOS] = ENDING if grouped else DONE

    def start(self, batch: int) -> np.ndarray:
        state = np.zeros(batch, STATE)
        for name in UNKNOWN_YET:
            state[name] = -1
        return state

    def _slot(self, kind: np.ndarray, member: np.ndarray) -> np.ndarray:
        """What follows an id of a kind, `member` being the place of what follows."""
        between = (member == 0) if self.grouped else np.zeros(np.shape(member), bool)
        return np.where(between, np.where(kind == v.EOS, DONE, OPEN), self.next[kind])

    def advance(self, state: np.ndarray, ids: np.ndarray) -> None:
        kind, value = v.KIND[ids], v.VALUE[ids]
        bar, position, closed = kind == v.BAR, kind == v.POSITION, kind == v.VELOCITY
        pitch = (kind == v.PITCH) | (kind == v.DRUM)
        moved = position & (value != state["position"])
        other = {kind_: (kind == kind_) & (value != state[name]) for name, kind_ in LATEST.items()}
        unlike = other[v.PROGRAM] | other[v.DURATION] | pitch & (value != state["pitch"])
        state["tied"] = closed | state["tied"] & ~(bar | moved | unlike)
        before, tempo = step_of(state), state["tempo"].copy()
        state["struck_before"] = np.where(bar, state["struck"], state["struck_before"])
        state["struck"] = closed | state["struck"] & ~bar
        state["bar_start"] += np.where(bar & (state["bars"] > 0), bar_steps(state["meter"]), 0)
        state["bars"] += bar
        state["position"] = np.where(bar, -1, np.where(position, value, state["position"]))
        state["fresh"] = moved
        state["count"] = np.where(bar | moved, 0, state["count"] + closed)
        for name, kind_ in LATEST.items():
            state[name] = np.where(kind == kind_, value, state[name])
        state["pitch"] = np.where(pitch, value, state["pitch"])
        step = step_of(state)
        state["time_s"] += (step - before) * seconds_per_step(tempo)
        rows = np.flatnonzero(closed & (state["program"] != v.DRUM_KIT))
        at = (rows, state["pitch"][rows])
        state["ends"][at] = np.maximum(state["ends"][at], step[rows] + v.DURATION_STEPS[state["duration"][rows]])
        state["member"] = (state["member"] + 1) % self.group_size
        state["slot"] = np.where(state["slot"] == DONE, DONE, self._slot(kind, state["member"]))

    def trajectory(self, ids: np.ndarray) -> np.ndarray:
        ids = np.asarray(ids, np.int64)
        n, state = len(ids), self.start(len(ids))
        kind, value = v.KIND[ids], v.VALUE[ids]
        bar, position, closed = kind == v.BAR, kind == v.POSITION, kind == v.VELOCITY
        pitch = (kind == v.PITCH) | (kind == v.DRUM)
        last_bar, last_position = latest(bar), latest(position)
        for name, kind_ in LATEST.items():
            state[name] = values_at(value, latest(kind == kind_), state[name][0])
        state["pitch"] = values_at(value, latest(pitch), -1)
        state["position"] = np.where(last_position > last_bar, values_at(value, last_position, -1), -1)
        moved = position & (value != state["position"])
        state["fresh"] = np.r_[False, moved[:-1]]
        notes = np.cumsum(closed) - closed
        state["count"] = notes - values_at(notes, latest(bar | moved), 0)
        unlike = (kind == v.PROGRAM) & (value != state["program"]) | (kind == v.DURATION) & (value != state["duration"])
        unlike |= pitch & (value != state["pitch"])
        state["tied"] = latest(closed) > latest(bar | moved | unlike)
        state["bars"] = np.cumsum(bar) - bar
        length = np.where(bar & (state["bars"] > 0), bar_steps(state["meter"]), 0)
        state["bar_start"] = np.cumsum(length) - length
        state["struck"] = latest(closed) > last_bar
        state["struck_before"] = values_at(state["struck"], last_bar, False)
        step = step_of(state)
        state["time_s"][1:] = np.cumsum(np.diff(step) * seconds_per_step(state["tempo"][:-1]))
        self._fill_ends(state, np.flatnonzero(closed), notes)
        state["member"] = np.arange(n) % self.group_size
        state["slot"] = self._slot(np.r_[v.BOS, kind[:-1]], state["member"])
        state[: self.group_size] = self.start(1)  # the BOS group's rows hold the start state
        return state

    @staticmethod
    def _fill_ends(state: np.ndarray, closing: np.ndarray, notes: np.ndarray) -> None:
        """Fill `ends` of states [N]; ids in the rows `closing` end a note, `notes` [N] counts those before."""
        rows = state[["program", "pitch", "duration"]][closing]
        end = step_of(state)[closing] + v.DURATION_STEPS[rows["duration"]]
        ends = np.zeros((len(closing) + 1, v.NUM_PITCHES), np.int32)
        ends[np.arange(1, len(ends)), rows["pitch"]] = np.where(rows["program"] == v.DRUM_KIT, 0, end)
        state["ends"] = np.maximum.accumulate(ends, axis=0)[notes]

    def allowed(self, state: np.ndarray) -> np.ndarray:
        state = np.asarray(state)
        rows = state.reshape(-1)
        mask = np.zeros((len(rows), len(v.VOCABULARY)), bool)
        by_slot = {
            OPEN: self._open,
            EVENT: self._event,
            AT_METER: lambda mask, rows, at: self._put(mask, at, v.METER, True),
            AT_KEY: self._keys,
            AT_PITCH: self._pitches,
            AT_DURATION: lambda mask, rows, at: self._not_below(mask, rows, at, v.DURATION),
            AT_VELOCITY: lambda mask, rows, at: self._not_below(mask, rows, at, v.VELOCITY),
            AT_PAD: lambda mask, rows, at: self._put(mask, at, v.PAD, True),
        }
        # Only the rows that stand before a slot are looked at for it: most of the vocabulary is closed to most rows.
        for slot, fill in by_slot.items():
            at = np.flatnonzero(rows["slot"] == slot)
            if len(at):
                fill(mask, rows, at)
        mask[:, v.EOS] |= rows["slot"] >= ENDING
        return mask.reshape(*state.shape, len(v.VOCABULARY))

    @staticmethod
    def _put(mask: np.ndarray, at: np.ndarray, kind: int, values: np.ndarray | bool) -> None:
        """Allow ids of one kind in the rows `at`: which of them, bool [len(at), ids of the kind]."""
        mask[at, v.IDS[kind]] = values

    def _open(self, mask: np.ndarray, rows: np.ndarray, at: np.ndarray) -> None:
        """A bar, a later position, another note at this one, or the end."""
        bars, position, struck = (rows[name][at] for name in ("bars", "position", "struck"))
        mask[at, v.BAR] = struck | (bars != 1)  # the first bar holds a note
        lowest = position + 1
        if self.grouped:
            lowest = np.maximum(position, 0)
        else:
            self._notes(mask, rows, at[position >= 0])
        steps = np.arange(v.MAX_BAR)
        inside = (steps >= lowest[:, None]) & (steps < bar_steps(rows["meter"][at])[:, None])
        self._put(mask, at, v.POSITION, inside & (bars > 0)[:, None])
        mask[at, v.EOS] = (position < 0) & rows["struck_before"][at]

    def _event(self, mask: np.ndarray, rows: np.ndarray, at: np.ndarray) -> None:
        """A change of tempo where nothing stands yet, or a note."""
        tempo = rows["tempo"][at][:, None]
        self._put(mask, at, v.TEMPO, rows["fresh"][at][:, None] & (np.arange(v.LOWEST_QPM, v.HIGHEST_QPM + 1) != tempo))
        self._notes(mask, rows, at[tempo[:, 0] > 0])

    def _notes(self, mask: np.ndarray, rows: np.ndarray, at: np.ndarray) -> None:
        """The first ids of a note: a program not below that of the note before; in the flat form another, or a pitch."""
        program, tied = rows["program"][at][:, None], rows["tied"][at][:, None]
        programs = np.arange(v.DRUM_KIT + 1)
        if self.grouped:
            self._put(mask, at, v.PROGRAM, ~tied | (programs >= program))
        else:
            self._put(mask, at, v.PROGRAM, np.where(tied, programs > program, programs != program))
            self._pitches(mask, rows, at[program[:, 0] >= 0])

    def _pitches(self, mask: np.ndarray, rows: np.ndarray, at: np.ndarray) -> None:
        drum = rows["program"][at] == v.DRUM_KIT
        for kind, mine in ((v.PITCH, at[~drum]), (v.DRUM, at[drum])):
            self._put(mask, mine, kind, self._floor(rows, mine, "pitch") <= np.arange(v.NUM_PITCHES))

    def _not_below(self, mask: np.ndarray, rows: np.ndarray, at: np.ndarray, kind: int) -> None:
        name = {v.DURATION: "duration", v.VELOCITY: "velocity"}[kind]
        self._put(mask, at, kind, self._floor(rows, at, name) <= v.VALUE[v.IDS[kind]])

    @staticmethod
    def _floor(rows: np.ndarray, at: np.ndarray, name: str) -> np.ndarray:
        """The lowest value [len(at), 1] that a note may have, given the one before it at its position."""
        return np.where(rows["tied"][at], rows[name][at], 0)[:, None]

    def _keys(self, mask: np.ndarray, rows: np.ndarray, at: np.ndarray) -> None:
        self._put(mask, at, v.KEY, (rows["key"][at] == 0)[:, None] | (np.arange(v.NUM_KEYS + 1) > 0))

    def closing(self, state: np.ndarray) -> np.ndarray:
        # The bar is ended as it is, after one more note where it has none; meter, key and tempo stay.
        state = np.asarray(state)
        rows = state.reshape(-1)
        mask = self.allowed(rows)
        ends, between = mask[:, v.EOS].copy(), rows["slot"] == OPEN
        bar = between & ~ends & (rows["struck"] | (rows["bars"] == 0))
        note = between & ~ends & ~bar
        mask[ends | bar] = False
        mask[ends, v.EOS] = mask[bar, v.BAR] = True
        mask[note, v.BAR] = False
        if not self.grouped:  # where the position stands already, no other is sought
            mask[note & (rows["position"] >= 0), v.IDS[v.POSITION]] = False
        mask[rows["tempo"] > 0, v.IDS[v.TEMPO]] = False
        for slot, kind, name in ((AT_METER, v.METER, "meter"), (AT_KEY, v.KEY, "key")):
            at = np.flatnonzero((rows["slot"] == slot) & (rows[name] >= 0))
            mask[at, v.IDS[kind]] = rows[name][at][:, None] == v.VALUE[v.IDS[kind]]
        return mask.reshape(*state.shape, len(v.VOCABULARY))

    def features(self, state: np.ndarray) -> Context:
        sounding = state["ends"] > step_of(state)[..., None]
        position = state["position"]
        columns = [
            state["slot"],
            position + 1,
            np.where(position >= 0, position % v.STEPS_PER_QUARTER + 1, 0),
            state["bars"] % PHRASE_BARS,
            state["meter"] + 1,
            state["key"],
            state["tempo"] // QPM_PER_FEATURE,
            state["program"] + 1,
            state["pitch"] + 1,
            state["duration"] + 1,
            state["velocity"] + 1,
            np.minimum(state["count"], MAX_COUNT_FEATURE),
            np.minimum(sounding.sum(axis=-1), MAX_COUNT_FEATURE),
            state["tied"],
        ]
        return Context(np.stack(columns, axis=-1).astype(np.int16), sounding)

    def finished(self, state: np.ndarray) -> np.ndarray:
        return state["slot"] == DONE

    def length(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fraction = np.maximum(state["position"], 0) / np.maximum(bar_steps(state["meter"]), 1)
        return np.maximum(state["bars"] - 1, 0) + fraction, state["time_s"].copy()  # `advance` works in place
