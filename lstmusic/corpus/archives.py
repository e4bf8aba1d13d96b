"""Music inside .zip and .tar archives, read in place: where each member's bytes are, and those bytes.

A zip and a plain tar let any member be read by its offset. A compressed tar does not: its music is copied once, in one
pass and flat memory, into a file of bytes beside the prepared corpora, and is read by offset from there. Nothing is ever
written under a name that an archive gives.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

from lstmusic.corpus import tars, zips
from lstmusic.corpus.members import Entry, Member
from lstmusic.errors import OutputError, ReadError
from lstmusic.files import whole

SUFFIXES = (".zip", *tars.OPENERS)


def suffix(name: str) -> str:
    """Which of `SUFFIXES` a file's name ends in; empty: it is no archive."""
    return max((known for known in SUFFIXES if name.lower().endswith(known)), key=len, default="")


def entries(archive: Path, sha256: str, wanted: tuple[str, ...], unpacked: Path) -> tuple[str, list[Entry]]:
    """The members of an archive whose names end in one of some suffixes, in its order.

    Args:
        archive: the file; its suffix says what it is.
        sha256: of its bytes.
        wanted: suffixes in lower case.
        unpacked: the folder for what compressed tars hold; the second call finds there what the first one wrote.

    Returns:
        The file that `Member` points into, and the entries. A torn archive gives what stands before the tear, and an
        entry without a name that says so.

    Raises:
        OutputError: `unpacked` cannot be written, or the disk is full.
    """
    kind = suffix(archive.name)
    if kind == ".zip":
        return str(archive), list(zips.entries(archive, wanted))
    if kind == ".tar":
        return str(archive), list(tars.entries(archive, kind, wanted))
    key = hashlib.sha256(json.dumps([sha256, wanted]).encode()).hexdigest()[:16]
    copy, index = unpacked / f"{key}.bytes", unpacked / f"{key}.json"
    if not (index.is_file() and copy.is_file()):
        try:
            unpacked.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{unpacked}: cannot be written ({error.strerror})") from error
        with whole(copy) as beside, open(beside, "wb") as out:
            found = list(tars.entries(archive, kind, wanted, out))
        with whole(index) as beside:
            beside.write_text(json.dumps(found))
    rows = json.loads(index.read_text())
    return str(copy), [Entry(name, member and Member(*member), reason) for name, member, reason in rows]


def read(place: str, member: Member, name: str) -> bytes:
    """The bytes of one member.

    Raises:
        ReadError: they are torn or damaged; the message begins with `name`.
    """
    try:
        with open(place, "rb") as file:
            file.seek(member.offset)
            data = file.read(member.packed_bytes)
    except OSError as error:
        raise ReadError(f"{name}: {place}: {error.strerror}, expected an archive") from error
    if len(data) < member.packed_bytes:
        raise ReadError(f"{name}: torn after {len(data)} bytes, expected {member.packed_bytes}")
    if member.deflated:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
        except zlib.error as error:
            raise ReadError(f"{name}: damaged inside its archive ({error})") from error
    if len(data) != member.size or member.crc32 not in (None, zlib.crc32(data)):
        raise ReadError(f"{name}: damaged inside its archive (not the {member.size} bytes that it was made of)")
    return data
