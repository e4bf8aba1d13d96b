"""Keys and scales by the names that musicians write: "C", "a", "F# minor", "D dorian", or pitch classes "0,2,4,7,9"."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events.conditions import NUM_PITCH_CLASSES

NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"#": 1, "♯": 1, "b": -1, "♭": -1}
MAJOR, MINOR = "major", "minor"
# A piece in minor leads to its tonic by the semitone below (V-i), and goes by the other seventh elsewhere: it has both.
SCALES = {
    MAJOR: (0, 2, 4, 5, 7, 9, 11),
    MINOR: (0, 2, 3, 5, 7, 8, 10, 11),
    "natural minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
}
TONIC_AND_SCALE = re.compile(r"([A-Ga-g])([#b♯♭]{0,2})(?:\s+(.+))?")
PITCH_CLASSES = re.compile(r"\d+(\s*,\s*\d+)*")
EXAMPLES = "C, a (A minor), F# minor, Bb major, D dorian, or pitch classes such as 0,2,4,7,9"


class Key(NamedTuple):
    """A key or a scale.

    Attributes:
        pitch_classes: those that belong to it, from C = 0, rising.
        number: of a major key 0-11, of a minor key 12-23, from C; None: neither.
    """

    pitch_classes: tuple[int, ...]
    number: int | None

    def holds(self, pitches: np.ndarray) -> np.ndarray:
        """bool, of the shape of `pitches` (int, MIDI): those that belong to the key."""
        return np.isin(pitches % NUM_PITCH_CLASSES, self.pitch_classes)


def key_of(text: str) -> Key:
    """The key that a text names. Without a scale a capital means major, a small letter minor.

    Raises:
        ConfigError: the text names none.
    """
    text = text.strip()
    if PITCH_CLASSES.fullmatch(text):
        classes = sorted({int(number) for number in text.split(",")})
        if classes[-1] >= NUM_PITCH_CLASSES:
            raise ConfigError(f"control.key={text}: expected pitch classes from 0 (C) to 11 (B)")
        return Key(tuple(classes), None)
    found = TONIC_AND_SCALE.fullmatch(text)
    if not found:
        raise ConfigError(f"control.key={text}: expected a key such as {EXAMPLES}")
    letter, accidentals, name = found.groups()
    scale = " ".join(name.lower().split()) if name else MAJOR if letter.isupper() else MINOR
    if scale not in SCALES:
        raise ConfigError(f"control.key={text}: no scale {scale!r}, expected one of {', '.join(SCALES)}")
    tonic = (NATURAL[letter.upper()] + sum(ACCIDENTALS[sign] for sign in accidentals)) % NUM_PITCH_CLASSES
    classes = sorted((tonic + step) % NUM_PITCH_CLASSES for step in SCALES[scale])
    number = {MAJOR: tonic, MINOR: NUM_PITCH_CLASSES + tonic}.get(scale)
    return Key(tuple(classes), number)
