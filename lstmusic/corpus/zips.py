"""The members of a zip: by its directory, or one after the other from its beginning where that is torn off."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from lstmusic.corpus.members import ALWAYS_UNPACKED, MAX_RATIO, TORN, Entry, Member, most_unpacked, too_large

ENCRYPTED, SIZES_FOLLOW, UTF8 = 1, 8, 1 << 11  # flag bits of a member
LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # APPNOTE.TXT, 4.3.7
SIGNATURE, DESCRIPTOR = b"PK\3\4", b"PK\7\10"


def entries(archive: Path, wanted: tuple[str, ...]) -> Iterator[Entry]:
    """The members whose names end in one of some suffixes in lower case."""
    most, total = most_unpacked(archive.stat().st_size), 0
    for entry in _entries(archive, wanted):
        total += entry.member.size if entry.member else 0
        if total > most:
            yield Entry("", None, f"unpacks to more than {MAX_RATIO} times its size, left there at {entry.name}")
            return
        yield entry


def _entries(archive: Path, wanted: tuple[str, ...]) -> Iterator[Entry]:
    with open(archive, "rb") as file:
        try:
            infos = zipfile.ZipFile(file).infolist()
        except TORN as error:
            with suppress(*TORN):
                yield from (entry for entry in _walked(file) if entry.name.lower().endswith(wanted))
            yield Entry("", None, f"torn or damaged ({error})")
            return
        for info in infos:
            if info.filename.lower().endswith(wanted):
                yield _entry(file, info)


def _entry(file: IO[bytes], info: zipfile.ZipInfo) -> Entry:
    file.seek(max(info.header_offset, 0))
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(SIGNATURE):
        return Entry(info.filename, None, "torn or damaged: it is not where the archive's directory says")
    if info.flag_bits & ENCRYPTED:
        return Entry(info.filename, None, "encrypted, expected an archive without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Entry(info.filename, None, f"packed by method {info.compress_type}, expected deflate (8) or none (0)")
    if reason := too_large(max(info.file_size, info.compress_size)):
        return Entry(info.filename, None, reason)
    *_, name_bytes, extra_bytes = LOCAL_HEADER.unpack(header)
    begin = file.tell() + name_bytes + extra_bytes
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    return Entry(info.filename, Member(begin, info.compress_size, info.file_size, deflated, info.CRC))


def _walked(file: IO[bytes]) -> Iterator[Entry]:
    """Every whole member, from local header to local header.

    Raises:
        EOFError, zlib.error: the next one is not there whole.
    """
    end, start = file.seek(0, 2), 0
    while True:
        file.seek(start)
        header = file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or not header.startswith(SIGNATURE):
            return
        _, _, flags, method, _, _, crc32, packed_bytes, size, name_bytes, extra_bytes = LOCAL_HEADER.unpack(header)
        info = zipfile.ZipInfo(file.read(name_bytes).decode("utf-8" if flags & UTF8 else "cp437", "backslashreplace"))
        begin, after = start + LOCAL_HEADER.size + name_bytes + extra_bytes, 0
        if flags & SIZES_FOLLOW:
            if method != zipfile.ZIP_DEFLATED or flags & ENCRYPTED:
                return  # nobody can tell where it ends
            crc32, packed_bytes, size, after = _until_its_end(file, begin)
        if end < begin + packed_bytes:
            return
        info.header_offset, info.flag_bits, info.compress_type = start, flags, method
        info.CRC, info.compress_size, info.file_size = crc32, packed_bytes, size
        yield _entry(file, info)
        start = begin + packed_bytes + after


def _until_its_end(file: IO[bytes], begin: int) -> tuple[int, int, int, int]:
    """CRC, packed and unpacked bytes of a deflated member that begins there, and the bytes of what tells them after it."""
    file.seek(begin)
    inflate, crc32, size = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
    while not inflate.eof:
        block = inflate.unconsumed_tail or file.read(2**16)
        if not block or size > ALWAYS_UNPACKED:
            raise EOFError
        data = inflate.decompress(block, 2**20)
        crc32, size = zlib.crc32(data, crc32), size + len(data)
    packed_bytes = file.tell() - len(inflate.unused_data) - begin
    file.seek(begin + packed_bytes)
    return crc32, packed_bytes, size, 16 if file.read(4) == DESCRIPTOR else 12
