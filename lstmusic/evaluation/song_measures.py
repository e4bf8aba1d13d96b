"""What songs are like, told from their notes: the measures by which controls are shown to work, and songs compared.

Nothing here knows of models, ids or settings, so that a control cannot vouch for itself. Drums have no pitch: where pitches
are measured they are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from lstmusic.events.conditions import NUM_PITCH_CLASSES
from lstmusic.score import Score
from lstmusic.score.moments import sounding

TINY = 1e-6
ALIKE = 0.8
ROUND_BARS = (1, 2, 4)


def pitched(score: Score) -> np.ndarray:
    """The notes of a score that are no drums', [N] of `NOTE_DTYPE`."""
    drum = np.array([track.drum for track in score.tracks], bool)
    return score.notes[~drum[score.notes["track"]]] if len(score.notes) else score.notes


def share_in_key(score: Score, classes: Collection[int]) -> float:
    """The share of notes whose pitch class (C = 0) is one of the given; not a number without notes."""
    pitch_class = pitched(score)["pitch"] % NUM_PITCH_CLASSES
    return float(np.isin(pitch_class, list(classes)).mean()) if len(pitch_class) else float("nan")


def share_in_range(score: Score, ranges: Mapping[str, tuple[int, int]]) -> float:
    """The share of notes that lie within the range of their track; not a number without such notes.

    Args:
        ranges: lowest and highest MIDI pitch by the track's name; `all` stands for every track.
    """
    notes = pitched(score)
    names = np.array([track.name for track in score.tracks], object)[notes["track"]]
    counted = inside = 0
    for name, (low, high) in ranges.items():
        pitch = notes["pitch"][(names == name) | (name == "all")]
        counted += len(pitch)
        inside += int(((pitch >= low) & (pitch <= high)).sum())
    return inside / counted if counted else float("nan")


def pitch_class_histogram(score: Score) -> np.ndarray:
    """The share of notes on each pitch class, float64 [12] from C, summing to 1; all 0 without notes."""
    counts = np.bincount(pitched(score)["pitch"] % NUM_PITCH_CLASSES, minlength=NUM_PITCH_CLASSES)
    return counts / max(counts.sum(), 1)


def distance(p: np.ndarray, q: np.ndarray) -> float:
    """The total variation distance of two distributions: 0 where they agree, 1 where they have nothing in common."""
    return float(np.abs(np.asarray(p) - np.asarray(q)).sum() / 2)


def distance_from(asked: np.ndarray, score: Score) -> float:
    """The distance of a score's pitch classes from those asked for, float [12] summing to 1."""
    return distance(pitch_class_histogram(score), asked)


def entropy(values: np.ndarray) -> float:
    """The entropy of the values' histogram in nats: log n for n values that come equally often; 0 for one or none."""
    share = np.unique(values, return_counts=True)[1] / max(len(values), 1)
    return float(-(share * np.log(share)).sum()) + 0.0  # no negative zero


def pitch_entropy(score: Score) -> float:
    """The entropy of the pitches in nats."""
    return entropy(pitched(score)["pitch"])


def duration_entropy(score: Score) -> float:
    """The entropy of the lengths of notes in nats; two lengths differ if they differ by a tick."""
    return entropy(score.notes["duration_tick"])


def velocity_spread(score: Score) -> float:
    """The standard deviation of the velocities; 0 without notes."""
    return float(score.notes["velocity"].std()) if len(score.notes) else 0.0


def most_at_once(score: Score) -> int:
    """The largest number of notes that sound at a time, drums left out."""
    notes = pitched(score)
    melodic = Score(notes, score.tracks)
    return int(sounding(melodic, notes["onset_tick"]).max()) if len(notes) else 0


def length_bars(score: Score) -> float:
    """From the beginning to the end of the last note, in bars of the meter in force; an upbeat counts by its length."""
    if not len(score.notes):
        return 0.0
    lines = score.bar_ticks()
    whole = np.diff(lines).astype(float)
    if score.pickup_tick and len(whole) > 1:
        whole[0] = whole[1]
    taken = np.diff(np.minimum(lines, score.end_tick))
    return float((taken / whole).sum())


