"""Bytes from disk, small enough to hold, and text in them."""

from __future__ import annotations

from pathlib import Path

from lstmusic.errors import ReadError

# The longest piece in the common data sets takes under 2 MB; a parser in pure Python would chew on more for minutes.
MAX_BYTES = 16 * 2**20


def read_bytes(path: Path) -> bytes:
    """The content of a music file.

    Raises:
        ReadError: it cannot be opened, or is larger than `MAX_BYTES`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror}, expected a music file") from error
    if len(data) > MAX_BYTES:
        raise ReadError(f"{path}: more than {MAX_BYTES} bytes, expected a music file of at most that size")
    return data


def decoded(data: bytes) -> str:
    """Text whose encoding nobody wrote down: UTF-8 where it is that, else Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
