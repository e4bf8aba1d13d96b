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

from lstmusic.events import metrical_limits as limits
from lstmusic.events import metrical_masks as masks
from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.grammar import Context, Grammar, latest, values_at
from lstmusic.events.metrical_state import AT_PAD, DONE, ENDING, NEXT, OPEN, STATE, bar_steps, seconds_per_step, step_of

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
        return masks.allowed(state.reshape(-1), self.grouped).reshape(*state.shape, len(v.VOCABULARY))

    def closing(self, state: np.ndarray) -> np.ndarray:
        state = np.asarray(state)
        return masks.closing(state.reshape(-1), self.grouped).reshape(*state.shape, len(v.VOCABULARY))

    def key_ids(self, state: np.ndarray, number: int) -> np.ndarray:
        stated = v.VOCABULARY.without_others("KEY", number + 1)  # 0 is the unknown key
        return np.broadcast_to(stated, (*state.shape, len(v.VOCABULARY)))

    def crowd(self, state: np.ndarray) -> np.ndarray:
        state = np.asarray(state)
        return limits.crowd(state.reshape(-1)).reshape(*state.shape, len(v.VOCABULARY))

    def within(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        state = np.asarray(state)
        bars, seconds = (np.broadcast_to(amount, state.shape).reshape(-1) for amount in (bars, seconds))
        return limits.within(state.reshape(-1), bars, seconds).reshape(*state.shape, len(v.VOCABULARY))

    def steps_left(self, state: np.ndarray, bars: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray:
        return limits.steps_left(state, bars, seconds)

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
