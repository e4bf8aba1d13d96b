"""Families of near-duplicates: transposed, re-tempoed and re-arranged copies of a tune, found by what stays the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstmusic.score import Score

LINES = 4  # of a piece that are sketched
HASHES = 96  # of a line


class Families(NamedTuple):
    """Which pieces are near-duplicates of which.

    Attributes:
        family: int64 [P], for each piece the first piece of its family (itself, if it is the first or has no relative).
        relative: int64 [P], the piece before it that is most like it; -1: none.
        similarity: float32 [P], how like, 0..1 (estimated share of common shingles); 0 where there is none.
    """

    family: np.ndarray
    relative: np.ndarray
    similarity: np.ndarray


def sketch(score: Score) -> np.ndarray:
    """What is compared of a piece: uint32 [LINES, HASHES], the same in every key, tempo and notation of its rhythm."""
    raise NotImplementedError


def group(sketches: np.ndarray) -> Families:
    """The families among pieces.

    Args:
        sketches: uint32 [P, LINES, HASHES], of pieces in the order of their names; may be a memory map.
    """
    raise NotImplementedError
