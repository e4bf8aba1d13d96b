"""The `melody` encoding: one voice with rests, for tunes. See `melody_grammar` for the shape of its ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstmusic.events import melody_vocabulary as v
from lstmusic.events.codec import Codec, followers, transposed
from lstmusic.events.given import check_gap, kept_voices
from lstmusic.events.melody_given import MelodyGiven
from lstmusic.events.melody_grammar import MelodyGrammar
from lstmusic.events.melody_line import Line, melody
from lstmusic.score.score import (
    DEFAULT_METER,
    DEFAULT_US_PER_QUARTER,
    KEY_DTYPE,
    METER_DTYPE,
    MICROSECONDS_PER_MINUTE,
    NOTE_DTYPE,
    TEMPO_DTYPE,
    Score,
    Track,
    settled,
    table,
)

TICKS_PER_STEP = 40
FLUTE = 73
DEFAULT_VELOCITY = 80


class _Map(NamedTuple):
    """Meters or keys on the grid, int64 [K] each: rising steps, and no value twice in a row."""

    step: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, step: np.ndarray, value: np.ndarray) -> _Map:
        """Of several at one step the last counts."""
        last = np.r_[step[1:] != step[:-1], True][: len(step)]
        step, value = step[last], value[last]
        new = np.r_[True, value[1:] != value[:-1]][: len(step)]
        return cls(step[new], value[new])

    def at(self, step: np.ndarray, otherwise: int) -> np.ndarray:
        """The value in force at each step."""
        return np.r_[otherwise, self.value][np.searchsorted(self.step, step, side="right")]


class MelodyCodec(Codec):
    """One voice: a pitch or a rest, and its duration, two ids a step.

    Args:
        conditions: models may be told what the music around is like; see `conditions`.
    """

    grammar: MelodyGrammar
    name = "melody"
    note_kinds = ("PITCH",)
    unscored_kinds = ("BOS", "EOS", "METER", "KEY", "TEMPO", "POSITION")
    repeat_name = "repeat_phrase"

    def __init__(self, conditions: bool = False) -> None:
        self.options: dict = {}
        self.grammar = MelodyGrammar()
        self.vocabulary = v.VOCABULARY
        self._take_conditions(conditions)

    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        losses = Counter() if losses is None else losses
        line = melody(score, v.STEPS_PER_QUARTER, losses)
        meters, keys = self._meters(score, losses), self._keys(score)
        first, last = int(line.onset[0]), int(line.end[-1])
        losses["quarters of silence at the start left out"] += first // v.STEPS_PER_QUARTER
        changes = np.union1d(meters.step, keys.step)
        losses["changes of meter or key after the end left out"] += int((changes >= last).sum())
        changes = changes[(changes > first) & (changes < last)]
        meter, key = (
            self.vocabulary.ids(kind, rows.at(np.r_[first, changes], unknown))
            for kind, rows, unknown in (("METER", meters, 0), ("KEY", keys, v.UNKNOWN_KEY))
        )
        header = [meter[0], key[0], self._tempo(score, first, losses), self._position(score, meters, first)]
        music = self._music(line, changes, np.stack([meter, key], axis=1)[1:])
        return np.r_[self.grammar.bos(), header, music.reshape(-1), v.EOS, v.EOS].astype(np.uint16)

    def _meters(self, score: Score, losses: Counter) -> _Map:
        rows = settled(score.meters, *DEFAULT_METER)
        index = np.zeros(len(rows), np.int64)
        for k, (_, numerator, denominator) in enumerate(rows.tolist()):
            if (numerator, denominator) in v.METERS:
                index[k] = v.METERS.index((numerator, denominator))
            else:
                losses["meters replaced by the one with the nearest bar"] += 1
                index[k] = np.argmin(np.abs(v.BAR_STEPS - 4 * v.STEPS_PER_QUARTER * numerator / denominator))
        step = _steps(score, rows["tick"])
        step[1:] = np.maximum(step[1:], _steps(score, score.pickup_tick))
        return _Map.of(step, index)

    @staticmethod
    def _keys(score: Score) -> _Map:
        keys = settled(score.keys)
        return _Map.of(_steps(score, keys["tick"]), keys["tonic"].astype(np.int64) + 12 * keys["minor"])

    def _tempo(self, score: Score, first: int, losses: Counter) -> int:
        """The id of the tempo in force at the first note."""
        tempi = settled(score.tempi, DEFAULT_US_PER_QUARTER)
        at = int(np.searchsorted(_steps(score, tempi["tick"]), first, side="right")) - 1
        losses["changes of tempo left out"] += len(tempi) - 1 - at
        qpm = round(MICROSECONDS_PER_MINUTE / tempi["us_per_quarter"][at])
        near = min(max(qpm, v.LOWEST_QPM), v.HIGHEST_QPM)
        losses["tempi moved to the nearest one known"] += near != qpm
        return self.vocabulary.id("TEMPO", near)

    def _position(self, score: Score, meters: _Map, first: int) -> int:
        """The id of the first note's place in its bar; a bar that a new meter cuts short counts from its end."""
        at = int(np.searchsorted(meters.step, first, side="right")) - 1
        bar = int(v.BAR_STEPS[meters.value[at]])
        origin = max(int(meters.step[at]), int(_steps(score, score.pickup_tick)))
        to_line = min([(origin - first) % bar, *(meters.step[at + 1 :] - first).tolist()])
        return self.vocabulary.id("POSITION", -to_line % bar)

    def _music(self, line: Line, changes: np.ndarray, change_groups: np.ndarray) -> np.ndarray:
        """The music groups, int64 [G, 2]: notes and rests, cut at changes and into durations that there are."""
        gap = np.append(line.onset[1:] > line.end[:-1], False)
        onset = np.r_[line.onset, line.end[gap]]
        head = np.r_[self.vocabulary.ids("PITCH", line.pitch), np.full(gap.sum(), v.REST_ID)]
        order = np.argsort(onset)
        onset, head = onset[order], head[order]
        start = np.union1d(onset, changes)
        span = np.searchsorted(onset, start, side="right") - 1
        goes_on = np.where(head == v.REST_ID, v.REST_ID, v.HOLD_ID)
        first_head = np.where(onset[span] == start, head[span], goes_on[span])
        length = np.diff(np.r_[start, line.end[-1]])
        pieces = -(-length // v.MAX_DURATION)
        index = np.repeat(np.arange(len(start)), pieces)
        begins = np.r_[True, index[1:] != index[:-1]]
        ends = np.r_[begins[1:], True]
        heads = np.where(begins, first_head[index], goes_on[span[index]])
        durations = np.where(ends, (length - 1)[index] % v.MAX_DURATION + 1, v.MAX_DURATION)
        groups = np.stack([heads, self.vocabulary.ids("DURATION", durations)], axis=1)
        at = np.flatnonzero(begins)[np.searchsorted(start, changes)]
        return np.insert(groups, at, change_groups, axis=0)

    def decode(self, ids: np.ndarray) -> Score:
        heads, seconds = np.asarray(ids, np.int64).reshape(-1, v.GROUP_SIZE).T
        kind = v.kinds_of(heads)
        timed, turns = np.isin(kind, (v.NOTE, v.HOLD, v.REST)), kind == v.CHANGE  # METER and KEY of the header, too
        duration = np.where(timed, self.vocabulary.values("DURATION", seconds), 0)
        tick = (np.cumsum(duration) - duration) * TICKS_PER_STEP
        meter, key = self.vocabulary.values("METER", heads[turns]), self.vocabulary.values("KEY", seconds[turns])
        known = key != v.UNKNOWN_KEY
        keys = tick[turns][known], key[known] % 12, key[known] // 12 == 1
        timing = self.vocabulary.is_kind("TEMPO", heads)
        qpm = self.vocabulary.values("TEMPO", heads[timing])
        position = self.vocabulary.values("POSITION", seconds[timing])
        return Score(
            notes=self._notes(kind[timed], heads[timed], duration[timed]),
            tracks=(Track(FLUTE, False, "Melody"),),
            tempi=table(TEMPO_DTYPE, np.zeros(len(qpm)), np.rint(MICROSECONDS_PER_MINUTE / qpm)),
            meters=settled(table(METER_DTYPE, tick[turns], *np.array(v.METERS)[meter].T)),
            keys=settled(table(KEY_DTYPE, *keys)),
            ticks_per_quarter=v.STEPS_PER_QUARTER * TICKS_PER_STEP,
            pickup_tick=int(-position[0] % v.BAR_STEPS[meter[0]]) * TICKS_PER_STEP if len(position) else 0,
        )

    def _notes(self, kind: np.ndarray, heads: np.ndarray, duration: np.ndarray) -> np.ndarray:
        """The notes of groups that last, int64 [N] each: a note lasts through the HOLDs after it."""
        begins = np.flatnonzero(kind != v.HOLD)
        lasts = np.add.reduceat(duration, begins) if len(begins) else duration
        onset = np.cumsum(lasts) - lasts
        struck = kind[begins] == v.NOTE
        pitch = self.vocabulary.values("PITCH", heads[begins][struck])
        ticks = onset[struck] * TICKS_PER_STEP, lasts[struck] * TICKS_PER_STEP
        return table(NOTE_DTYPE, *ticks, pitch, DEFAULT_VELOCITY, 0)

    def given(self, ids: np.ndarray, start_tick: int, end_tick: int, keep: Sequence[str] = ()) -> MelodyGiven:
        check_gap(start_tick, end_tick)
        kept_voices(keep)
        notes = self.decode(ids).notes
        onset, lasts = (notes[name].astype(np.int64) // TICKS_PER_STEP for name in ("onset_tick", "duration_tick"))
        line = Line(onset, onset + lasts, notes["pitch"].astype(np.int64))
        gap = -(-start_tick // TICKS_PER_STEP), end_tick // TICKS_PER_STEP  # a step that reaches out of it is not free
        return MelodyGiven(self.grammar, np.asarray(ids, np.int64), line, *gap)

    def note_ids(self, ids: np.ndarray) -> np.ndarray:
        return np.flatnonzero(self.vocabulary.is_kind("PITCH", ids))

    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        pitch = self.vocabulary.values("PITCH", ids)[self.vocabulary.is_kind("PITCH", ids)]
        return -int(pitch.min()), v.NUM_PITCHES - 1 - int(pitch.max())

    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        if stretch != 1.0:
            raise ValueError(f"stretch={stretch}: a melody's grid has no seconds, expected 1.0")
        return transposed(self.vocabulary, ids, semitones, v.UNKNOWN_KEY)

    def context_keys(self, state: np.ndarray, before: np.ndarray) -> np.ndarray:
        """What the id says; and the place in the beat; and the last duration; and the last pitch; and the one before it."""
        columns = self.grammar.features(state).columns.astype(np.int64)
        sizes = self.grammar.feature_sizes
        names = list(sizes)
        keys = [columns[:, names.index("slot")]]
        for name in ("place_in_beat", "duration", "pitch", "interval"):
            keys.append(keys[-1] * sizes[name] + columns[:, names.index(name)])
        return np.stack(keys, axis=1)

    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """What followed when the same place in the beat, duration and last two pitches came last."""
        return followers(self.contexts(ids)[:, -1], ids)


def _steps(score: Score, ticks: np.ndarray | int) -> np.ndarray:
    """The nearest steps, int64."""
    return np.rint(np.asarray(ticks) * v.STEPS_PER_QUARTER / score.ticks_per_quarter).astype(np.int64)
