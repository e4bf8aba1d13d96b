"""Music on the grid of the `metrical` encoding: its notes, bars, keys and tempi in steps, twelve a quarter."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from lstmusic.events import metrical_vocabulary as v
from lstmusic.score.score import (
    DEFAULT_METER,
    DEFAULT_US_PER_QUARTER,
    MICROSECONDS_PER_MINUTE,
    Score,
    settled,
)

VELOCITIES_PER_BIN = 4
# How a note is packed into one number, so that one sort orders all: step, program, pitch, duration, velocity
STEP_BIT, PROGRAM_BIT, PITCH_BIT, DURATION_BIT = 26, 18, 11, 5
NEAREST_DURATION = np.searchsorted(
    (v.DURATION_STEPS[1:] + v.DURATION_STEPS[:-1]) / 2, np.arange(v.DURATION_STEPS[-1] + 1)
)  # of each number of steps
METER_OF = {meter: index for index, meter in enumerate(v.METERS)}


def _cut_meter(steps: int) -> int:
    """The METER of a bar that another meter cuts short: in quarters where they fit, else in 8ths, else in 16ths."""
    denominator = next(d for d in (4, 8, 16) if steps % (4 * v.STEPS_PER_QUARTER // d) == 0)
    return METER_OF[steps * denominator // (4 * v.STEPS_PER_QUARTER), denominator]


CUT_METERS = np.array([0] + [_cut_meter(steps) for steps in range(3, v.MAX_BAR + 1, v.STEPS_PER_16TH)])


class Notes(NamedTuple):
    """Notes in steps, int64 [N] each, in the order in which they are written."""

    step: np.ndarray
    program: np.ndarray
    pitch: np.ndarray
    duration: np.ndarray
    velocity: np.ndarray


class Bars(NamedTuple):
    """Bar lines in steps, the final one included, and the METER of each, int64 [K] each."""

    step: np.ndarray
    meter: np.ndarray


def nearest_step(tick: np.ndarray, ticks_per_quarter: int, steps_per_quarter: int = v.STEPS_PER_QUARTER) -> np.ndarray:
    """Ticks on the grid: the nearest step, of two the later, so that what is a whole step away stays so."""
    return (2 * steps_per_quarter * tick + ticks_per_quarter) // (2 * ticks_per_quarter)


def nearest_meter(numerator: int, denominator: int) -> int:
    """The METER with the nearest bar; of those the one with the nearest denominator."""
    steps = 4 * v.STEPS_PER_QUARTER * numerator / denominator
    distance = [
        (abs(b - steps), abs(d - denominator)) for b, (_, d) in zip(v.BAR_STEPS.tolist(), v.METERS, strict=True)
    ]
    return min(range(len(distance)), key=distance.__getitem__)


def notes_on_grid(score: Score, losses: Counter) -> Notes:
    """All notes on the grid."""
    rows, resolution = score.notes, score.ticks_per_quarter
    tracks = [v.DRUM_KIT if track.drum else track.program for track in score.tracks]
    used = np.flatnonzero(np.bincount(rows["track"], minlength=len(tracks))).tolist()
    losses["tracks of one program merged"] += len(used) - len({tracks[k] for k in used})
    losses["drum kits played by the standard kit"] += sum(
        score.tracks[k].drum and score.tracks[k].program > 0 for k in used
    )
    onset, length = rows["onset_tick"], rows["duration_tick"]
    step, steps = nearest_step(onset, resolution), nearest_step(length, resolution)
    losses["onsets moved to the grid"] += int((step * resolution != onset * v.STEPS_PER_QUARTER).sum())
    losses["notes cut to 8 bars of 4/4"] += int((steps > v.DURATION_STEPS[-1]).sum())
    duration = NEAREST_DURATION[np.clip(steps, 0, v.DURATION_STEPS[-1])]
    exact = v.DURATION_STEPS[duration] * resolution == length * v.STEPS_PER_QUARTER
    losses["durations moved to the nearest of the table"] += len(rows) - int(exact.sum())
    packed = step << STEP_BIT | np.array(tracks)[rows["track"]] << PROGRAM_BIT
    packed |= rows["pitch"].astype(np.int64) << PITCH_BIT | duration << DURATION_BIT
    packed |= (rows["velocity"].astype(np.int64) - 1) // VELOCITIES_PER_BIN
    packed.sort()
    return Notes(
        packed >> STEP_BIT,
        packed >> PROGRAM_BIT & 0xFF,
        packed >> PITCH_BIT & 0x7F,
        packed >> DURATION_BIT & 0x3F,
        (packed & 0x1F) + 1,
    )


def bars_on_grid(score: Score, end: int, losses: Counter) -> Bars:
    """The bars from the beginning to the first line at or after the step `end`; a pickup's bar begins before 0."""
    start, meter = _meters(score, losses)
    length = v.BAR_STEPS[meter]
    count = -((start - np.append(start[1:], end)) // length)  # rounded up: the last bar of a meter may be cut short
    count[-1] = max(count[-1], 0) + 1  # and the final line
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    step, meter = np.repeat(start, count) + within * np.repeat(length, count), np.repeat(meter, count)
    last = int(np.searchsorted(step, end)) + 1
    step, meter = step[:last], meter[:last]
    losses["meter changes after the end left out"] += int((start > step[-1]).sum())
    length = np.diff(step)
    cut = np.flatnonzero(length < v.BAR_STEPS[meter[:-1]])
    losses["bars cut short by the next meter"] += len(cut)
    meter[cut] = CUT_METERS[length[cut] // v.STEPS_PER_16TH]
    return Bars(step, meter)


def _meters(score: Score, losses: Counter) -> tuple[np.ndarray, np.ndarray]:
    """The steps at which a METER begins, and each METER, int64 [K] each."""
    rows, resolution = settled(score.meters, *DEFAULT_METER), score.ticks_per_quarter
    named = list(zip(rows["numerator"].tolist(), rows["denominator"].tolist(), strict=True))
    losses["meters replaced by the nearest"] += sum(meter not in METER_OF for meter in named)
    meter = np.array([METER_OF[m] if m in METER_OF else nearest_meter(*m) for m in named])
    pickup = int(nearest_step(np.array(score.pickup_tick), resolution))
    bar = int(v.BAR_STEPS[meter[0]])
    losses["pickups longer than a bar divided"] += int(pickup > bar)
    # Meters begin whole 16ths after the pickup, so that a bar that one of them cuts short has a METER.
    sixteenths = np.maximum(nearest_step(rows["tick"] - score.pickup_tick, resolution, 4), 0)
    start = pickup + v.STEPS_PER_16TH * sixteenths
    losses["meter changes moved to a 16th"] += int((start * resolution != rows["tick"] * v.STEPS_PER_QUARTER)[1:].sum())
    start[0] = -(-pickup % bar)
    last = np.append(start[1:] > start[:-1], True)  # of those that begin together
    losses["meter changes followed by another on their 16th left out"] += int((~last).sum())
    return start[last], meter[last]


def keys_on_grid(score: Score, bars: Bars, start: int, losses: Counter) -> np.ndarray:
    """The KEY of each bar, int64 [K]. A key that changes within a bar changes at the next bar line."""
    keys = np.zeros(len(bars.step), np.int64)
    if not len(score.keys):
        return keys
    rows = settled(score.keys)
    step = np.maximum(nearest_step(rows["tick"], score.ticks_per_quarter), start)
    bar = np.where(step == start, 0, np.searchsorted(bars.step, step))
    kept = (bar < len(keys)) & np.append(bar[1:] > bar[:-1], True)
    losses["keys left out"] += len(rows) - int(kept.sum())
    rows, step, bar = rows[kept], step[kept], bar[kept]
    losses["keys moved to the next bar line"] += int(((bars.step[bar] != step) & (bar > 0)).sum())
    keys[bar] = 1 + rows["tonic"] + 12 * rows["minor"]
    return keys[np.maximum.accumulate(np.where(keys > 0, np.arange(len(keys)), 0))]


def tempi_on_grid(score: Score, start: int, end: int, losses: Counter) -> tuple[np.ndarray, np.ndarray]:
    """The steps from `start` to before `end` at which the tempo changes, and each TEMPO, int64 [K] each."""
    rows = settled(score.tempi, DEFAULT_US_PER_QUARTER)
    exact = MICROSECONDS_PER_MINUTE / rows["us_per_quarter"]
    qpm = np.rint(np.clip(exact, v.LOWEST_QPM, v.HIGHEST_QPM)).astype(np.int64)
    step = np.maximum(nearest_step(rows["tick"], score.ticks_per_quarter), start)
    inside, last = step < end, np.append(step[1:] > step[:-1], True)
    losses["tempi after the end left out"] += int((~inside).sum())
    losses["tempi followed by another on their step left out"] += int((inside & ~last).sum())
    rounded = np.abs(rows["us_per_quarter"] - MICROSECONDS_PER_MINUTE / qpm) > 1
    losses["tempi changed to whole qpm of 16 to 320"] += int((rounded & inside & last).sum())
    step, qpm = step[inside & last], qpm[inside & last]
    changes = np.append(True, qpm[1:] != qpm[:-1])
    return step[changes], qpm[changes]
