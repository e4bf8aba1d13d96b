"""How a song comes to its end: of many ways to the end one that the model itself would have taken.

A song that is told when to end is written with ids left out: those after which it could not end there, and in the end all
but those that close it. How likely the model finds what is left, all along the way, says how little it had to be forced.
So the last bars are written many times over, side by side, from the same moment, and one way is drawn by that likelihood:
at temperature 1 that is sampling from "what comes next, given that the song ends here" by importance resampling (Rubin,
1987). Cadences come because pieces end with them; the fewer ways would end there, the more it is a choice of the best.
"""

from __future__ import annotations

import numpy as np

HORIZON_BARS = 2.0  # so much is written over
HORIZON_SECONDS = 4.0


def is_near(left_bars: np.ndarray, left_seconds: np.ndarray) -> np.ndarray:
    """bool [B]: the songs whose last bars begin, given what is left of each."""
    return (left_bars <= HORIZON_BARS + 1e-9) | (left_seconds <= HORIZON_SECONDS + 1e-9)


def is_over(bars: float, seconds: float) -> bool:
    """Whether so much has been read, in bars and in seconds, that what follows weighs no more."""
    return bool(bars >= HORIZON_BARS - 1e-9 and seconds >= HORIZON_SECONDS - 1e-9)


def weights(forced_nats: np.ndarray) -> np.ndarray:
    """What ways weigh beside the best of them, float64 [P]; `forced_nats`: of each, minus the log of its weight."""
    return np.exp(forced_nats.min() - forced_nats)


def choose(forced_nats: np.ndarray, uniform: float) -> int:
    """One of the ways to the end.

    Args:
        forced_nats: float64 [P], for each way the sum over its ids of -log of the probability of all ids that were left.
        uniform: a number in [0, 1).
    """
    cumulative = weights(forced_nats).cumsum()
    return int(min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), len(cumulative) - 1))
