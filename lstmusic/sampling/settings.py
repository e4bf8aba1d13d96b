"""What a song is drawn by: how boldly, how long, how much of itself it repeats."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lstmusic.errors import ConfigError

COLDEST, HOTTEST = 1e-6, 1e6  # temperatures beyond which numbers overflow
Curve = tuple[tuple[float, float], ...]
"""(bar, temperature) pairs by rising bar; between two of them the temperature goes straight, beyond them it stays."""


def curve_of(temperature: Any) -> Any:
    """A temperature as `SamplingSettings` takes it: pairs in lists or arrays as tuples, NumPy's numbers as Python's."""
    plain = temperature.tolist() if isinstance(temperature, np.ndarray | np.generic) else temperature
    return tuple(tuple(point) for point in plain) if isinstance(plain, list | tuple) else plain


@dataclass(frozen=True)
class SamplingSettings:
    """How ids are drawn; see `filters.probabilities`. `greedy` takes the likeliest id and ignores the rest.

    Attributes:
        temperature: a number, or a curve over bars of new music.
        top_k, top_p, min_p: see `filters.probabilities`.
        pitch_temperature, velocity_temperature: times the temperature by which one of the events of this kind is chosen.
        time_temperature: the same for durations and shifts, and for the choice between kinds: when the next note comes.
    """

    temperature: float | Curve = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    greedy: bool = False
    pitch_temperature: float = 1.0
    time_temperature: float = 1.0
    velocity_temperature: float = 1.0

    def __post_init__(self) -> None:
        curve = self.temperature if isinstance(self.temperature, tuple) else ()
        values = [temperature for _, temperature in curve]
        for temperature in values if curve else (self.temperature,):
            _check_temperature("temperature", temperature)
        if any(later <= earlier for (earlier, _), (later, _) in pairwise(curve)):
            raise ConfigError(f"temperature={[list(point) for point in curve]}: expected bars that rise")
        for kind in ("pitch", "time", "velocity"):
            _check_temperature(f"sampling.{kind}_temperature", getattr(self, f"{kind}_temperature"))
        if self.top_k < 0:
            raise ConfigError(f"sampling.top_k={self.top_k}: expected 0 (off) or a positive number")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"sampling.top_p={self.top_p}: expected 0 < top_p <= 1 (1 is off)")
        if not 0 <= self.min_p < 1:
            raise ConfigError(f"sampling.min_p={self.min_p}: expected 0 <= min_p < 1 (0 is off)")

    def temperature_at(self, bars: np.ndarray) -> np.ndarray:
        """The temperature after so many bars of new music, float64 of the same shape."""
        if not isinstance(self.temperature, tuple):
            return np.full(np.shape(bars), float(self.temperature))
        places, values = zip(*self.temperature, strict=True)
        return np.interp(bars, places, values)


def _check_temperature(name: str, value: object) -> None:
    if not isinstance(value, int | float) or not COLDEST <= value <= HOTTEST:
        raise ConfigError(
            f"{name}={value}: expected a positive number, {COLDEST} to {HOTTEST:g} (for the likeliest song: greedy=true)"
        )


@dataclass(frozen=True)
class Repetition:
    """How much a song repeats itself.

    Attributes:
        break_loops: raise the temperature while a song goes round in a loop; see `repetition.LoopWatch`.
        least: the share of bars, 0 to 1, that are to repeat an earlier one; 0: as the model likes; see `form.Form`.
    """

    break_loops: bool = True
    least: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise ConfigError(f"repetition.least={self.least}: expected 0 (off) to 1")


@dataclass(frozen=True)
class Length:
    """How much music is written beyond the primer; without either the model ends each song itself.

    Attributes:
        bars, seconds: the song ends there, or at the nearer of both: at the last step of the encoding's grid that fits. An
            encoding without a grid (MidiTok's) goes on to the id that reaches it.
        cadence: of several ways to the end, take one after which the model itself would end; see `ending`.
    """

    bars: float | None = None
    seconds: float | None = None
    cadence: bool = True

    def __post_init__(self) -> None:
        for name in ("bars", "seconds"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise ConfigError(f"length.{name}={value}: expected a positive number")

    @property
    def given(self) -> bool:
        """Whether a length was asked for; then no song ends before it."""
        return self.bars is not None or self.seconds is not None
