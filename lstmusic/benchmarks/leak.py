"""table=leak: how many validation pieces have a near-duplicate among those a model is trained on.

Near-duplicates are told without the sketches that make the families, by an exact search: two pieces that share a run of so
many successive intervals in one of their lines. Transposition does not hide a run; rhythm does not count. Runs of a few
intervals over and over (scales, broken chords) are in everybody's music and do not count either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstmusic.corpus import families, split
from lstmusic.score import Score, midi

PACKAGES = ("lstmusic", "numpy")
RUNS = (16, 24, 48)  # successive intervals; multiples of 8. Two, four and eight bars of a reel are 16, 32 and 64 notes
DISTINCT_INTERVALS = 5  # of a run that counts
SEEDS = range(5)


class Runs(NamedTuple):
    """Every run of intervals of a corpus, int64 [N] each: the piece it is in, and a number that the same runs share."""

    piece: np.ndarray
    run: np.ndarray


def run(files: Sequence[Path], on_progress: Callable[[int], None] = lambda done: None) -> list[dict[str, Any]]:
    """Split some pieces at random and by families, and look for near-duplicates across the border.

    Args:
        files: MIDI files.
        on_progress: called with the number of files that were just read.

    Returns:
        A row for each way to split: `name`, `pieces`, and for each length of RUNS, over SEEDS, the mean
        (`run_<length>`) and largest (`max_<length>`) share of validation pieces that have such a run in common with a
        training piece.
    """
    sketches, pieces = [], []
    for path in files:
        score = midi.read(path)
        sketches.append(families.sketch(score))
        pieces.append(intervals(score))
        on_progress(1)
    found = families.group(np.stack(sketches))
    names = {"random": np.arange(len(files)), "families": found.family}
    corpora = {length: shared_runs(pieces, length) for length in RUNS}
    rows = []
    for name, numbers in names.items():
        row: dict[str, Any] = {"name": name, "pieces": len(files)}
        splits = [np.array(split.assign([f"{number:09d}" for number in numbers], seed)) for seed in SEEDS]
        for length, runs in corpora.items():
            shares = [leak(runs, assigned) for assigned in splits]
            row |= {f"run_{length}": float(np.mean(shares)), f"max_{length}": max(shares)}
        rows.append(row)
    return rows


def intervals(score: Score) -> list[np.ndarray]:
    """The intervals of each line of a piece, in semitones, int8 [N-1]."""
    return [np.diff(pitch).astype(np.int8) for _, pitch in families.lines(score)]


def shared_runs(pieces: Sequence[Sequence[np.ndarray]], length: int) -> Runs:
    """The runs of `length` intervals (a multiple of 8) in pieces, each given as the intervals of its lines."""
    words, owner = [np.zeros((0, length // 8), np.uint64)], [np.zeros(0, np.int64)]
    for number, piece in enumerate(pieces):
        for line in piece:
            if len(line) >= length:
                windows = np.lib.stride_tricks.sliding_window_view(line, length)
                distinct = 1 + (np.diff(np.sort(windows, axis=1), axis=1) > 0).sum(axis=1)
                windows = windows[distinct >= DISTINCT_INTERVALS]
                words.append(np.ascontiguousarray(windows).view(np.uint64))
                owner.append(np.full(len(windows), number))
    table, piece_of = np.concatenate(words), np.concatenate(owner)
    order = np.lexsort(table.T)
    first = np.append(True, (table[order[1:]] != table[order[:-1]]).any(axis=1))[: len(order)]
    return Runs(piece_of[order], np.cumsum(first) - 1)


def leak(runs: Runs, splits: np.ndarray) -> float:
    """The share (0..1) of validation pieces that share a run with a training piece, for the split of each piece."""
    trained = np.zeros(int(runs.run.max(initial=-1)) + 1, bool)
    trained[runs.run[splits[runs.piece] == "train"]] = True
    leaked = np.unique(runs.piece[trained[runs.run] & (splits[runs.piece] == "valid")])
    return len(leaked) / max(1, int((splits == "valid").sum()))
