"""What stands in an archive: where a member's bytes are, or why they cannot be read."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from typing import NamedTuple

from lstmusic.score.files import MAX_BYTES

MAX_RATIO = 200  # music packs ten times, text fifty; what unpacks to more is made to fill a disk
ALWAYS_UNPACKED = 2**26  # bytes; a few tiny files that are all alike pack very well
# What Python's readers raise over bytes that are not as they should be
TORN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
)


class Member(NamedTuple):
    """Where one member's bytes are.

    Attributes:
        offset: of its first byte in the file.
        packed_bytes: how many there are.
        size: how many they are once unpacked.
        deflated: whether they are packed by deflate; else they are stored as they are.
        crc32: of the unpacked bytes, where the archive tells it.
    """

    offset: int
    packed_bytes: int
    size: int
    deflated: bool = False
    crc32: int | None = None


class Entry(NamedTuple):
    """A member of an archive, or with an empty name a word about the archive itself.

    Attributes:
        name: as the archive gives it.
        member: where its bytes are; None where it cannot be read.
        reason: why it cannot be read; else empty.
    """

    name: str
    member: Member | None = None
    reason: str = ""


def too_large(size: int) -> str:
    """Why a member of so many bytes is not read; empty: it is."""
    return f"{size} bytes, expected a music file of at most {MAX_BYTES}" if size > MAX_BYTES else ""


def most_unpacked(packed_bytes: int) -> int:
    """To how many bytes an archive of this size may unpack."""
    return MAX_RATIO * packed_bytes + ALWAYS_UNPACKED
