"""Train, valid and test by family, seeded: near-duplicates (see `families`) stay on one side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
FRACTIONS = (("valid", 0.1), ("test", 0.1))


def assign(families: Sequence[str], seed: int) -> list[str]:
    """The split of each piece: 80/10/10 of the families, drawn with the seed. Valid and test get one piece at least.

    Args:
        families: one name per piece; pieces of one family share a split.

    Returns:
        `train`, `valid` or `test` per piece; with fewer than three families valid and test stay empty.
    """
    names = sorted(set(families))
    order = np.random.default_rng(seed).permutation(len(names))
    split_of = dict.fromkeys(names, "train")
    if len(names) >= 3:
        start = 0
        for split, fraction in FRACTIONS:
            count = max(1, round(fraction * len(names)))
            for k in order[start : start + count]:
                split_of[names[k]] = split
            start += count
    return [split_of[name] for name in families]


def evenly(pieces: Sequence[T], count: int) -> list[T]:
    """So many of some pieces, evenly drawn in their order; all where there are no more."""
    count = min(count, len(pieces))
    return [pieces[k * len(pieces) // count] for k in range(count)]
