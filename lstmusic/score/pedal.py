"""The sustain pedal, folded into the lengths of the notes that it holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstmusic.score.score import PEDAL_DTYPE, Score, sorted_notes

RING_QUARTERS = 4  # how long the pedal may hold what is left when the last key was let go


def folded(score: Score) -> Score:
    """The music as it sounds: a note that ends under a pressed pedal lasts until the pedal is lifted.

    It ends at the next onset of its pitch on its track if that comes first, and a whole note after the last key was let
    go at the latest; a pedal that is never lifted is lifted with the last key. Drum tracks do not change. `pedals` is
    empty afterwards.
    """
    if not len(score.pedals):
        return score
    notes = score.notes.copy()
    offset_tick = notes["onset_tick"] + notes["duration_tick"]
    last_tick = score.end_tick
    for track in set(score.pedals["track"].tolist()):
        mine = np.flatnonzero(notes["track"] == track)
        if not score.tracks[track].drum and len(mine):
            pedals = score.pedals[score.pedals["track"] == track]
            lifted = _lifted(pedals["tick"], pedals["down"], offset_tick[mine], last_tick)
            latest = np.minimum(_next_onset(notes[mine]), last_tick + RING_QUARTERS * score.ticks_per_quarter)
            offset_tick[mine] = np.maximum(offset_tick[mine], np.minimum(lifted, latest))
    notes["duration_tick"] = offset_tick - notes["onset_tick"]
    return replace(score, notes=sorted_notes(notes), pedals=np.zeros(0, PEDAL_DTYPE))


def _lifted(tick: np.ndarray, down: np.ndarray, offset_tick: np.ndarray, last_tick: int) -> np.ndarray:
    """When what ends at each offset [N] falls silent, the pedal changing at `tick` [K] to `down` [K], in turn."""
    k = np.searchsorted(tick, offset_tick, side="right") - 1  # the change in force
    held = (k >= 0) & down[np.maximum(k, 0)]
    return np.where(held, np.append(tick, last_tick)[k + 1], offset_tick)


def _next_onset(notes: np.ndarray) -> np.ndarray:
    """For each of one track's notes [N]: when its pitch is struck again; far away where it is not."""
    order = np.argsort(notes["pitch"], kind="stable")  # by pitch, then onset, as notes are in order of onset
    pitch, onset_tick = notes["pitch"][order], notes["onset_tick"][order]
    again = np.append(pitch[1:] == pitch[:-1], False)
    out = np.empty(len(notes), np.int64)
    out[order] = np.where(again, np.append(onset_tick[1:], 0), np.iinfo(np.int64).max)
    return out
