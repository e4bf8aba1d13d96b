"""Music inside .zip and .tar archives, read in place: where each member's bytes are, and those bytes.

A zip and a plain tar let any member be read by its offset. A compressed tar does not: its music is copied once, in one
pass and flat memory, into a file of bytes beside the prepared corpora, and is read by offset from there. Nothing is ever
written under a name that an archive gives.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from lstmusic.errors import ReadError
from lstmusic.files import whole
from lstmusic.score.files import MAX_BYTES

OPENERS: dict[str, Callable[..., Any]] = {
    ".tar": open,
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
}
SUFFIXES = (".zip", *OPENERS)
MAX_RATIO = 200  # music packs ten times, text fifty; what unpacks to more is made to fill a disk
ALWAYS_UNPACKED = 2**26  # bytes; a few tiny files that are all alike pack very well
TORN = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)
ENCRYPTED, SIZES_FOLLOW, UTF8 = 1, 8, 1 << 11  # flag bits of a zip's member
LOCAL_HEADER = struct.Struct("<4s5H3I2H")


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
    """
    kind = suffix(archive.name)
    if kind == ".zip":
        return str(archive), _limited(_zip_entries(archive, wanted), archive.stat().st_size)
    if kind == ".tar":
        return str(archive), list(_tar_entries(archive, open, wanted, lambda stream, info: info.offset_data))
    key = hashlib.sha256(json.dumps([sha256, wanted]).encode()).hexdigest()[:16]
    copy, index = unpacked / f"{key}.bytes", unpacked / f"{key}.json"
    if not index.is_file():
        unpacked.mkdir(parents=True, exist_ok=True)
        with whole(copy) as beside, open(beside, "wb") as out:
            found = list(_tar_entries(archive, OPENERS[kind], wanted, lambda stream, info: _copied(stream, info, out)))
        with whole(index) as beside:
            beside.write_text(json.dumps(found))
    rows = json.loads(index.read_text())
    return str(copy), [Entry(name, member and Member(*member), reason) for name, member, reason in rows]


def read(place: str, member: Member, name: str) -> bytes:
    """The bytes of one member.

    Raises:
        ReadError: they are torn or damaged; the message begins with `name`.
    """
    with open(place, "rb") as file:
        file.seek(member.offset)
        data = file.read(member.packed_bytes)
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


