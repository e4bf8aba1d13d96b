"""What an encoding loses: a piece beside what its ids decode to, note by note and map by map.

A note is found again in the nearest one of its pitch (drums apart). An encoding on a grid of beats is compared in beats,
by the piece's own tempo map, so that a rounded tempo is an error of the tempo and not one that grows along the piece; one
in seconds is compared in seconds. Where the decoded piece as a whole begins earlier (silence at the start that was left
out) is no error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lstmusic.events.codec import Codec
from lstmusic.score import Score
from lstmusic.score.score import DEFAULT_METER, DEFAULT_US_PER_QUARTER, settled

REACH_S = 0.5  # what is further away is another note
VOTERS = 64  # notes at the start that tell how much silence was left out
VOTE_S = 0.05
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
        tempi, meters, keys: rows of the Score's maps, the one in force at the start included.
        tempi_lost, meters_lost, keys_lost: of them, what the decoded piece does not have at that moment.
        max_tempo_error: the largest relative error of the tempi kept.
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
    max_tempo_error: float = 0.0
    meters: int = 0
    meters_lost: int = 0
    keys: int = 0
    keys_lost: int = 0
    pedals: int = 0
    pedals_lost: int = 0


class _Timed(NamedTuple):
    """Notes [N] sorted by key (pitch, drums apart) and onset."""

    key: np.ndarray
    onset_s: np.ndarray
    duration_s: np.ndarray


def measure(codec: Codec, score: Score, ids: np.ndarray) -> Fidelity:
    """What the ids of a piece keep of it.

    Args:
        codec: whose `encode(score)` gave the ids. Where it can be stretched, it holds seconds, otherwise beats.
        ids: uint16 [N].
    """
    decoded = codec.decode(ids)
    clock = decoded if codec.stretchable else score
    resolution = 1.0 if codec.stretchable else score.ticks_per_quarter / decoded.ticks_per_quarter
    here, there = _timed(score, score, 1.0), _timed(decoded, clock, resolution)
    shift_s = _shift(here, there)
    pairs = _matched(here, there._replace(onset_s=there.onset_s + shift_s))
    error_s = here.onset_s[pairs[0]] - there.onset_s[pairs[1]] - shift_s
    if len(error_s):
        error_s -= np.median(error_s)  # what all have in common: the rest of the shift
    errors_ms = 1000 * np.abs(error_s)
    durations_ms = 1000 * np.abs(here.duration_s[pairs[0]] - there.duration_s[pairs[1]])
    return Fidelity(
        notes=len(score.notes),
        lost=len(score.notes) - len(error_s),
        added=len(decoded.notes) - len(error_s),
        onset_error_ms=_mean(errors_ms),
        max_onset_error_ms=float(errors_ms.max(initial=0)),
        duration_error_ms=_mean(durations_ms),
        pedals=len(score.pedals),
        pedals_lost=max(0, len(score.pedals) - len(decoded.pedals)),
        **_maps(score, decoded, clock, resolution, shift_s),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _timed(score: Score, clock: Score, resolution: float) -> _Timed:
    """The notes of a Score in the seconds of a clock that has `resolution` ticks to one of the Score."""
    notes = score.notes
    drum = np.array([track.drum for track in score.tracks], bool)
    key = notes["pitch"] + 128 * drum[notes["track"]]
    onset_s = clock.seconds(notes["onset_tick"] * resolution)
    duration_s = clock.seconds((notes["onset_tick"] + notes["duration_tick"]) * resolution) - onset_s
    order = np.lexsort((onset_s, key))
    return _Timed(key[order], onset_s[order], duration_s[order])


def _shift(here: _Timed, there: _Timed) -> float:
    """Seconds by which the decoded piece is early: what most pairs of first notes of one pitch are apart."""
    first, second = (np.argsort(notes.onset_s, kind="stable")[:VOTERS] for notes in (here, there))
    apart = here.onset_s[first][:, None] - there.onset_s[second]
    apart = apart[here.key[first][:, None] == there.key[second]]
    if not len(apart):
        return 0.0
    values, votes = np.unique(np.rint(apart / VOTE_S), return_counts=True)
    near = np.abs(apart - VOTE_S * values[np.lexsort((np.abs(values), -votes))[0]]) <= VOTE_S
    return float(np.median(apart[near]))


def _matched(here: _Timed, there: _Timed) -> np.ndarray:
    """Pairs of notes of one pitch that are each other's nearest, int64 [2, N]; again among those left, until none is."""
    left, right = np.arange(len(here.key)), np.arange(len(there.key))
    found = [np.zeros((2, 0), np.int64)]
    while len(left) and len(right):
        to = _nearest(here.key[left], here.onset_s[left], there.key[right], there.onset_s[right])
        back = _nearest(there.key[right], there.onset_s[right], here.key[left], here.onset_s[left])
        mutual = np.flatnonzero((to >= 0) & (back[to] == np.arange(len(left))))
        if not len(mutual):
            break
        found.append(np.stack([left[mutual], right[to[mutual]]]))
        left, right = np.delete(left, mutual), np.delete(right, to[mutual])
    return np.concatenate(found, axis=1)


def _nearest(key: np.ndarray, onset_s: np.ndarray, among_key: np.ndarray, among_s: np.ndarray) -> np.ndarray:
    """For each note the index of the nearest of its key within reach, the first of equals; -1: none. All are sorted."""
    span = max(onset_s.max(), among_s.max()) - min(onset_s.min(), among_s.min()) + 4 * REACH_S
    place, among = key * span + onset_s, among_key * span + among_s
    after = np.searchsorted(among, place).clip(max=len(among) - 1)
    before = np.searchsorted(among, among[np.maximum(after - 1, 0)])
    nearest = np.where(np.abs(among[before] - place) <= np.abs(among[after] - place), before, after)
    return np.where(np.abs(among[nearest] - place) <= REACH_S, nearest, -1)


def _maps(score: Score, decoded: Score, clock: Score, resolution: float, shift_s: float) -> dict:
    """The fields of Fidelity that say what became of tempi, meters and keys."""
    found: dict = {}
    defaults = {"tempi": (DEFAULT_US_PER_QUARTER,), "meters": DEFAULT_METER, "keys": ()}
    for name, default in defaults.items():
        rows, others = settled(getattr(score, name), *default), settled(getattr(decoded, name), *default)
        starts_s = clock.seconds(others["tick"] * resolution) + shift_s
        # A row counts as kept where it is in force a little after its moment: a grid may move it.
        at = np.searchsorted(starts_s, score.seconds(rows["tick"]) + VOTE_S, side="right") - 1
        present = at >= 0 if name == "keys" else np.ones(len(rows), bool)
        match = others[np.maximum(at, 0)] if len(others) else rows
        if name == "tempi":
            error = np.abs(rows["us_per_quarter"] / match["us_per_quarter"] - 1)
            kept = error <= TEMPO_TOLERANCE
            found["max_tempo_error"] = float(error[kept].max(initial=0))
        else:
            fields = [field for field in rows.dtype.names or () if field != "tick"]
            kept = present & (rows[fields] == match[fields]) & bool(len(others))
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
