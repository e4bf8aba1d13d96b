"""The chord of every beat, told from what sounds: for statistics that count chords, not for analysis."""

from __future__ import annotations

from itertools import product

import numpy as np

from lstmusic.evaluation.song_measures import pitched
from lstmusic.events.conditions import NUM_PITCH_CLASSES
from lstmusic.score import Score
from lstmusic.score.moments import beat_ticks

TRIADS = {"major": (0, 4, 7), "minor": (0, 3, 7), "diminished": (0, 3, 6)}
# Chords by their root in semitones above the bass; of equals the first is taken.
ABOVE_BASS = [(0, "major"), (0, "minor")]
ABOVE_BASS += product(range(1, NUM_PITCH_CLASSES), ("major", "minor"))
ABOVE_BASS += product(range(NUM_PITCH_CLASSES), ("diminished",))
HOLDS = np.array(
    [[(pitch - root) % NUM_PITCH_CLASSES in TRIADS[name] for pitch in range(12)] for root, name in ABOVE_BASS]
)  # [chord, pitch class above the bass]
NONE = -1


def beat_chords(score: Score) -> np.ndarray:
    """The triad of every beat of the meter, int64 [beats]: 12 times its quality plus its root (C = 0); -1: nothing sounds.

    The triad (major, minor, diminished) that holds most of the time for which the beat's notes sound: Fujishima (1999),
    "Realtime chord recognition of musical sound", with templates of triads. Of equals a major or minor one before any
    diminished one, and of these the one whose root is the lowest note of the beat. Drums are left out.
    """
    notes, ticks = pitched(score), beat_ticks(score)
    onset, end = notes["onset_tick"], notes["onset_tick"] + notes["duration_tick"]
    first = np.searchsorted(ticks, onset, side="right") - 1
    spans = np.searchsorted(ticks, end) - first
    note = np.repeat(np.arange(len(notes)), spans)  # once for every beat in which it sounds
    beat = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans) + first[note]
    sounds = np.minimum(end[note], ticks[beat + 1]) - np.maximum(onset[note], ticks[beat])
    pitch = notes["pitch"][note].astype(np.int64)
    bass = np.full(len(ticks) - 1, 128)
    np.minimum.at(bass, beat, pitch)
    above_bass = np.zeros((len(bass), NUM_PITCH_CLASSES), np.int64)
    np.add.at(above_bass, (beat, (pitch - bass[beat]) % NUM_PITCH_CLASSES), sounds)
    best = (above_bass @ HOLDS.T).argmax(1)
    root = (bass + np.array([root for root, _ in ABOVE_BASS])[best]) % NUM_PITCH_CLASSES
    quality = np.array([list(TRIADS).index(name) for _, name in ABOVE_BASS])[best]
    return np.where(above_bass.any(1), NUM_PITCH_CLASSES * quality + root, NONE)


def chord_change_rate(score: Score) -> float:
    """The share of beats whose chord (`beat_chords`) is another than that of the beat before; silent beats do not count.

    Not a number where fewer than two beats sound.
    """
    chords = beat_chords(score)
    chords = chords[chords != NONE]
    return float((chords[1:] != chords[:-1]).mean()) if len(chords) > 1 else float("nan")


def chord_progression_irregularity(score: Score) -> float:
    """The share of different trigrams among the trigrams of the chord progression: 1 if no three chords come again.

    CPI of Wu and Yang (2020), "The Jazz Transformer on the front line". Their chords are written by the model; these are
    `beat_chords`, of which one that stays counts once. Not a number with fewer than three chords.
    """
    chords = beat_chords(score)
    chords = chords[chords != NONE]
    chords = chords[np.append(True, chords[1:] != chords[:-1])[: len(chords)]]
    if len(chords) < 3:
        return float("nan")
    trigrams = np.lib.stride_tricks.sliding_window_view(chords, 3)
    return len(np.unique(trigrams, axis=0)) / len(trigrams)
