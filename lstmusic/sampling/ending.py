"""How a song comes to its end: of many ways to the end the one after which the model itself would stop.

A song that is told when to end was not written towards it: most often the model would have gone on. So its last bars are
written many times over, side by side, from the same moment, and each way is weighed by how likely the model finds an end
there; one is drawn by these weights. That is sampling from "what comes next, given that the song ends here", by importance
resampling (Rubin, 1987), with nothing but the model's own opinion of endings: cadences come because pieces end with them.
"""

from __future__ import annotations

import numpy as np

HORIZON_BARS = 2.0  # so much is written over
HORIZON_SECONDS = 4.0


def is_near(left_bars: np.ndarray, left_seconds: np.ndarray) -> np.ndarray:
    """bool [B]: the songs whose last bars begin, given what is left of each."""
    return (left_bars <= HORIZON_BARS + 1e-9) | (left_seconds <= HORIZON_SECONDS + 1e-9)


def choose(closing_nats: np.ndarray, uniform: float) -> int:
    """One of the ways to the end.

    Args:
        closing_nats: float64 [P], the nats of what ends the song, its EOS and what has to come before it.
        uniform: a number in [0, 1).
    """
    weights = np.exp(closing_nats.min() - closing_nats)
    cumulative = weights.cumsum()
    return int(min(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"), len(weights) - 1))
