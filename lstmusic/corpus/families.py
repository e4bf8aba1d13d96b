"""Families of near-duplicates: transposed, re-tempoed and re-arranged copies of a tune, found by what stays the same.

A piece is a few lines (its skyline, and the top of each track that is no accompaniment in chords); a line is a set of
shingles: six successive steps, each an interval and how the time between onsets changes. No shingle knows the key, the
tempo, the length of a beat or how often it is played. Lines are sketched by MinHash (Broder 1997) and compared where a
band of their sketches agrees (locality-sensitive hashing; Indyk and Motwani 1998). Thresholds: docs/families.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lstmusic.score import Score

LINES = 4  # of a piece that are sketched
HASHES = 128  # of a line
BAND = 2  # hashes that must agree for two lines to be compared
THRESHOLD = 0.3  # of the shorter line's shingles in the other: a family

STEPS = 6  # of a shingle
DISTINCT_STEPS = 4  # of a shingle; patterns of fewer (scales, broken chords, pounding basses) are everybody's
MIN_SHINGLES = 8  # of a line; fewer tell no tune from another
MAX_INTERVAL = 24  # semitones; wider leaps are alike
RATIO_EDGES = (0.45, 0.8, 1.25, 2.2)  # between a quarter, a half, as long, twice and four times as long
CHORDAL = 0.6  # distinct onsets per note (of other pitch class) under which a track is chords
REACH = 8  # onsets for which a held note hides lower ones

NO_LINE = np.uint32(0xFFFFFFFF)
MULTIPLIERS = np.random.default_rng(0).integers(0, 2**64, HASHES, dtype=np.uint64) | np.uint64(1)
CHUNK = 1 << 15  # pairs that are compared at a time: bounds the memory


class Families(NamedTuple):
    """Which pieces are near-duplicates of which.

    Attributes:
        family: int64 [P], for each piece the first piece of its family (itself, if it is the first or has no relative).
        relative: int64 [P], of the pieces before it that it was compared with, the one most like it; -1: none.
        similarity: float32 [P], how like: the share (estimated, 0..1) of the shorter line's shingles in the other.
    """

    family: np.ndarray
    relative: np.ndarray
    similarity: np.ndarray


def sketch(score: Score) -> np.ndarray:
    """What is compared of a piece: uint32 [LINES, HASHES], the same in every key, tempo and notation of its rhythm.

    A piece without a line that tells it from others (drums alone, a few notes, one pattern) is like its exact copies only.
    """
    out = np.full((LINES, HASHES), NO_LINE)
    sets = [codes for codes in shingles(score) if len(codes) >= MIN_SHINGLES] or [_whole(score)]
    for row, codes in zip(out, sets, strict=False):
        row[:] = _min_hashes(codes)
    return out


def shingles(score: Score) -> list[np.ndarray]:
    """The distinct shingles of each line of a piece, sorted int64 [S]."""
    return [_shingles(*line) for line in lines(score)]


def lines(score: Score) -> list[tuple[np.ndarray, np.ndarray]]:
    """The lines of a piece, at most LINES, each as onset ticks and pitches, int64 [N]: its skyline, then the longest."""
    drum = np.array([track.drum for track in score.tracks], bool)
    notes = score.notes[~drum[score.notes["track"]]]
    notes = notes[np.lexsort((-notes["pitch"].astype(np.int64), notes["onset_tick"]))]
    if not len(notes):
        return []
    tracks = np.unique(notes["track"])
    parts = [notes[notes["track"] == track] for track in tracks] if len(tracks) > 1 else []
    tops = sorted((_skyline(part) for part in parts if not _is_chordal(part)), key=lambda line: -len(line[0]))
    return [_skyline(notes), *tops][:LINES]


def _is_chordal(notes: np.ndarray) -> bool:
    """Whether notes, sorted by onset, come in chords; a melody in octaves does not."""
    onset = notes["onset_tick"]
    num_onsets = 1 + int(np.count_nonzero(np.diff(onset)))
    return num_onsets < CHORDAL * len(np.unique(onset * 12 + notes["pitch"] % 12))


def _skyline(notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of notes, sorted by onset and from high to low, those with none above that begins with them or still sounds."""
    notes = notes[np.diff(notes["onset_tick"], prepend=-1) > 0]
    onset, pitch = notes["onset_tick"], notes["pitch"].astype(np.int64)
    end = onset + notes["duration_tick"]
    hidden = np.zeros(len(notes), bool)
    for back in range(1, min(REACH, len(notes) - 1) + 1):
        hidden[back:] |= (end[:-back] > onset[back:]) & (pitch[:-back] > pitch[back:])
    return onset[~hidden], pitch[~hidden]


