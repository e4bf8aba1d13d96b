"""Which notes of a piece are its melody: the track that is most like one, and of that the upper line."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from lstmusic.errors import ReadError
from lstmusic.score import Score

MELODY_NAMES = ("melod", "vocal", "voice", "lead", "sing", "solo", "soprano", "tune")
MIN_SHARE = 0.25  # a melody has at least this share of the notes that the busiest track has
MIN_ALONE = 0.8  # and at least this share of its notes begin alone


class Line(NamedTuple):
    """A melody, int64 [N] each: strictly rising onsets, and no note lasts beyond the next one's onset."""

    onset: np.ndarray
    end: np.ndarray
    pitch: np.ndarray


def melody(score: Score, steps_per_quarter: int, losses: Counter) -> Line:
    """The melody on a grid of so many steps a quarter.

    Args:
        losses: gathers what was left out or moved, by reason.

    Raises:
        ReadError: no pitched notes.
    """
    notes = score.notes
    drum = np.array([track.drum for track in score.tracks], bool)
    keep = ~drum[notes["track"]] if len(notes) else np.zeros(0, bool)
    losses["drum notes left out"] += int((~keep).sum())
    losses["pedal changes left out"] += len(score.pedals)
    notes = notes[keep]
    if len(notes) == 0:
        raise ReadError("no notes: expected pitched notes")
    mine = notes["track"] == melody_track(score, notes)
    losses["notes of tracks beside the melody left out"] += int((~mine).sum())
    notes = notes[mine]
    exact = notes["onset_tick"] * steps_per_quarter / score.ticks_per_quarter
    end = (notes["onset_tick"] + notes["duration_tick"]) * steps_per_quarter / score.ticks_per_quarter
    onset = np.rint(exact).astype(np.int64)
    line = Line(onset, np.maximum(np.rint(end).astype(np.int64), onset + 1), notes["pitch"].astype(np.int64))
    upper = upper_line(line)
    losses["notes below the melody left out"] += len(onset) - len(upper)
    losses["onsets moved to the grid"] += int((np.abs(exact - onset)[upper] > 1e-6).sum())
    losses["changes of velocity left out"] += int((np.diff(notes["velocity"][upper]) != 0).sum())
    onset, end, pitch = (column[upper] for column in line)
    following = np.r_[onset[1:], end[-1:]]
    losses["notes cut at the next onset"] += int((end > following).sum())
    return Line(onset, np.minimum(end, following), pitch)


def melody_track(score: Score, notes: np.ndarray) -> int:
    """The track of these notes [N] that is named like a melody; else the highest of those that play one note at a time.

    Without a name, tracks with few notes are passed over; where none plays one note at a time, the highest of all is taken.
    """
    used, count = np.unique(notes["track"], return_counts=True)
    named = [track for track in used if any(name in score.tracks[track].name.lower() for name in MELODY_NAMES)]
    of_track = {track: notes[notes["track"] == track] for track in named or used[count >= MIN_SHARE * count.max()]}
    alone = {track: len(np.unique(mine["onset_tick"])) / len(mine) for track, mine in of_track.items()}
    single = [track for track in of_track if alone[track] >= MIN_ALONE]
    return int(max(single or of_track, key=lambda track: of_track[track]["pitch"].mean()))


def upper_line(line: Line) -> np.ndarray:
    """Which notes [N] are the upper line: indices, by onset.

    Of those that begin together the highest (then the longest) stays, and a note that lies under a higher one for as long
    as it sounds is left out. What remains may overlap, as in legato.

    Source: the skyline of Uitdenbogerd and Zobel (1998); that a covered note does not interrupt the line is ours.
    """
    times, at = np.unique(line.onset, return_inverse=True)
    covered = np.zeros(len(line.onset), bool)
    covered_until = np.zeros(len(times), np.int64)  # by the higher notes that have begun
    for pitch in np.unique(line.pitch)[::-1]:
        here = np.flatnonzero(line.pitch == pitch)
        covered[here] = covered_until[at[here]] >= line.end[here]
        until = np.zeros(len(times), np.int64)
        np.maximum.at(until, at[here], line.end[here])
        covered_until = np.maximum(covered_until, np.maximum.accumulate(until))
    order = np.lexsort((-line.end, -line.pitch, line.onset))
    order = order[~covered[order]]
    return order[np.r_[True, line.onset[order[1:]] != line.onset[order[:-1]]]]
