"""A piece as lines of moments: what is left of each of its parts when key, tempo and notation of the rhythm are forgotten.

The notes of a part that begin together make one moment, whose pitch is that of the highest. A symbol, one byte, says how
the line goes on from a moment: by how many semitones, and whether the gap between onsets that follows is shorter or longer
than that. Rhythm is told by classes of ratios, whose borders lie between the ratios that music is written in, so that
neither a player's hand nor a grid of 10 ms breaks a line.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstmusic.score import Score

TOGETHER = 16  # onsets less than the 16th part of a quarter apart (31 ms at 120 quarters a minute) are one moment
REST_QUARTERS = 8  # after so long without an onset a new line begins: what follows is another phrase
MAX_INTERVAL = 24  # semitones; wider leaps are alike
# Between the ratios 1:2, 2:3, 1:1, 3:2 and 2:1, each the geometric mean of its neighbours
RATIO_BORDERS = (3**-0.5, 1.5**-0.5, 1.5**0.5, 3**0.5)
CLASSES = len(RATIO_BORDERS) + 1
END = (2 * MAX_INTERVAL + 1) * CLASSES  # and above: symbols that end a line


class Lines(NamedTuple):
    """The lines of a piece, one after the other; N moments.

    Attributes:
        pitch: uint8 [N].
        rhythm: uint8 [N], the class of the gap after the next moment to the gap before it; of a line's last two moments, 0.
        first: bool [N], whether a line begins here.
        onset_tick, end_tick: int64 [N]; a moment ends with its highest note, or when the next one of its line begins.
        track: uint16 [N], the part that it belongs to.
    """

    pitch: np.ndarray
    rhythm: np.ndarray
    first: np.ndarray
    onset_tick: np.ndarray
    end_tick: np.ndarray
    track: np.ndarray


def lines(score: Score) -> Lines:
    """The lines of a piece, part by part; drums are left out."""
    drum = np.array([track.drum for track in score.tracks], bool)
    notes = score.notes[~drum[score.notes["track"]]] if len(score.notes) else score.notes
    notes = notes[np.lexsort((notes["pitch"], notes["onset_tick"], notes["track"]))]
    onset, track = notes["onset_tick"], notes["track"]
    new_track = np.diff(track.astype(np.int64), prepend=-1) != 0
    gap = np.diff(onset, prepend=0)
    begins = np.flatnonzero(new_track | (gap * TOGETHER >= score.ticks_per_quarter))
    if not len(begins):
        return Lines(*(np.zeros(0, kind) for kind in (np.uint8, np.uint8, bool, np.int64, np.int64, np.uint16)))
    pitch = np.maximum.reduceat(notes["pitch"], begins)
    moment = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(notes)))
    end = np.zeros(len(begins), np.int64)
    top = notes["pitch"] == pitch[moment]
    np.maximum.at(end, moment[top], (onset + notes["duration_tick"])[top])
    onset, track = onset[begins], track[begins]
    gap = np.diff(onset, append=0)
    first = new_track[begins]
    first[1:] |= gap[:-1] > REST_QUARTERS * score.ticks_per_quarter
    last = np.append(first[1:], True)
    end[~last] = np.minimum(end, np.append(onset[1:], 0))[~last]
    return Lines(pitch, _rhythm(gap, last), first, onset, end, track)


def _rhythm(gap: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The class of each gap's successor, from the gap after each moment, int64 [N], and whether a line ends there."""
    follows = ~(last | np.append(last[1:], True))
    rhythm = np.zeros(len(gap), np.uint8)
    ratio = np.append(gap[1:], 1)[follows] / gap[follows]
    rhythm[follows] = np.searchsorted(RATIO_BORDERS, ratio)
    return rhythm


def symbols(pitch: np.ndarray, rhythm: np.ndarray, first: np.ndarray, end: int) -> np.ndarray:
    """How each moment goes on, uint8 [N]: the interval to the next one times CLASSES, and the class of the rhythm.

    Args:
        pitch, rhythm, first: of `Lines`.
        end: the symbol of a line's last moment, at least END.
    """
    interval = np.diff(pitch.astype(np.int64), append=0).clip(-MAX_INTERVAL, MAX_INTERVAL) + MAX_INTERVAL
    return np.where(np.append(first[1:], True), end, interval * CLASSES + rhythm).astype(np.uint8)
