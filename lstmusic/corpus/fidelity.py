"""What an encoding loses: a piece beside what its ids decode to, note by note and map by map.

A note is found again in the nearest one of its pitch (drums apart). An encoding on a grid of beats is compared in beats,
by the piece's own tempo map, so that a rounded tempo is an error of the tempo and not one that grows along the piece; one
in seconds is compared in seconds. That the decoded piece as a whole begins earlier (silence at the start was left out) is
no error, and a note that the pedal held may as well be long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lstmusic.events.codec import Codec
from lstmusic.score import Score
from lstmusic.score.pedal import folded
from lstmusic.score.score import DEFAULT_METER, DEFAULT_US_PER_QUARTER, settled

REACH = 0.5  # quarters, or seconds: what is further away is another note
GRID_S, GRID_QUARTERS = 0.01, 0.13  # no encoding moves an onset further: 10 ms, half a 16th
VOTERS = 32  # decoded notes at the start that tell how much silence was left out
TEMPO_TOLERANCE = 0.02  # relative; smaller steps of tempo are hardly heard


class Fidelity(NamedTuple):
    """How faithful the ids of a piece (or of many) are to its Score.

    Attributes:
        notes: in the Score.
        lost: of them, without a counterpart in the decoded piece.
        added: in the decoded piece, without a counterpart in the Score.
        onset_error_ms: mean |error| of the notes kept, a shift of the whole piece aside.
        max_onset_error_ms: the largest.
        duration_error_ms: mean |error| of the notes kept.
        tempi, meters, keys: rows of the Score's maps before its end, the one in force at the start included.
        tempi_lost, meters_lost, keys_lost: of them, what the decoded piece does not have at that moment.
        max_tempo_error_ratio: the largest relative error of the tempi kept.
        pedals: changes of the sustain pedal.
        pedals_lost: of them, how many fewer the decoded piece has.
    """

    notes: int = 0
    lost: int = 0
    added: int = 0
    onset_error_ms: float = 0.0
    max_onset_error_ms: float = 0.0
    duration_error_ms: float = 0.0
    tempi: int = 0
    tempi_lost: int = 0
    max_tempo_error_ratio: float = 0.0
    meters: int = 0
    meters_lost: int = 0
    keys: int = 0
    keys_lost: int = 0
    pedals: int = 0
    pedals_lost: int = 0


class _Notes(NamedTuple):
    """Notes [N] sorted by key (pitch, drums apart) and onset; times in quarters or seconds."""

    key: np.ndarray
    onset: np.ndarray
    end: np.ndarray


def measure(codec: Codec, score: Score, ids: np.ndarray) -> Fidelity:
    """What the ids of a piece keep of it.

    Args:
        codec: whose `encode(score)` gave the ids.
        ids: uint16 [N].
    """
    decoded = codec.decode(ids)
    heard = score if len(decoded.pedals) else folded(score)
    here, there = _notes(heard, codec.in_seconds), _notes(decoded, codec.in_seconds)
    grid = GRID_S if codec.in_seconds else GRID_QUARTERS
    shift = _shift(here, there, grid)
    pairs, rest = _aligned(here, there, shift)
    if abs(rest) > grid / 2:  # repeated notes may have been taken for their neighbours
        shift += rest
        pairs, rest = _aligned(here, there, shift)
    mine, other = pairs
    shift += rest  # a whole piece that lies beside its grid by as much is as good as on it
    onset, end, other_onset, other_end = (
        times if codec.in_seconds else score.seconds(times * score.ticks_per_quarter)
        for times in (here.onset[mine], here.end[mine], there.onset[other] + shift, there.end[other] + shift)
    )
    onsets_ms = 1000 * np.abs(onset - other_onset)
    durations_ms = 1000 * np.abs((end - onset) - (other_end - other_onset))
    return Fidelity(
        notes=len(score.notes),
        lost=len(score.notes) - len(mine),
        added=len(decoded.notes) - len(mine),
        onset_error_ms=_mean(onsets_ms),
        max_onset_error_ms=float(onsets_ms.max(initial=0)),
        duration_error_ms=_mean(durations_ms),
        pedals=len(score.pedals),
        pedals_lost=max(0, len(score.pedals) - len(decoded.pedals)),
        **_maps(score, decoded, codec.in_seconds, shift),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _times(score: Score, ticks: np.ndarray, in_seconds: bool) -> np.ndarray:
    return score.seconds(ticks) if in_seconds else ticks / score.ticks_per_quarter


def _notes(score: Score, in_seconds: bool) -> _Notes:
    notes = score.notes
    drum = np.array([track.drum for track in score.tracks], bool)
    key = np.where(drum[notes["track"]], notes["pitch"] + np.uint8(128), notes["pitch"])
    order = np.argsort(key, kind="stable")  # within a key they stay in the order of their onsets
    key, notes = key[order], notes[order]
    end_tick = notes["onset_tick"] + notes["duration_tick"]
    return _Notes(key, _times(score, notes["onset_tick"], in_seconds), _times(score, end_tick, in_seconds))


def _shift(here: _Notes, there: _Notes, grid: float) -> float:
    """How much earlier the decoded piece is: the least by which most of its first notes are before one of their pitch."""
    first = np.argsort(there.onset, kind="stable")[:VOTERS]
    voter, note = np.nonzero(there.key[first][:, None] == here.key)
    apart = here.onset[note] - there.onset[first[voter]]
    voter, apart = voter[apart > -grid], apart[apart > -grid]
    if not len(apart):
        return 0.0
    place = (apart / grid).astype(np.int64) + 1  # bins around 0 and its multiples; three together are one candidate
    near = np.zeros((len(first), int(place.max()) + 3), bool)
    for further in range(3):
        near[voter, place + further] = True
    votes = near.sum(axis=0)
    best = votes == votes.max()
    chosen = int(np.argmax(best))
    chosen += int(best[chosen : chosen + 3].all())  # the middle one, where three hold the same notes
    return float(apart[(place <= chosen) & (place > chosen - 3)].mean())


def _aligned(here: _Notes, there: _Notes, shift: float) -> tuple[np.ndarray, float]:
    """Matched notes, int64 [2, N], after a shift of the decoded piece, and how far half of them are later still."""
    mine, other = _matched(here, there._replace(onset=there.onset + shift))
    return np.stack([mine, other]), float(np.median(here.onset[mine] - there.onset[other]) - shift) if len(
        mine
    ) else 0.0


def _matched(here: _Notes, there: _Notes) -> np.ndarray:
    """Pairs of notes of one pitch, int64 [2, N]: in turn, where nothing is lost; else those that are each other's nearest.

    Nearest is asked again among those left, until none is.
    """
    left, right = np.arange(len(here.key)), np.arange(len(there.key))
    if np.array_equal(here.key, there.key) and (np.abs(here.onset - there.onset) <= REACH).all():
        return np.stack([left, right])
    found = [np.zeros((2, 0), np.int64)]
    while len(left) and len(right):
        to = _nearest(here.key[left], here.onset[left], there.key[right], there.onset[right])
        back = _nearest(there.key[right], there.onset[right], here.key[left], here.onset[left])
        mutual = np.flatnonzero((to >= 0) & (back[to] == np.arange(len(left))))
        if not len(mutual):
            break
        found.append(np.stack([left[mutual], right[to[mutual]]]))
        left, right = np.delete(left, mutual), np.delete(right, to[mutual])
    return np.concatenate(found, axis=1)


def _nearest(key: np.ndarray, onset: np.ndarray, among_key: np.ndarray, among_onset: np.ndarray) -> np.ndarray:
    """For each note the index of the nearest of its key within reach, the first of equals; -1: none. All are sorted."""
    span = max(onset.max(), among_onset.max()) - min(onset.min(), among_onset.min()) + 4 * REACH
    place, among = key * span + onset, among_key * span + among_onset
    after = np.searchsorted(among, place).clip(max=len(among) - 1)
    before = np.searchsorted(among, among[np.maximum(after - 1, 0)])
    nearest = np.where(np.abs(among[before] - place) <= np.abs(among[after] - place), before, after)
    return np.where(np.abs(among[nearest] - place) <= REACH, nearest, -1)


def _maps(score: Score, decoded: Score, in_seconds: bool, shift: float) -> dict:
    """The fields of Fidelity that say what became of tempi, meters and keys."""
    found: dict = {}
    defaults = {"tempi": (DEFAULT_US_PER_QUARTER,), "meters": DEFAULT_METER, "keys": ()}
    for name, default in defaults.items():
        rows, others = settled(getattr(score, name), *default), settled(getattr(decoded, name), *default)
        rows = rows[rows["tick"] < score.end_tick]  # after it there is nothing to hear
        moment = _times(score, rows["tick"], in_seconds) + GRID_QUARTERS  # a grid may have moved it
        start = np.where(others["tick"] > 0, _times(decoded, others["tick"], in_seconds) + shift, -np.inf)
        at = np.searchsorted(start, moment, side="right") - 1
        match = others[np.maximum(at, 0)] if len(others) else rows
        if name == "tempi":
            error = np.abs(rows["us_per_quarter"] / match["us_per_quarter"] - 1)
            kept = error <= TEMPO_TOLERANCE
            found["max_tempo_error_ratio"] = float(error[kept].max(initial=0))
        else:
            fields = [field for field in rows.dtype.names or () if field != "tick"]
            kept = (rows[fields] == match[fields]) & (at >= 0)
        found |= {name: len(rows), f"{name}_lost": int((~kept).sum())}
    return found


def total(pieces: Iterable[Fidelity]) -> Fidelity:
    """The figures of many pieces together: sums, means over the notes kept, largest errors."""
    sums = Fidelity()
    for piece in pieces:
        kept, more = sums.notes - sums.lost, piece.notes - piece.lost
        values: dict = {}
        for name, a, b in zip(Fidelity._fields, sums, piece, strict=True):
            if name.startswith("max_"):
                values[name] = max(a, b)
            elif name.endswith("_ms"):
                values[name] = (a * kept + b * more) / max(1, kept + more)
            else:
                values[name] = a + b
        sums = Fidelity(**values)
    return sums
