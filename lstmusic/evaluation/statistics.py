"""Musical statistics of a Score: one number each, under the field's names, so that songs can be compared with music.

Pitches leave drums out. What counts bars and beats goes by the score's own meter: of an encoding that knows only seconds
that is 4/4 at 120 quarters a minute, a bar of two seconds. Definitions, sources and what they say of real music are in
docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lstmusic.evaluation import chords, voice_leading
from lstmusic.evaluation.song_measures import (
    entropy,
    longest_repetition,
    notes_per_bar,
    pitch_class_histogram,
    pitched,
    repeated_bars,
)
from lstmusic.events.conditions import NUM_PITCH_CLASSES
from lstmusic.score import Score
from lstmusic.score.moments import beat_ticks

NAN = float("nan")
WINDOW_BARS = 4
BAR_POSITIONS = 64
MANY = 3  # pitches at a time: MusPy's polyphony rate counts moments with so many or more
# Of equals here: a natural minor scale has the pitch classes of its relative major, and is listed by name alone.
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))  # major, natural minor
APART = 1 << 40  # ticks between pitches laid end to end on one line


class Statistic(NamedTuple):
    """What a statistic is called in words, its unit, and how it is measured; not a number where it does not apply."""

    words: str
    unit: str
    measure: Callable[[Score], float]


def pitch_class_entropy(score: Score) -> float:
    """Entropy of the pitch classes of the notes, in bits: 0 for one, 3.58 for twelve that come equally often.

    MusPy's `chroma_entropy`; H of Wu and Yang (2020) over the whole piece. Not a number without notes.
    """
    pitch_class = pitched(score)["pitch"] % NUM_PITCH_CLASSES
    return entropy(pitch_class) / math.log(2) if len(pitch_class) else NAN


def windowed_entropy(score: Score) -> float:
    """The mean of `pitch_class_entropy` over every four bars in a row, in bits; of a shorter piece, over all of it.

    H4 of Wu and Yang (2020), "The Jazz Transformer on the front line" (MusDr). Windows without notes do not count.
    """
    notes = pitched(score)
    if not len(notes):
        return NAN
    lines = score.bar_ticks()
    bar = np.searchsorted(lines, notes["onset_tick"], side="right") - 1
    struck = np.zeros((len(lines), NUM_PITCH_CLASSES))
    np.add.at(struck, (bar + 1, notes["pitch"] % NUM_PITCH_CLASSES), 1)
    before = struck.cumsum(0)
    window = min(WINDOW_BARS, len(lines) - 1)
    counts = before[window:] - before[:-window]
    counts = counts[counts.any(1)]
    share = counts / counts.sum(1, keepdims=True)
    bits = -(share * np.log2(np.where(share > 0, share, 1))).sum(1)
    return float(bits.mean()) + 0.0


def scale_consistency(score: Score) -> float:
    """The largest share of notes that one major or natural minor scale holds; not a number without notes.

    MusPy's `scale_consistency`, after Mogren (2016), "C-RNN-GAN".
    """
    histogram = pitch_class_histogram(score)
    if not histogram.any():
        return NAN
    return max(float(np.roll(histogram, -root)[list(scale)].sum()) for root in range(12) for scale in SCALES)


def groove_similarity(score: Score) -> float:
    """How alike the onsets of any two bars are: 1 minus the share of 64 positions at which one has an onset, one has not.

    GS of Wu and Yang (2020): the mean over all pairs of bars. An upbeat is no bar here. A position is a 64th of its bar,
    whatever the meter. Not a number with fewer than two bars.
    """
    lines = score.bar_ticks()[int(score.pickup_tick > 0) :]
    bars = len(lines) - 1
    onset = score.notes["onset_tick"][score.notes["onset_tick"] >= lines[0]]
    if bars < 2 or not len(onset):
        return NAN
    bar = np.searchsorted(lines, onset, side="right") - 1
    struck = np.zeros((bars, BAR_POSITIONS), bool)
    struck[bar, (onset - lines[bar]) * BAR_POSITIONS // np.diff(lines)[bar]] = True
    have = struck.sum(0)  # at a position at which n of the bars have an onset, n (bars - n) pairs differ
    return 1 - float((have * (bars - have)).sum()) / (BAR_POSITIONS * bars * (bars - 1) / 2)


def polyphony(score: Score) -> float:
    """How many notes sound at a time, on average over the time in which any sounds; not a number without notes."""
    notes = pitched(score)
    if not len(notes):
        return NAN
    starts, ends = _merged(notes["onset_tick"], notes["onset_tick"] + notes["duration_tick"])
    return float(notes["duration_tick"].sum() / (ends - starts).sum())


def polyphony_rate(score: Score) -> float:
    """The share of the time until the last note ends in which three or more different pitches sound.

    MusPy's `polyphony_rate` at its default threshold, in ticks. Not a number without notes.
    """
    notes = pitched(score)
    if not len(notes):
        return NAN
    line = notes["pitch"].astype(np.int64) * APART
    starts, ends = _merged(notes["onset_tick"] + line, notes["onset_tick"] + notes["duration_tick"] + line)
    ticks = np.r_[starts % APART, ends % APART]
    order = np.argsort(ticks)
    at_once = np.where(order < len(starts), 1, -1).cumsum()
    many = at_once[:-1] >= MANY
    return float(np.diff(ticks[order])[many].sum() / score.end_tick)


def empty_beat_rate(score: Score) -> float:
    """The share of beats in which nothing sounds, drums included; not a number without notes.

    MusPy's `empty_beat_rate`, with the beats of the meter; a note that ends as a beat begins does not sound in it.
    """
    beats = beat_ticks(score)
    beats = beats[: np.searchsorted(beats, score.end_tick) + 1]
    if not len(score.notes):
        return NAN
    ends = np.sort(score.notes["onset_tick"] + score.notes["duration_tick"])
    begun = np.searchsorted(score.notes["onset_tick"], beats[1:])
    over = np.searchsorted(ends, beats[:-1], side="right")
    return float((begun == over).mean())


def notes_per_second(score: Score) -> float:
    """Notes over the seconds until the last one ends, drums left out; 0 without notes."""
    return len(pitched(score)) / score.length_s if len(score.notes) else 0.0


def pitch_range(score: Score) -> float:
    """Semitones from the lowest note to the highest; not a number without notes."""
    pitch = pitched(score)["pitch"]
    return float(pitch.max()) - float(pitch.min()) if len(pitch) else NAN


def mean_pitch(score: Score) -> float:
    """The mean of the notes' MIDI pitches; not a number without notes."""
    pitch = pitched(score)["pitch"]
    return float(pitch.mean()) if len(pitch) else NAN