def _shingles(onset: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    if len(onset) < STEPS + 2:
        return np.zeros(0, np.int64)
    gap = np.diff(onset)
    interval = np.diff(pitch)[:-1].clip(-MAX_INTERVAL, MAX_INTERVAL) + MAX_INTERVAL
    step = interval * (len(RATIO_EDGES) + 1) + np.digitize(gap[1:] / gap[:-1], RATIO_EDGES)
    windows = np.lib.stride_tricks.sliding_window_view(step, STEPS)
    distinct = 1 + (np.diff(np.sort(windows, axis=1), axis=1) > 0).sum(axis=1)
    return np.unique(windows[distinct >= DISTINCT_STEPS] @ 256 ** np.arange(STEPS))


def _whole(score: Score) -> np.ndarray:
    """The one shingle of a whole piece, int64 [1]: its onsets in their common unit and its pitches from the first."""
    onset, pitch = score.notes["onset_tick"], score.notes["pitch"].astype(np.int64)
    onset = onset - onset[:1]
    onset = onset // max(1, np.gcd.reduce(onset, initial=0))
    digest = hashlib.blake2b(np.stack([onset, pitch - pitch[:1]]).tobytes(), digest_size=8).digest()
    return np.frombuffer(digest, np.int64)


def _min_hashes(codes: np.ndarray) -> np.ndarray:
    """The smallest of each hash of the codes [S], uint32 [HASHES]; the codes are scrambled first (SplitMix64)."""
    x = codes.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return ((x[:, None] * MULTIPLIERS).min(axis=0) >> np.uint64(32)).astype(np.uint32)


def group(sketches: np.ndarray) -> Families:
    """The families among pieces: those that are linked by pieces alike.

    Args:
        sketches: uint32 [P, LINES, HASHES], of pieces in the order of their names; may be a memory map. Beside it this
            needs about 200 bytes per line and 50 MB.
    """
    count = len(sketches)
    flat = sketches.reshape(-1, HASHES)
    relative, similarity = np.full(count, -1), np.zeros(count, np.float32)
    family = np.arange(count)
    for first, second in _candidates(flat):
        alike = similarities(flat[first], flat[second])
        close = alike >= THRESHOLD
        earlier, later = first[close] // LINES, second[close] // LINES
        _keep_nearest(relative, similarity, earlier, later, alike[close])
        family = _united(family, earlier, later)
    return Families(family, relative, similarity)


def similarities(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The share of the shorter line's shingles that are in the other, float32 [N], estimated from two uint32 [N, HASHES].

    The share of equal hashes estimates the Jaccard index, the mean hash the number of shingles.
    """
    jaccard = (first == second).mean(axis=1)
    sizes = [2.0**32 / np.maximum(hashes.mean(axis=1), 1) - 1 for hashes in (first, second)]
    common = jaccard / (1 + jaccard) * (sizes[0] + sizes[1])
    return np.minimum(common / np.maximum(np.minimum(*sizes), 1e-9), 1).astype(np.float32)


def _candidates(flat: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of lines of different pieces that agree in a band, the earlier first, as rows of the sketches; in chunks.

    A line is paired with the one before it and with the first that shares its band: as many pairs as lines, however many
    share it.
    """
    rows = np.flatnonzero(flat[:, 0] != NO_LINE)
    for start in range(0, HASHES, BAND):
        keys = np.ascontiguousarray(flat[:, start : start + BAND]).view(np.uint64)[rows, 0]
        order = np.argsort(keys, kind="stable")
        same = np.r_[False, keys[order[1:]] == keys[order[:-1]]][: len(order)]
        leader = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
        where = np.flatnonzero(same)
        pairs = np.stack([np.r_[where - 1, leader[where]], np.r_[where, where]])
        first, second = rows[order[pairs]]
        apart = first // LINES != second // LINES
        first, second = first[apart], second[apart]
        for begin in range(0, len(first), CHUNK):
            yield first[begin : begin + CHUNK], second[begin : begin + CHUNK]


def _keep_nearest(
    relative: np.ndarray, similarity: np.ndarray, earlier: np.ndarray, later: np.ndarray, alike: np.ndarray
) -> None:
    """Write the nearest of the earlier pieces beside each later one, where it is nearer than what stands there."""
    order = np.lexsort((earlier, -alike, later))
    order = order[np.diff(later[order], prepend=-1) > 0]
    earlier, later, alike = earlier[order], later[order], alike[order]
    tie = (alike == similarity[later]) & (earlier < relative[later])
    better = (alike > similarity[later]) | tie
    relative[later[better]], similarity[later[better]] = earlier[better], alike[better]


def _united(family: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The families [P] (each named by its first piece) after every first piece was linked with its second."""
    while True:
        names = family[first], family[second]
        if np.array_equal(*names):
            return family
        np.minimum.at(family, np.maximum(*names), np.minimum(*names))
        while not np.array_equal(family, parents := family[family]):
            family = parents
