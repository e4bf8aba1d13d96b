"""Checks of values, each with one line that names the key, what came and what was expected."""

from __future__ import annotations

import difflib
import math
import unicodedata
from types import UnionType

from lstmusic.errors import ConfigError

NEAR = 0.75  # two of eight letters may differ
UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, separators of lines


def at_least(key: str, value: float, lowest: float) -> None:
    """Raise ConfigError where a value is too small, or not finite."""
    if not abs(value) < math.inf:  # whole numbers may be of any size
        raise ConfigError(f"{key}={value}: expected a finite number, at least {lowest}")
    if value < lowest:
        raise ConfigError(f"{key}={value}: expected at least {lowest}")


def is_printable(text: str) -> bool:
    """Whether a text fits one line of a terminal and of a file, in any language."""
    return all(unicodedata.category(letter) not in UNPRINTABLE for letter in text)


def check_printable(key: str, text: str) -> None:
    """Raise ConfigError where a text is not printable."""
    if not is_printable(text):
        raise ConfigError(f"{key}={text!r:.60}: expected text without control characters, in one line")


def check_jobs(jobs: int) -> None:
    """Raise ConfigError where a number of processes is none."""
    if jobs < -1 or jobs == 0:
        raise ConfigError(f"jobs={jobs}: expected a number of processes, or -1 for one per core")


def of_kind(key: str, value: object, kind: type | UnionType, expected: str) -> None:
    """Raise ConfigError where an argument is something else altogether."""
    if not isinstance(value, kind):
        raise ConfigError(f"{key}: came as {type(value).__name__}, expected {expected}")


def is_list_of(kind: type[int] | type[float], value: object, size: int) -> bool:
    """Whether a value is a list of so many finite numbers; whole ones are floats too, truth values are not numbers."""
    kinds = (int,) if kind is int else (int, float)
    if not isinstance(value, list) or len(value) != size:
        return False
    return all(type(inside) in kinds and math.isfinite(inside) for inside in value)


def one_of(key: str, value: str, choices: tuple[str, ...] | list[str]) -> None:
    """Raise ConfigError where a value is not one of the choices; suggests the nearest."""
    if value not in choices:
        raise ConfigError(f"{key}={value}: expected one of {', '.join(choices)}{suggestion(value, choices)}")


def suggestion(word: str, choices: list[str] | tuple[str, ...]) -> str:
    """`; did you mean X?`, or nothing where no choice is near; of a key in a group its own name has to be near."""
    near = [choice for choice in choices if _likeness(_own_name(word), _own_name(choice)) >= NEAR]
    return f"; did you mean {max(near, key=lambda choice: _likeness(word, choice))}?" if near else ""


def _own_name(key: str) -> str:
    return key.rpartition(".")[2]


def _likeness(word: str, other: str) -> float:
    return difflib.SequenceMatcher(None, word, other).ratio()
