"""One file from a person -> Score, by its suffix."""

from __future__ import annotations

from pathlib import Path

from lstmusic.errors import MissingFileError, ReadError
from lstmusic.score.score import Score

MIDI_SUFFIXES = (".mid", ".midi")
NOTATION_SUFFIXES = (".mxl", ".musicxml", ".xml", ".abc", ".krn")


def read(path: Path) -> Score:
    """Read one music file with readers that cannot take the process with them (mido, music21).

    Raises:
        MissingFileError: there is no such file.
        ReadError: the suffix is unknown, or the content cannot be read.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix in MIDI_SUFFIXES:
        from lstmusic.score import midi

        return midi.read(path)
    if suffix in NOTATION_SUFFIXES:
        from lstmusic.score import notation

        return notation.read(path)
    raise ReadError(f"{path}: suffix {suffix!r}, expected one of {', '.join(MIDI_SUFFIXES + NOTATION_SUFFIXES)}")
