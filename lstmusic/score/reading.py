"""One file from a person -> Score, by its suffix."""

from __future__ import annotations

from pathlib import Path

from lstmusic.errors import MissingFileError, ReadError
from lstmusic.score.files import decoded, read_bytes
from lstmusic.score.score import Score

MIDI_SUFFIXES = (".mid", ".midi", ".kar")
ABC_SUFFIX = ".abc"
NOTATION_SUFFIXES = (".mxl", ".musicxml", ".xml", ABC_SUFFIX, ".krn")


def read(path: Path) -> Score:
    """Read one music file with readers that cannot take the process with them (ours, music21).

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
    if suffix == ABC_SUFFIX:
        from lstmusic.score import abc

        found = abc.tunes(decoded(read_bytes(path)))
        if len(found) != 1:
            raise ReadError(f"{path}: holds {len(found)} tunes, expected one (data=folder reads each of them)")
        return abc.read(found[0], str(path))
    if suffix in NOTATION_SUFFIXES:
        from lstmusic.score import notation

        return notation.read(path)
    raise ReadError(f"{path}: suffix {suffix!r}, expected one of {', '.join(MIDI_SUFFIXES + NOTATION_SUFFIXES)}")