def note_length(score: Score) -> float:
    """The mean length of the notes in quarters, drums left out; not a number without notes."""
    length = pitched(score)["duration_tick"]
    return float(length.mean()) / score.ticks_per_quarter if len(length) else NAN


def inter_onset_interval(score: Score) -> float:
    """The mean time from one onset to the next in quarters, notes struck together counting once.

    The IOI of Yang and Lerch (2020), over all voices together. Not a number with fewer than two onsets.
    """
    onsets = np.unique(pitched(score)["onset_tick"])
    return float(np.diff(onsets).mean()) / score.ticks_per_quarter if len(onsets) > 1 else NAN


def _merged(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The union of intervals as intervals that do not overlap, by their starts and ends, rising."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    first = np.append(True, starts[1:] > ends[:-1])
    return starts[first], ends[np.append(first[1:], True)]


STATISTICS = {
    "pitch_class_entropy": Statistic("pitch-class entropy", "bits", pitch_class_entropy),
    "windowed_entropy": Statistic("pitch-class entropy of four bars", "bits", windowed_entropy),
    "scale_consistency": Statistic("scale consistency", "share of notes", scale_consistency),
    "groove_similarity": Statistic("groove similarity", "0 to 1", groove_similarity),
    "polyphony": Statistic("polyphony", "notes at a time", polyphony),
    "polyphony_rate": Statistic("three pitches or more", "share of time", polyphony_rate),
    "empty_beat_rate": Statistic("empty beats", "share of beats", empty_beat_rate),
    "notes_per_bar": Statistic("note density", "notes per bar", notes_per_bar),
    "notes_per_second": Statistic("note density in time", "notes per second", notes_per_second),
    "pitch_range": Statistic("pitch range", "semitones", pitch_range),
    "mean_pitch": Statistic("mean pitch", "MIDI pitch", mean_pitch),
    "note_length": Statistic("note length", "quarters", note_length),
    "inter_onset_interval": Statistic("inter-onset interval", "quarters", inter_onset_interval),
    "repeated_bars": Statistic("repeated bars", "share of bars", repeated_bars),
    "longest_repetition": Statistic("longest repetition", "bars", longest_repetition),
    "chord_change_rate": Statistic("chord changes", "share of beats", chords.chord_change_rate),
    "chord_irregularity": Statistic(
        "chord progression irregularity", "share of trigrams", chords.chord_progression_irregularity
    ),
    "parallel_fifths": Statistic("parallel fifths", "per 100 beats", voice_leading.parallel_fifths),
    "parallel_octaves": Statistic("parallel octaves", "per 100 beats", voice_leading.parallel_octaves),
    "crossed_voices": Statistic("crossed voices", "per 100 beats", voice_leading.crossed_voices),
    "out_of_range": Statistic("notes out of range", "per 100 beats", voice_leading.out_of_range),
}


def measured(score: Score) -> dict[str, float]:
    """Every statistic of a score by its name in `STATISTICS`; not a number where one does not apply."""
    return {name: float(statistic.measure(score)) for name, statistic in STATISTICS.items()}


def table(scores: Sequence[Score]) -> np.ndarray:
    """The statistics of many scores, float64 [pieces, statistics], columns in the order of `STATISTICS`."""
    rows = [list(measured(score).values()) for score in scores]
    return np.array(rows, np.float64).reshape(len(scores), len(STATISTICS))
