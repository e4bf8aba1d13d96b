"""What the music around a moment is like, as categorical columns that a model may be told; 0: it is not told.

A model that was told them in training, though not always, can be asked for them when it writes: with how many notes a bar
has, and with the share of each pitch class. Leaving a condition out at random, so that one model learns both with and
without it, is classifier-free guidance's training (Ho and Salimans 2022, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # every grammar has these columns: it knows this module
    from lstmusic.events.grammar import Grammar

WINDOW_BARS = 4
NOTE_KINDS = ("NOTE_ON", "PITCH")  # that strike a pitch; drums have none, and do not count
NUM_PITCH_CLASSES = 12
HALF_STEPS = 16  # levels of density: from half a note per bar to ninety, each the square root of 2 times the one before
LEAST_DENSITY = 0.5
SHARE_EDGES = np.array([np.nextafter(0, 1), 0.03, 0.07, 0.11, 0.16, 0.22, 0.32])  # where levels 2 to 8 of a share begin
UNKNOWN = 0
EDGE_BARS = 1e-6  # times of bars are rounded: a note this near to an edge stands on it
SIZES = {
    "density": 1 + HALF_STEPS,
    **{f"pitch_class_{k}": 2 + len(SHARE_EDGES) for k in range(NUM_PITCH_CLASSES)},
}
DENSITY, PITCH_CLASSES = slice(0, 1), slice(1, 1 + NUM_PITCH_CLASSES)  # which columns tell which


def measured(grammar: Grammar, ids: np.ndarray, states: np.ndarray) -> np.ndarray:
    """What the music around each id of a piece is like, int16 [N, 13] in the order of `SIZES`.

    It is that of the `WINDOW_BARS` bars that begin where the id stands; near the end, of the last ones of the piece.

    Args:
        grammar: of any encoding whose ids strike pitches.
        ids: int [N], a whole piece.
        states: [N], the grammar's state before each id.
    """
    ids, bars = np.asarray(ids, np.int64), grammar.length(states)[0]
    onset_bars, pitch_classes = _onsets(grammar, ids, bars)
    last = max(float(bars[-1]) - WINDOW_BARS, 0.0)
    start = np.minimum(bars, last) - EDGE_BARS
    first, after = (np.searchsorted(onset_bars, edge) for edge in (start, start + WINDOW_BARS))
    struck = np.zeros((len(onset_bars) + 1, NUM_PITCH_CLASSES), np.int64)  # before each onset, of each pitch class
    np.cumsum(pitch_classes[:, None] == np.arange(NUM_PITCH_CLASSES), axis=0, out=struck[1:])
    count = after - first
    density = count / np.clip(float(bars[-1]), 1.0, WINDOW_BARS)
    shares = (struck[after] - struck[first]) / np.maximum(count, 1)[:, None]
    return np.concatenate([_density_level(density)[:, None], _share_levels(shares)], axis=1).astype(np.int16)


def _onsets(grammar: Grammar, ids: np.ndarray, bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """When each note of a piece is struck, in bars, float [notes], and its pitch class, int64 [notes]."""
    (kind,) = {events.kind for events in grammar.vocabulary.ranges} & set(NOTE_KINDS)
    struck = np.flatnonzero(grammar.vocabulary.is_kind(kind, ids))
    return bars[struck], grammar.vocabulary.values(kind, ids[struck]) % NUM_PITCH_CLASSES


def asked(density: float | None, pitch_classes: Sequence[float] | None) -> np.ndarray:
    """The columns that ask for music, int16 [13]; `UNKNOWN` where nothing is asked.

    Args:
        density: notes per bar, all voices together, above 0.
        pitch_classes: 12 weights from 0, from C; only their proportions count.
    """
    columns = np.full(len(SIZES), UNKNOWN, np.int16)
    if density is not None:
        columns[DENSITY] = _density_level(np.array(density))
    if pitch_classes is not None:
        weights = np.asarray(pitch_classes, np.float64)
        columns[PITCH_CLASSES] = _share_levels(weights / weights.sum())
    return columns


def _density_level(density: np.ndarray) -> np.ndarray:
    """The level, 1 to 16, of each number of notes per bar."""
    half_steps = np.rint(2 * np.log2(np.maximum(density, LEAST_DENSITY) / LEAST_DENSITY))
    return 1 + np.clip(half_steps, 0, HALF_STEPS - 1).astype(np.int64)


def _share_levels(shares: np.ndarray) -> np.ndarray:
    """The level, 1 (none) to 8, of each share."""
    return 1 + np.searchsorted(SHARE_EDGES, shares, side="right")
