"""The `metrical` encoding: bars, positions, many instruments. See `metrical_grammar` for its ids.

The REMI family (Huang and Yang, "Pop Music Transformer", 2020), with meters, keys and programs; docs/encodings.md says
where it departs from MidiTok's REMI and why.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from lstmusic.errors import ReadError, VocabularyError
from lstmusic.events import metrical_grammar as g
from lstmusic.events.codec import Codec, followers
from lstmusic.score.pedal import folded
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
    sorted_notes,
    table,
)

TICKS_PER_STEP = 40
TICKS_PER_QUARTER = g.STEPS_PER_QUARTER * TICKS_PER_STEP
VELOCITIES_PER_BIN = 4
# How a note is packed into one number, so that one sort orders all: step, program, pitch, duration, velocity
PROGRAM_BIT, PITCH_BIT, DURATION_BIT, STEP_BIT = 18, 11, 5, 26
NEAREST_DURATION = np.searchsorted(
    (g.DURATION_STEPS[1:] + g.DURATION_STEPS[:-1]) / 2, np.arange(g.DURATION_STEPS[-1] + 1)
)  # by whole steps
METER_OF = {meter: index for index, meter in enumerate(g.METERS)}
CONTEXT_IDS = 4  # that an n-gram may look back
REPEAT_IDS = 10  # two notes of the grouped form


def _cut_meter(steps: int) -> int:
    """The METER of a bar that another meter cuts short: in quarters where they fit, else in 8ths, else in 16ths."""
    denominator = next(d for d in (4, 8, 16) if steps % (4 * g.STEPS_PER_QUARTER // d) == 0)
    return METER_OF[steps * denominator // (4 * g.STEPS_PER_QUARTER), denominator]


CUT_METERS = np.array([0] + [_cut_meter(steps) for steps in range(3, g.MAX_BAR + 1, g.STEPS_PER_16TH)])


class _Notes(NamedTuple):
    """Notes in steps, int64 [N] each, in the order in which they are written."""

    step: np.ndarray
    program: np.ndarray
    pitch: np.ndarray
    duration: np.ndarray
    velocity: np.ndarray


class _Bars(NamedTuple):
    """Bar lines in steps, the final one included, and the METER of each, int64 [K] each."""

    step: np.ndarray
    meter: np.ndarray


def nearest_step(tick: np.ndarray, ticks_per_quarter: int, steps_per_quarter: int = g.STEPS_PER_QUARTER) -> np.ndarray:
    """Ticks on the grid: the nearest step, of two the later, so that what is a whole step away stays so."""
    return (2 * steps_per_quarter * tick + ticks_per_quarter) // (2 * ticks_per_quarter)


def nearest_meter(numerator: int, denominator: int) -> int:
    """The METER with the nearest bar; of those the one with the nearest denominator."""
    steps = 4 * g.STEPS_PER_QUARTER * numerator / denominator
    distance = [
        (abs(b - steps), abs(d - denominator)) for b, (_, d) in zip(g.BAR_STEPS.tolist(), g.METERS, strict=True)
    ]
    return min(range(len(distance)), key=distance.__getitem__)


class MetricalCodec(Codec):
    """Any music on a grid of bars.

    Args:
        grouped: five ids a group, padded, for a model that steps once a group; False is the flat stream.
    """

    name = "metrical"
    note_kinds = ("PITCH", "DRUM")
    stretchable = True
    unscored_kinds = ("BOS", "EOS", "PAD")
    repeat_name = "repeat_phrase"

    def __init__(self, grouped: bool = True) -> None:
        self.options = {"grouped": grouped}
        self.grammar = g.MetricalGrammar(grouped)
        self.vocabulary = g.VOCABULARY

    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        losses = Counter() if losses is None else losses
        score = folded(score)
        if not len(score.notes):
            raise ReadError("no notes: expected music")
        notes = self._notes(score, losses)
        bars = self._bars(score, int(notes.step[-1]) + 1, losses)
        silent = int(np.searchsorted(bars.step, notes.step[0], side="right")) - 1
        losses["bars of silence at the start left out"] += silent
        bars = _Bars(*(column[silent:] for column in bars))
        start = max(int(bars.step[0]), 0)
        keys, tempi = self._keys(score, bars, start, losses), self._tempi(score, start, int(bars.step[-1]), losses)
        return self._to_ids(self._groups(bars, keys, tempi, notes))

    @staticmethod
    def _notes(score: Score, losses: Counter) -> _Notes:
        """All notes on the grid."""
        rows, resolution = score.notes, score.ticks_per_quarter
        tracks = [g.DRUM_KIT if track.drum else track.program for track in score.tracks]
        used = np.flatnonzero(np.bincount(rows["track"], minlength=len(tracks))).tolist()
        losses["tracks of one program merged"] += len(used) - len({tracks[k] for k in used})
        losses["drum kits played by the standard kit"] += sum(
            score.tracks[k].drum and score.tracks[k].program > 0 for k in used
        )
        onset, length = rows["onset_tick"], rows["duration_tick"]
        step, steps = nearest_step(onset, resolution), nearest_step(length, resolution)
        losses["onsets moved to the grid"] += int((step * resolution != onset * g.STEPS_PER_QUARTER).sum())
        losses["notes cut to 8 bars of 4/4"] += int((steps > g.DURATION_STEPS[-1]).sum())
        duration = NEAREST_DURATION[np.clip(steps, 0, g.DURATION_STEPS[-1])]
        exact = g.DURATION_STEPS[duration] * resolution == length * g.STEPS_PER_QUARTER
        losses["durations moved to the nearest of the table"] += len(rows) - int(exact.sum())
        packed = step << STEP_BIT | np.array(tracks)[rows["track"]] << PROGRAM_BIT
        packed |= rows["pitch"].astype(np.int64) << PITCH_BIT | duration << DURATION_BIT
        packed |= (rows["velocity"].astype(np.int64) - 1) // VELOCITIES_PER_BIN
        packed.sort()
        return _Notes(
            packed >> STEP_BIT,
            packed >> PROGRAM_BIT & 0xFF,
            packed >> PITCH_BIT & 0x7F,
            packed >> DURATION_BIT & 0x3F,
            (packed & 0x1F) + 1,
        )

    @staticmethod
    def _bars(score: Score, end: int, losses: Counter) -> _Bars:
        """The bars from the beginning to the first line at or after the step `end`; a pickup's bar begins before 0."""
        rows = settled(score.meters, *DEFAULT_METER)
        meters = list(zip(rows["numerator"].tolist(), rows["denominator"].tolist(), strict=True))
        losses["meters replaced by the nearest"] += sum(meter not in METER_OF for meter in meters)
        meter = np.array([METER_OF[m] if m in METER_OF else nearest_meter(*m) for m in meters])
        pickup = int(nearest_step(np.array(score.pickup_tick), score.ticks_per_quarter))
        length = g.BAR_STEPS[meter]
        losses["pickups longer than a bar divided"] += int(pickup > length[0])
        # Lines lie whole 16ths after the pickup, so that each cut bar has a METER.
        sixteenths = nearest_step(rows["tick"] - score.pickup_tick, score.ticks_per_quarter, 4)
        start = pickup + g.STEPS_PER_16TH * np.maximum(sixteenths, 0)
        moved = start * score.ticks_per_quarter != rows["tick"] * g.STEPS_PER_QUARTER
        losses["meter changes moved to a 16th"] += int(moved[1:].sum())
        start[0] = -(-pickup % length[0])
        kept = np.flatnonzero(np.r_[np.diff(start) > 0, True])
        kept = kept[: int(np.searchsorted(start[kept], end)) + 1]
        start, meter, length = start[kept], meter[kept], length[kept]
        count = -((start - np.r_[start[1:], end]) // length)
        count[-1] = max(count[-1], 0) + 1
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        step, meter = np.repeat(start, count) + within * np.repeat(length, count), np.repeat(meter, count)
        last = int(np.searchsorted(step, end)) + 1
        step, meter = step[:last], meter[:last]
        length = np.diff(step)
        cut = np.flatnonzero(length < g.BAR_STEPS[meter[:-1]])
        losses["bars cut short by the next meter"] += len(cut)
        meter[cut] = CUT_METERS[length[cut] // g.STEPS_PER_16TH]
        return _Bars(step, meter)

    @staticmethod
    def _keys(score: Score, bars: _Bars, start: int, losses: Counter) -> np.ndarray:
        """The KEY of each bar. A key that changes within a bar changes at the next bar line."""
        keys = np.zeros(len(bars.step), np.int64)
        if not len(score.keys):
            return keys
        rows = settled(score.keys)
        step = np.maximum(nearest_step(rows["tick"], score.ticks_per_quarter), start)
        bar = np.where(step == start, 0, np.searchsorted(bars.step, step))
        inside = bar < len(keys)
        last = np.r_[bar[1:] > bar[:-1], True]
        losses["keys left out"] += int((~inside | ~last).sum())
        rows, step, bar = (column[inside & last] for column in (rows, step, bar))
        losses["keys moved to the next bar line"] += int(((bars.step[bar] != step) & (bar > 0)).sum())
        keys[bar] = 1 + rows["tonic"] + 12 * rows["minor"]
        return keys[np.maximum.accumulate(np.where(keys > 0, np.arange(len(keys)), 0))]

    @staticmethod
    def _tempi(score: Score, start: int, end: int, losses: Counter) -> tuple[np.ndarray, np.ndarray]:
        """The steps at which the tempo changes from `start` to before `end`, and each TEMPO, int64 [K] each."""
        rows = settled(score.tempi, DEFAULT_US_PER_QUARTER)
        exact = MICROSECONDS_PER_MINUTE / rows["us_per_quarter"]
        qpm = np.rint(np.clip(exact, g.LOWEST_QPM, g.HIGHEST_QPM)).astype(np.int64)
        step = np.maximum(nearest_step(rows["tick"], score.ticks_per_quarter), start)
        inside, last = step < end, np.r_[step[1:] > step[:-1], True]
        losses["tempi after the end left out"] += int((~inside).sum())
        losses["tempi followed by another on their step left out"] += int((inside & ~last).sum())
        rounded = np.abs(rows["us_per_quarter"] - MICROSECONDS_PER_MINUTE / qpm) > 1
        losses["tempi changed to whole qpm of 16 to 320"] += int((rounded & inside & last).sum())
        step, qpm = step[inside & last], qpm[inside & last]
        changes = np.r_[True, qpm[1:] != qpm[:-1]]
        return step[changes], qpm[changes]

    @staticmethod
    def _groups(bars: _Bars, keys: np.ndarray, tempi: tuple[np.ndarray, np.ndarray], notes: _Notes) -> np.ndarray:
        """The ids of all groups between BOS and EOS, int64 [M, 5]: at one step a bar first, then a tempo, then notes."""
        step = np.concatenate([bars.step, tempi[0], notes.step])
        groups = np.full((len(step), g.GROUP_SIZE), g.FIRST[g.PAD])
        bar, tempo, note = np.split(groups, np.cumsum([len(bars.step), len(tempi[0])]))
        bar[:, 0], bar[:, 1], bar[:, 2] = g.FIRST[g.BAR], bars.meter + g.FIRST[g.METER], keys + g.FIRST[g.KEY]
        begun = groups[len(bar) :]
        line = bars.step[np.searchsorted(bars.step, step[len(bar) :], side="right") - 1]
        begun[:, 0] = step[len(bar) :] - line + g.FIRST[g.POSITION]
        tempo[:, 1] = tempi[1] + g.FIRST[g.TEMPO] - g.LOWEST_QPM
        note[:, 1] = notes.program + g.FIRST[g.PROGRAM]
        note[:, 2] = notes.pitch + np.where(notes.program == g.DRUM_KIT, g.FIRST[g.DRUM], g.FIRST[g.PITCH])
        note[:, 3] = notes.duration + g.FIRST[g.DURATION]
        note[:, 4] = notes.velocity + g.FIRST[g.VELOCITY] - 1
        return groups[np.argsort(step, kind="stable")]

    def _to_ids(self, groups: np.ndarray) -> np.ndarray:
        """The ids of a piece, uint16 [N], of its groups between BOS and EOS."""
        if self.options["grouped"]:
            ends = (np.full((1, g.GROUP_SIZE), id_) for id_ in (g.FIRST[g.BOS], g.FIRST[g.EOS]))
            return np.concatenate([next(ends), groups, next(ends)]).astype(np.uint16).reshape(-1)
        kept = groups != g.FIRST[g.PAD]
        kept[1:, 0] &= groups[1:, 0] != groups[:-1, 0]
        kept[:, 0] |= groups[:, 0] == g.FIRST[g.BAR]
        notes = np.flatnonzero(g.KIND[groups[:, 1]] == g.PROGRAM)
        kept[notes[1:], 1] &= groups[notes[1:], 1] != groups[notes[:-1], 1]
        return np.concatenate([[g.FIRST[g.BOS]], groups[kept], [g.FIRST[g.EOS]]]).astype(np.uint16)

    def _to_groups(self, ids: np.ndarray) -> np.ndarray:
        """The groups between BOS and EOS of legal ids, int64 [M, 5]; what the end leaves unfinished is left out."""
        ids = np.asarray(ids, np.int64)
        if self.options["grouped"]:
            groups = ids.reshape(-1, g.GROUP_SIZE)
            return groups[~np.isin(g.KIND[groups[:, 0]], (g.BOS, g.EOS))]
        kind = g.KIND[ids]
        last = np.flatnonzero(np.isin(kind, (g.KEY, g.TEMPO, g.VELOCITY)))  # where each group is complete
        kinds = kind[last][:, None]
        filled = np.full((len(last), g.GROUP_SIZE), g.FIRST[g.PAD])
        position, program = (
            np.maximum.accumulate(np.where(kind == k, np.arange(len(ids)), 0))[last] for k in (g.POSITION, g.PROGRAM)
        )
        bar = np.stack([last - 2, last - 1, last], axis=1)
        note = np.stack([position, program, last - 2, last - 1, last], axis=1)
        filled[:, :3] = np.where(kinds == g.KEY, ids[bar], filled[:, :3])
        filled = np.where(kinds == g.VELOCITY, ids[note], filled)
        filled[:, :2] = np.where(kinds == g.TEMPO, ids[np.stack([position, last], axis=1)], filled[:, :2])
        return filled

    def decode(self, ids: np.ndarray) -> Score:
        groups = self._to_groups(ids)
        kind, value = g.KIND[groups[:, 1]], g.VALUE[groups]
        bar, tempo, note = (np.flatnonzero(kind == k) for k in (g.METER, g.TEMPO, g.PROGRAM))
        length = g.BAR_STEPS[value[bar, 1]]
        line = np.cumsum(length) - length
        step = line[np.cumsum(kind == g.METER) - 1] + np.where(kind == g.METER, 0, value[:, 0])
        start = int(step[tempo[0]]) if len(tempo) else 0
        tick = np.maximum(step - start, 0) * TICKS_PER_STEP
        key = value[bar, 2]
        stated = bar[np.r_[key[:1] > 0, key[1:] != key[:-1]]]
        meters = np.array(g.METERS)[value[bar, 1]]
        notes, tracks = self._tracks(
            table(
                NOTE_DTYPE,
                tick[note],
                g.DURATION_STEPS[value[note, 3]] * TICKS_PER_STEP,
                value[note, 2],
                (value[note, 4] - 1) * VELOCITIES_PER_BIN + VELOCITIES_PER_BIN // 2,
                0,
            ),
            value[note, 1],
        )
        return Score(
            notes,
            tracks,
            tempi=table(TEMPO_DTYPE, tick[tempo], np.rint(MICROSECONDS_PER_MINUTE / value[tempo, 1])),
            meters=settled(table(METER_DTYPE, tick[bar], *meters.T)),
            keys=table(KEY_DTYPE, tick[stated], (value[stated, 2] - 1) % 12, value[stated, 2] > 12),
            ticks_per_quarter=TICKS_PER_QUARTER,
            pickup_tick=(int(length[0]) - start) * TICKS_PER_STEP if start else 0,
        )

    @staticmethod
    def _tracks(notes: np.ndarray, program: np.ndarray) -> tuple[np.ndarray, tuple[Track, ...]]:
        """Notes with their tracks: one for each program, and another for those that lie inside a note of their pitch.

        A MIDI file cannot say which of two notes of one pitch and track ends first; on two tracks each keeps its end.
        """
        layer = np.zeros(len(notes), np.int64)
        key = program * g.NUM_PITCHES + notes["pitch"]
        end = notes["onset_tick"] + notes["duration_tick"]
        order = np.lexsort((notes["duration_tick"], notes["onset_tick"], key))
        while len(order):
            # Keys lie further apart than any two ends, so that the furthest end so far is that of the key.
            far = key[order] * (int(end.max()) + 1) + end[order]
            order = order[far < np.maximum.accumulate(far)]
            layer[order] += 1
        used, track = np.unique(program << 16 | layer, return_inverse=True)
        notes["track"] = track
        drum = used >> 16 == g.DRUM_KIT
        programs = np.where(drum, 0, used >> 16).tolist()
        return sorted_notes(notes), tuple(
            Track(p, d, "Drums" if d else "") for p, d in zip(programs, drum.tolist(), strict=True)
        )

    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        pitch = self.vocabulary.values("PITCH", ids)[self.vocabulary.is_kind("PITCH", ids)]
        return (-int(pitch.min()), g.NUM_PITCHES - 1 - int(pitch.max())) if len(pitch) else (0, 0)

    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        """See `Codec`. Drums stay as they are; where a stretch makes two tempi equal, the change between them is gone."""
        low, high = self.transpositions(ids)
        if not low <= semitones <= high:
            raise VocabularyError(f"semitones={semitones}: expected {low} to {high}, so that pitches stay in 0..127")
        groups = self._to_groups(ids).copy()
        kind, value = g.KIND[groups], g.VALUE[groups]
        groups[kind == g.PITCH] += semitones
        keys = value[(kind == g.KEY) & (value > 0)] - 1
        groups[(kind == g.KEY) & (value > 0)] = g.FIRST[g.KEY] + 1 + keys // 12 * 12 + (keys + semitones) % 12
        tempo = np.flatnonzero(kind[:, 1] == g.TEMPO)
        qpm = np.rint(np.clip(value[tempo, 1] / stretch, g.LOWEST_QPM, g.HIGHEST_QPM)).astype(np.int64)
        groups[tempo, 1] = qpm - g.LOWEST_QPM + g.FIRST[g.TEMPO]
        return self._to_ids(np.delete(groups, tempo[1:][qpm[1:] == qpm[:-1]], axis=0))

    def contexts(self, ids: np.ndarray) -> np.ndarray:
        """What comes next; the id before; the two, three and four before."""
        ids = np.asarray(ids, np.int64)
        keys = [self.grammar.trajectory(ids)["slot"].astype(np.int64)]
        for back in range(1, CONTEXT_IDS + 1):
            before = np.r_[np.zeros(min(back, len(ids)), np.int64), ids[:-back]]
            keys.append(keys[-1] * len(self.vocabulary) + before)
        return np.stack(keys, axis=1)

    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """What followed when the ten ids before came last."""
        ids = np.asarray(ids, np.int64)
        key = np.zeros(len(ids), np.int64)
        for back in range(1, REPEAT_IDS + 1):  # wraps around: a hash
            key[back:] = key[back:] * len(self.vocabulary) + ids[:-back]
        return followers(key, ids)
