"""A person's own music: every file below a folder, or in an archive, or one file; a word about each that cannot be read."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lstmusic.corpus import archives
from lstmusic.corpus.downloads import file_sha256
from lstmusic.corpus.pieces import PieceRef, Source, shown, with_unique_names
from lstmusic.errors import ConfigError, EmptyCorpusError, MissingFileError, ReadError
from lstmusic.score import abc
from lstmusic.score.files import decoded, read_bytes
from lstmusic.score.reading import MIDI_SUFFIXES, NOTATION_SUFFIXES

MUSIC_SUFFIXES = MIDI_SUFFIXES + NOTATION_SUFFIXES
KNOWN_SUFFIXES = MUSIC_SUFFIXES + archives.SUFFIXES


class _Found(NamedTuple):
    """A file below a folder: its path inside it, the file itself, and why it cannot be read."""

    name: str
    path: str
    reason: str = ""


def check_path(path: str | Path | None) -> Path:
    """The folder, archive or file that `data.path` names.

    Raises:
        ConfigError: it names none, or a file that is neither music nor an archive.
        MissingFileError: there is no such thing.
    """
    if not path:
        raise ConfigError("data.path: missing, expected a folder of music files (data=folder data.path=DIR)")
    if not Path(path).exists():
        raise MissingFileError(f"data.path={shown(str(path))}: no such folder, archive or music file")
    if not Path(path).is_dir() and not str(path).lower().endswith(KNOWN_SUFFIXES):
        raise ConfigError(f"data.path={path}: expected a folder, or a file that ends in {', '.join(KNOWN_SUFFIXES)}")
    return Path(path)


def folder(path: str | Path | None, cache: str | Path = "data/prepared") -> Source:
    """The pieces below a folder, or in an archive, in the order of their names; or in one file.

    Args:
        path: of the folder, archive or file. Archives among a folder's files are read too.
        cache: the folder of prepared corpora; what compressed tars hold is kept in its `archives/`.

    Raises:
        ConfigError, MissingFileError: see `check_path`.
        EmptyCorpusError: no file has a suffix that lstmusic reads.
    """
    root = check_path(path)
    alone, absolute = not root.is_dir(), os.path.abspath(root)  # workers may stand elsewhere
    others = Counter[str]()
    found = [_Found(root.name, absolute)] if alone else sorted(_walk(absolute, others))
    if not found:
        raise EmptyCorpusError(f"data.path={shown(str(root))}: no file ends in {', '.join(KNOWN_SUFFIXES)}")
    digest = hashlib.sha256()
    refs: list[PieceRef] = []
    for name, place, reason in found:
        name = shown(name)
        try:
            sha256 = "" if reason else file_sha256(place)
        except OSError as error:
            reason, sha256 = f"{error.strerror}, expected a file that can be read", ""
        digest.update(f"{name}\0{sha256 or reason}\n".encode())
        if reason:
            refs.append(PieceRef(name, "", "", reason=reason))
        elif archives.suffix(name):
            refs += in_archive(place, sha256, cache, name, prefix="" if alone else f"{name}/")
        else:
            refs += music(PieceRef(name, "", place))
    return Source(with_unique_names(refs), digest.hexdigest(), others)


def in_archive(place: str | Path, sha256: str, cache: str | Path, name: str, prefix: str = "") -> list[PieceRef]:
    """The pieces in an archive, in the order of their names, as they would be in a folder.

    Args:
        place: the archive.
        sha256: of its bytes.
        cache: see `folder`.
        name: what the archive itself is called, where something is wrong with it.
        prefix: of each piece's name.
    """
    inside, found = archives.entries(Path(place), sha256, KNOWN_SUFFIXES, Path(cache).absolute() / "archives")
    refs: list[PieceRef] = []
    for entry in sorted(found, key=lambda entry: entry.name):
        entry_name = shown(prefix + entry.name) if entry.name else name
        reason = entry.reason or _not_music(entry.name)
        if not reason and archives.suffix(entry.name):
            reason = "an archive inside an archive, expected music"
        if reason:
            refs.append(PieceRef(entry_name, "", "", reason=shown(reason)))
        else:
            refs += music(PieceRef(entry_name, "", inside, member=entry.member))
    return refs or [PieceRef(name, "", "", reason=f"no file in it ends in {', '.join(MUSIC_SUFFIXES)}")]


def content(ref: PieceRef) -> bytes:
    """The bytes of a piece's file, or of its member of an archive.

    Raises:
        ReadError: they cannot be read; see `score.files.read_bytes` and `archives.read`.
    """
    return read_bytes(Path(ref.place)) if ref.member is None else archives.read(ref.place, ref.member, ref.name)


def abc_text(ref: PieceRef) -> str:
    """The text of an ABC file, which is UTF-8 or else Latin-1.

    Raises:
        ReadError: see `content`.
    """
    return decoded(content(ref))


@contextmanager
def as_file(ref: PieceRef) -> Iterator[Path]:
    """A file that holds a piece, with its suffix: its own, or for a member of an archive one that is gone afterwards.

    Raises:
        ReadError: see `content`.
    """
    if ref.member is None:
        yield Path(ref.place)
        return
    with tempfile.TemporaryDirectory() as own:
        file = Path(own) / f"piece{PurePosixPath(ref.name).suffix.lower()}"
        file.write_bytes(content(ref))
        yield file


def music(ref: PieceRef) -> list[PieceRef]:
    """A file of music as pieces: one, or one for each tune of an ABC file."""
    if ref.name.lower().endswith(MIDI_SUFFIXES):
        return [ref._replace(kind="midi")]
    if not ref.name.lower().endswith(".abc"):
        return [ref._replace(kind="notation")]
    ref = ref._replace(kind="abc")
    try:
        count = len(abc.tunes(abc_text(ref)))
    except ReadError:
        return [ref]  # its reader will say the same
    return [ref._replace(name=f"{ref.name}#{k + 1}", number=k) for k in range(count)] if count > 1 else [ref]


def _not_music(name: str) -> str:
    """Why a file that is called like music is none."""
    *folders, last = name.split("/")
    return "a macOS resource fork, not music" if last.startswith("._") or "__MACOSX" in folders else ""


def _walk(root: str, others: Counter[str]) -> Iterator[_Found]:
    """What is called like music or an archive below a folder; each folder once, real ones before those behind links.

    Other files are counted in `others`, by suffix.
    """
    seen: set[tuple[int, int]] = set()
    folders, links = [("", root)], list[tuple[str, str]]()
    while folders or links:
        inside, path = folders.pop() if folders else links.pop()
        try:
            status = os.stat(path)
            children = sorted(os.scandir(path), key=lambda child: child.name)
        except OSError as error:
            yield _Found(inside or ".", path, f"{error.strerror}, expected a folder that can be read")
            continue
        if (status.st_dev, status.st_ino) in seen:
            yield _Found(inside, path, "a link to a folder that is read already")
            continue
        seen.add((status.st_dev, status.st_ino))
        for child in children:
            name = f"{inside}/{child.name}" if inside else child.name
            called_music = child.name.lower().endswith(KNOWN_SUFFIXES)
            if called_music and (reason := _not_music(name) or _not_a_file(child)):
                yield _Found(name, child.path, reason)
            elif called_music:
                yield _Found(name, child.path)
            elif not _not_a_file(child):
                others[shown(PurePosixPath(child.name).suffix.lower()) or "without a suffix"] += 1
            if child.is_dir(follow_symlinks=False):
                folders.append((name, child.path))
            elif child.is_symlink() and os.path.isdir(child.path):
                links.append((name, child.path))


def _not_a_file(child: os.DirEntry) -> str:
    """Why a name below a folder is not that of a file that can be opened; a pipe would never end."""
    try:
        mode = child.stat().st_mode
    except OSError as error:
        return f"{error.strerror}, expected a file"
    if stat.S_ISDIR(mode):
        return "a folder, expected a file"
    return "" if stat.S_ISREG(mode) else "not a regular file"
