"""What a song is drawn by: how boldly, how long, how much of itself it repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lstmusic.errors import ConfigError
from lstmusic.sampling import filters

Curve = tuple[tuple[float, float], ...]
"""(bar, temperature) pairs by rising bar; between two of them the temperature goes straight, beyond them it stays."""


@dataclass(frozen=True)
class SamplingSettings:
    """How ids are drawn; see `filters.probabilities`. `greedy` takes the likeliest id and ignores the rest.

    Attributes:
        temperature: a number, or a curve over bars of new music.
        pitch_temperature, time_temperature, velocity_temperature: times the temperature, within events of this kind.
    """

    temperature: float | Curve = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    greedy: bool = False
    pitch_temperature: float = 1.0
    time_temperature: float = 1.0
    velocity_temperature: float = 1.0


@dataclass(frozen=True)
class Repetition:
    """How much a song repeats itself; see `repetition`.

    Attributes:
        break_loops: raise the temperature while a song goes round in a circle.
        least: the share of bars, 0 to 1, that are to repeat an earlier one; 0: as the model likes.
    """

    break_loops: bool = True
    least: float = 0.0
