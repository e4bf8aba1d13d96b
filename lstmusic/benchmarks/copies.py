"""table=copies: how many altered copies of pieces are found to be of the family of what they were made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstmusic.corpus import families
from lstmusic.score import Score, Track, midi
from lstmusic.score.pedal import folded
from lstmusic.score.score import NOTE_DTYPE, sorted_notes

PACKAGES = ("lstmusic", "numpy")
ORNAMENTS = 0.05  # of the notes that are changed
EXCERPT = 0.6  # of the piece that is kept

Change = Callable[[Score, np.random.Generator], Score]


def run(files: Sequence[Path], on_progress: Callable[[int], None] = lambda done: None) -> list[dict[str, Any]]:
    """Look for altered copies of some pieces among these pieces, one kind of change at a time.

    Args:
        files: MIDI files.
        on_progress: called with the number of files that were just read.

    Returns:
        A row for each kind of change: `name`, `pieces`, `found`, the share of copies in the family of their original, and
        `similarity`, the mean of those found (None: none).
    """
    scores = []
    for path in files:
        scores.append(midi.read(path))
        on_progress(1)
    count = len(scores)
    originals = [families.sketch(score) for score in scores]
    rows = []
    for name, change in CHANGES.items():
        copies = [families.sketch(change(score, np.random.default_rng(k))) for k, score in enumerate(scores)]
        found = families.group(np.stack(originals + copies))
        same = found.family[:count] == found.family[count:]
        alike = found.similarity[count:][same]
        similarity = float(alike.mean()) if len(alike) else None
        rows.append({"name": name, "pieces": count, "found": float(same.mean()), "similarity": similarity})
    return rows


def _notes(score: Score, **columns: np.ndarray) -> Score:
    notes = score.notes.copy()
    for name, values in columns.items():
        notes[name] = values
    return replace(score, notes=sorted_notes(notes))


def _transposed(score: Score, rng: np.random.Generator) -> Score:
    pitch = score.notes["pitch"].astype(np.int64)
    semitones = np.setdiff1d(np.arange(max(-6, -pitch.min()), min(6, 127 - pitch.max()) + 1), 0)
    return _notes(score, pitch=pitch + rng.choice(semitones))


def _stretched(score: Score, factor: float) -> Score:
    onset = np.rint(score.notes["onset_tick"] * factor).astype(np.int64)
    return _notes(score, onset_tick=onset, duration_tick=np.maximum(score.notes["duration_tick"] * factor, 1))


def _without_accompaniment(score: Score, rng: np.random.Generator) -> Score:
    """The first track alone: the melody in Nottingham and POP909."""
    return replace(score, notes=score.notes[score.notes["track"] == score.notes["track"].min()])


def _octave_doubled(score: Score, rng: np.random.Generator) -> Score:
    melody = score.notes[score.notes["track"] == score.notes["track"].min()].copy()
    melody["pitch"] = np.where(melody["pitch"] < 116, melody["pitch"] + 12, melody["pitch"])
    return replace(score, notes=sorted_notes(np.concatenate([score.notes, melody])))


def _ornamented(score: Score, rng: np.random.Generator) -> Score:
    changed = rng.random(len(score.notes)) < ORNAMENTS
    semitones = rng.choice([-2, -1, 1, 2], len(score.notes))
    return _notes(score, pitch=np.where(changed, score.notes["pitch"] + semitones, score.notes["pitch"]).clip(0, 127))


def _excerpt(score: Score, rng: np.random.Generator) -> Score:
    return replace(score, notes=score.notes[score.notes["onset_tick"] < EXCERPT * score.end_tick])


def _first_half_twice(score: Score, rng: np.random.Generator) -> Score:
    half = score.end_tick // 2
    first, second = score.notes[score.notes["onset_tick"] < half], score.notes.copy()
    second["onset_tick"] += half
    return replace(score, notes=sorted_notes(np.concatenate([first, second]).astype(NOTE_DTYPE)))


def _other_program(score: Score, rng: np.random.Generator) -> Score:
    return replace(score, tracks=tuple(replace(track, program=(track.program + 40) % 128) for track in score.tracks))


def _one_track(score: Score, rng: np.random.Generator) -> Score:
    """Every note that is not a drum's on one track: a reduction for the piano."""
    drum = np.array([track.drum for track in score.tracks], bool)
    notes = score.notes[~drum[score.notes["track"]]].copy()
    notes["track"] = 0
    return replace(score, notes=sorted_notes(notes), tracks=(Track(),), pedals=score.pedals[:0])


def _all_at_once(score: Score, rng: np.random.Generator) -> Score:
    return _ornamented(_transposed(_stretched(_without_accompaniment(score, rng), 0.9), rng), rng)


CHANGES: dict[str, Change] = {
    "transposed": _transposed,
    "0.9 times as long": lambda score, rng: _stretched(score, 0.9),
    "twice as long": lambda score, rng: _stretched(score, 2.0),
    "other instruments": _other_program,
    "accompaniment dropped": _without_accompaniment,
    "melody doubled at the octave": _octave_doubled,
    "all on one track": _one_track,
    "pedal folded into durations": lambda score, rng: folded(score),
    "one note in twenty changed": _ornamented,
    "first 60 % alone": _excerpt,
    "first half twice": _first_half_twice,
    "melody alone, transposed, 0.9 times as long, ornamented": _all_at_once,
}
