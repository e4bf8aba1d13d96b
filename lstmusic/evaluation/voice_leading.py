"""Voice leading in four parts: how often two voices move in parallel fifths or octaves, cross, or leave their range."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from lstmusic.evaluation.song_measures import pitched
from lstmusic.score import Score
from lstmusic.score.moments import beat_ticks

VOICES = ("soprano", "alto", "tenor", "bass")
# What textbooks of four-part writing give as the singers' usual ranges: C4-G5, G3-D5, C3-G4, E2-D4. Of Bach's own notes in
# music21's chorales docs/statistics.md counts those outside.
RANGES = ((60, 79), (55, 74), (48, 67), (40, 62))
FIFTH, OCTAVE = 7, 0  # in semitones, whatever octaves lie between
SILENT = -1
PER_BEATS = 100


def parallel_fifths(score: Score) -> float:
    """Parallel fifths per 100 beats: two voices that move at one moment, up or down together, from a fifth to a fifth.

    A twelfth is a fifth too. Voices that hold or repeat their note, or leap an octave, stay on their pitch class and do not
    count; nor do those that rest before or after, or move in contrary motion; nor fifths on two successive beats between
    which a voice moves. A diminished sixth sounds like a fifth and is taken for one. Fitsioris and Conklin (2008),
    "Parallel successions of perfect fifths in the Bach chorales", look for the same pattern.

    Returns:
        Per 100 beats of the meter; not a number where there are no four voices (`voices`).
    """
    return _per_beats(score, lambda pitch: _parallels(pitch, FIFTH))


def parallel_octaves(score: Score) -> float:
    """Parallel unisons and octaves per 100 beats; see `parallel_fifths`."""
    return _per_beats(score, lambda pitch: _parallels(pitch, OCTAVE))


def crossed_voices(score: Score) -> float:
    """How often per 100 beats a voice comes to sound above its upper neighbour; while it stays there it counts once."""
    return _per_beats(score, _crossings)


def out_of_range(score: Score) -> float:
    """Notes outside the usual range of their voice (`RANGES`) per 100 beats; not a number without four voices."""
    parts = voices(score)
    if parts is None:
        return float("nan")
    outside = sum(
        int(((part["pitch"] < low) | (part["pitch"] > high)).sum())
        for part, (low, high) in zip(parts, RANGES, strict=True)
    )
    return PER_BEATS * outside / num_beats(score)


FAULTS = {
    "parallel_fifths": parallel_fifths,
    "parallel_octaves": parallel_octaves,
    "crossed_voices": crossed_voices,
    "out_of_range": out_of_range,
}


def num_beats(score: Score) -> int:
    """How many beats of the meter begin before the last note ends."""
    return int((beat_ticks(score) < score.end_tick).sum())


def voices(score: Score) -> list[np.ndarray] | None:
    """The notes of soprano, alto, tenor and bass, each [N] of `NOTE_DTYPE`; None unless there are four such parts.

    They are the tracks of these names; without them the four tracks that have notes (drums aside), by mean pitch from the
    highest. A part has a note at a time, and at least one.
    """
    notes = pitched(score)
    names = [track.name.strip().lower() for track in score.tracks]
    if all(names.count(voice) == 1 for voice in VOICES):
        parts = [notes[notes["track"] == names.index(voice)] for voice in VOICES]
    else:
        parts = [notes[notes["track"] == track] for track in np.unique(notes["track"])]
        parts.sort(key=lambda part: -part["pitch"].mean())
    single = all(len(part) and (part["onset_tick"][1:] >= _ends(part)[:-1]).all() for part in parts)
    return parts if len(parts) == len(VOICES) and single else None


def sounding_pitches(parts: list[np.ndarray]) -> np.ndarray:
    """What each voice sounds from each moment at which any of them begins or ends a note: int64 [4, T], -1 is a rest."""
    moments = np.unique(np.concatenate([np.r_[part["onset_tick"], _ends(part)] for part in parts]))
    pitch = np.full((len(parts), len(moments)), SILENT, np.int64)
    for row, part in zip(pitch, parts, strict=True):
        note = np.searchsorted(part["onset_tick"], moments, side="right") - 1
        sounds = (note >= 0) & (_ends(part)[note] > moments)
        row[sounds] = part["pitch"][note[sounds]]
    return pitch


def _ends(notes: np.ndarray) -> np.ndarray:
    return notes["onset_tick"] + notes["duration_tick"]


def _per_beats(score: Score, faults: Callable[[np.ndarray], int]) -> float:
    """How many faults the voices of a score have, per 100 beats; not a number without four voices."""
    parts = voices(score)
    return float("nan") if parts is None else PER_BEATS * faults(sounding_pitches(parts)) / num_beats(score)


def _parallels(pitch: np.ndarray, interval: int) -> int:
    """How often two voices go together from an interval to the same interval, octaves aside; `pitch` is [4, T]."""
    step = np.diff(pitch)
    moves = (step % 12 != 0) & (pitch[:, 1:] != SILENT) & (pitch[:, :-1] != SILENT)
    motion = np.sign(step) * moves
    count = 0
    for upper, lower in combinations(range(len(pitch)), 2):
        together = (motion[upper] == motion[lower]) & (motion[upper] != 0)
        alike = np.abs(pitch[upper] - pitch[lower]) % 12 == interval
        count += int((together & alike[1:] & alike[:-1]).sum())
    return count


def _crossings(pitch: np.ndarray) -> int:
    """How often a voice comes to sound above its upper neighbour; `pitch` is [4, T] from the highest voice."""
    crossed = (pitch[1:] > pitch[:-1]) & (pitch[:-1] != SILENT)
    begins = crossed & ~np.pad(crossed, ((0, 0), (1, 0)))[:, :-1]
    return int(begins.sum())