def lasts(score: Score, bars: int) -> bool:
    """Whether the last note ends exactly so many bars after the beginning.

    Encodings count an upbeat as they will: as a part of these bars, or before them. Either will do.
    """
    lines = score.bar_ticks()[int(score.pickup_tick > 0) :]
    on_line = len(lines) > bars and score.end_tick == lines[bars]
    return bool(on_line or abs(length_bars(score) - bars) < TINY)


def bars_begun(score: Score) -> int:
    """The number of the bar in which the last note begins, from 1; an upbeat does not count. 0 without notes."""
    if not len(score.notes):
        return 0
    last = np.searchsorted(score.bar_ticks(), score.notes["onset_tick"].max(), side="right")
    return int(last) - int(score.pickup_tick > 0)


def notes_per_bar(score: Score) -> float:
    """Notes over `length_bars`, drums left out; 0 without notes."""
    return len(pitched(score)) / length_bars(score) if len(score.notes) else 0.0


def repeated_bars(score: Score) -> float:
    """The share of bars that are like an earlier bar (`like_bars`); bars in which nothing begins do not count."""
    like = like_bars(score)
    begins = like.diagonal()
    return float(np.tril(like, -1)[begins].any(1).mean()) if begins.any() else 0.0


def longest_repetition(score: Score) -> float:
    """The length of the longest passage that comes again later, bar for bar (`like_bars`), in bars; 0 if none does.

    The passage and its repetition do not overlap: a bar played four times over is two bars that come again.
    """
    like = like_bars(score)
    return float(max((min(_longest_run(like.diagonal(k)), k) for k in range(1, len(like))), default=0))


def most_rounds(score: Score) -> int:
    """How many times in a row a song plays the same bar, or two bars, or four; see `like_bars`. 0 without notes."""
    like = like_bars(score)
    rounds = (1 + _longest_run(like.diagonal(length)) // length for length in ROUND_BARS if length < len(like))
    return max(int(like.any()), *rounds, 0)


def like_bars(score: Score) -> np.ndarray:
    """Which bars are like which, bool [bars, bars]; a bar in which nothing begins is like none, not even itself.

    Two notes are the same by place in the bar, track and pitch, whatever their length and velocity; two bars are alike if
    they have four fifths of their notes in common, of those of the one that has more.
    """
    notes, lines = score.notes, score.bar_ticks()
    bar = np.searchsorted(lines, notes["onset_tick"], side="right") - 1
    place = notes["onset_tick"] - lines[bar]
    content, index = np.unique(place << 23 | notes["track"].astype(np.int64) << 7 | notes["pitch"], return_inverse=True)
    # Which bar has which content; products of floats are fast, and of ones exact.
    held = np.zeros((len(lines) - 1, len(content)), np.float32)
    held[bar, index] = 1
    size, common = held.sum(1), held @ held.T
    return np.logical_and(common >= ALIKE * np.maximum(size[:, None], size), common > 0)


def _longest_run(true: np.ndarray) -> int:
    """The length of the longest run of True in a row."""
    stops = np.flatnonzero(~np.concatenate([[False], true, [False]]))
    return int(np.diff(stops).max()) - 1


def last_chord(score: Score) -> np.ndarray:
    """The notes that sound until the end of a score, [N] of `NOTE_DTYPE`."""
    notes = pitched(score)
    return notes[notes["onset_tick"] + notes["duration_tick"] == score.end_tick]


def ends_on_tonic(score: Score) -> float:
    """1 where the last chord's lowest note is the tonic of the last key, 0 where it is not; not a number without a key."""
    chord = last_chord(score)
    if not len(score.keys) or not len(chord):
        return float("nan")
    return float(chord["pitch"].min() % NUM_PITCH_CLASSES == score.keys["tonic"][-1])


def last_note_quarters(score: Score) -> float:
    """The length of the longest note of the last chord, in quarters; 0 without one."""
    chord = last_chord(score)
    return int(chord["duration_tick"].max()) / score.ticks_per_quarter if len(chord) else 0.0
