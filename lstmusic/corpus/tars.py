"""The members of a tar, plain or compressed, in one pass."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from lstmusic.corpus.members import MAX_RATIO, TORN, Entry, Member, most_unpacked, too_large
from lstmusic.errors import OutputError
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
END = bytes(tarfile.BLOCKSIZE)  # an empty block marks the end of a tar


def entries(archive: Path, kind: str, wanted: tuple[str, ...], copy: IO[bytes] | None = None) -> Iterator[Entry]:
    """The members whose names end in one of some suffixes.

    Args:
        archive: the file.
        kind: which of `OPENERS` opens it.
        wanted: suffixes in lower case.
        copy: where the bytes of members are copied to; then their offsets are those in the copy.

    Raises:
        OutputError: the copy cannot be written.
    """
    most = most_unpacked(archive.stat().st_size)
    last = "nothing"
    try:
        with OPENERS[kind](archive, "rb") as stream, tarfile.open(fileobj=_sips(stream), mode="r:") as tar:
            while info := tar.next():
                tar.members.clear()  # type: ignore[attr-defined] # tarfile would remember all of them
                last = info.name
                if kind != ".tar" and info.offset_data + info.size > most:
                    yield Entry("", None, f"unpacks to more than {MAX_RATIO} times its size, left there at {last}")
                    return
                if info.name.lower().endswith(wanted):
                    yield _entry(info, stream, copy)
            stream.seek(tar.offset)
            if stream.read(len(END)) != END:
                raise EOFError("no mark of its end")
    except TORN as error:
        yield Entry("", None, f"torn or damaged after {last} ({error or type(error).__name__})")


def _entry(info: tarfile.TarInfo, stream: IO[bytes], copy: IO[bytes] | None) -> Entry:
    """The entry of a member whose bytes begin where the stream stands."""
    if reason := _why_not(info):
        return Entry(info.name, None, reason)
    if copy is None:
        return Entry(info.name, Member(info.offset_data, info.size, info.size))
    data = stream.read(info.size)
    if len(data) < info.size:
        raise EOFError(f"the stream ends inside {info.name}")
    try:
        copy.write(data)
    except OSError as error:  # no fault of the archive
        raise OutputError(f"{copy.name}: cannot be written ({error.strerror})") from error
    return Entry(info.name, Member(copy.tell() - info.size, info.size, info.size))


def _why_not(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "a folder, expected a file"
    if info.issym() or info.islnk():
        return f"a link to {info.linkname}, expected a file"
    if not info.isreg() or info.issparse():
        return "not a regular file"
    return too_large(info.size)


class _Sips:
    """A stream that gives at most one music file at a time: a tar's header may claim to be of any length."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > MAX_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.stream.read(size)


def _sips(stream: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], _Sips(stream))