def _tar_entries(
    archive: Path, opener: Callable, wanted: tuple[str, ...], offset: Callable[[Any, tarfile.TarInfo], int]
) -> Iterator[Entry]:
    """The wanted members of a tar; `offset` says where a member's bytes are, and may copy them from the stream."""
    most = MAX_RATIO * archive.stat().st_size + ALWAYS_UNPACKED
    last = ""
    try:
        with opener(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            while info := tar.next():
                tar.members.clear()  # type: ignore[attr-defined] # tarfile would remember all of them
                last = info.name
                if opener is not open and info.offset_data + info.size > most:
                    yield Entry("", None, f"unpacks to more than {MAX_RATIO} times its size, left there at {last}")
                    return
                if not info.name.lower().endswith(wanted):
                    continue
                reason = _why_not(info)
                if reason:
                    yield Entry(info.name, None, reason)
                else:
                    yield Entry(info.name, Member(offset(stream, info), info.size, info.size))
            stream.seek(tar.offset)
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise EOFError("no mark of its end")
    except TORN as error:
        yield Entry("", None, f"torn or damaged after {last or 'nothing'} ({error or type(error).__name__})")


def _why_not(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "a folder, expected a file"
    if info.issym() or info.islnk():
        return f"a link to {info.linkname}, expected a file"
    if not info.isreg() or info.issparse():
        return "not a regular file"
    return _too_large(info.size)


def _too_large(size: int) -> str:
    return f"{size} bytes, expected a music file of at most {MAX_BYTES}" if size > MAX_BYTES else ""


def _copied(stream: IO[bytes], info: tarfile.TarInfo, out: IO[bytes]) -> int:
    """Append a member, which begins where the stream stands, to `out`; where it begins there."""
    data = stream.read(info.size)
    if len(data) < info.size:
        raise EOFError(f"the stream ends inside {info.name}")
    out.write(data)
    return out.tell() - info.size


def _zip_entries(archive: Path, wanted: tuple[str, ...]) -> Iterator[Entry]:
    """The wanted members of a zip by its directory, or one by one from its beginning where that is torn off."""
    with open(archive, "rb") as file:
        try:
            infos = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, NotImplementedError, *TORN) as error:
            yield from (entry for entry in _walked(file) if not entry.name or entry.name.lower().endswith(wanted))
            yield Entry("", None, f"torn or damaged ({error})")
            return
        for info in infos:
            if info.filename.lower().endswith(wanted):
                file.seek(info.header_offset)
                yield _zip_entry(file, info.filename, info.flag_bits, info.CRC, info.compress_size, info.file_size)


def _zip_entry(file: IO[bytes], name: str, flags: int, crc32: int, packed_bytes: int, size: int) -> Entry:
    """The entry of a member whose local header begins where the file stands; leaves it at the member's bytes."""
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or header[:4] != b"PK\3\4":
        return Entry(name, None, "torn or damaged: it is not where the archive's directory says")
    _, _, _, method, *_, name_bytes, extra_bytes = LOCAL_HEADER.unpack(header)
    file.seek(name_bytes + extra_bytes, 1)
    if flags & ENCRYPTED:
        return Entry(name, None, "encrypted, expected an archive without a password")
    if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Entry(name, None, f"packed by method {method}, expected deflate (8) or none (0)")
    if reason := _too_large(max(size, packed_bytes)):
        return Entry(name, None, reason)
    return Entry(name, Member(file.tell(), packed_bytes, size, method == zipfile.ZIP_DEFLATED, crc32))


def _walked(file: IO[bytes]) -> Iterator[Entry]:
    """Every whole member of a zip without a directory, from local header to local header."""
    start = 0
    while True:
        file.seek(start)
        header = file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or header[:4] != b"PK\3\4":
            return
        _, _, flags, method, _, _, crc32, packed_bytes, size, name_bytes, extra_bytes = LOCAL_HEADER.unpack(header)
        name = file.read(name_bytes).decode("utf-8" if flags & UTF8 else "cp437", "backslashreplace")
        begin = start + LOCAL_HEADER.size + name_bytes + extra_bytes
        file.seek(begin)
        after = 0
        if flags & SIZES_FOLLOW:
            if method != zipfile.ZIP_DEFLATED or flags & ENCRYPTED:
                return  # nobody can tell where it ends
            crc32, packed_bytes, size, after = _deflated_until(file)
        file.seek(0, 2)
        if file.tell() < begin + packed_bytes:
            return
        file.seek(start)
        yield _zip_entry(file, name, flags, crc32, packed_bytes, size)
        start = begin + packed_bytes + after


def _deflated_until(file: IO[bytes]) -> tuple[int, int, int, int]:
    """CRC, packed and unpacked bytes of a deflated member that begins here, and the bytes of what tells them after it."""
    inflate, begin, crc32, size = zlib.decompressobj(-zlib.MAX_WBITS), file.tell(), 0, 0
    while not inflate.eof and size <= ALWAYS_UNPACKED:
        block = inflate.unconsumed_tail or file.read(2**16)
        if not block:
            break
        data = inflate.decompress(block, 2**20)
        crc32, size = zlib.crc32(data, crc32), size + len(data)
    packed_bytes = file.tell() - len(inflate.unused_data) - begin
    file.seek(begin + packed_bytes)
    return crc32, packed_bytes, size, 16 if file.read(4) == b"PK\7\10" else 12


def _limited(found: Iterator[Entry], packed_bytes: int) -> list[Entry]:
    """The entries up to where they unpack to far more than the archive's size."""
    most, total = MAX_RATIO * packed_bytes + ALWAYS_UNPACKED, 0
    kept: list[Entry] = []
    for entry in found:
        total += entry.member.size if entry.member else 0
        if total > most:
            return [*kept, Entry("", None, f"unpacks to more than {MAX_RATIO} times its size, left there")]
        kept.append(entry)
    return kept
