"""Ticks <-> seconds along a tempo map."""

from __future__ import annotations

import numpy as np

# tick [K], start_s [K], seconds_per_tick [K]: see `tempo_map`
TempoMap = tuple[np.ndarray, np.ndarray, np.ndarray]


def tempo_map(tick: np.ndarray, seconds_per_tick: np.ndarray) -> TempoMap:
    """Where each tempo starts, in ticks [K] and seconds [K], and its seconds per tick [K]; tick[0] must be 0."""
    start_s = np.r_[0.0, np.cumsum(np.diff(tick) * seconds_per_tick[:-1])]
    return tick, start_s, seconds_per_tick


def seconds_at(tempi: TempoMap, ticks: np.ndarray | int) -> np.ndarray:
    """Seconds (float64) at the given ticks."""
    tick, start_s, seconds_per_tick = tempi
    ticks = np.asarray(ticks)
    k = np.maximum(np.searchsorted(tick, ticks, side="right") - 1, 0)
    return start_s[k] + (ticks - tick[k]) * seconds_per_tick[k]


def ticks_at(tempi: TempoMap, seconds: np.ndarray | float) -> np.ndarray:
    """The nearest ticks (int64) to the given seconds."""
    tick, start_s, seconds_per_tick = tempi
    seconds = np.asarray(seconds, np.float64)
    k = np.maximum(np.searchsorted(start_s, seconds, side="right") - 1, 0)
    return np.rint(tick[k] + (seconds - start_s[k]) / seconds_per_tick[k]).astype(np.int64)
