"""Where pieces come from, by the name of a data set, and the one way to read a piece."""

from __future__ import annotations

from pathlib import Path

from lstmusic.corpus import datasets
from lstmusic.corpus.downloads import found
from lstmusic.corpus.folders import abc_text, as_file, check_path, content, folder
from lstmusic.corpus.pieces import SPLITS, PieceRef, Source, shown
from lstmusic.errors import ReadError
from lstmusic.schema import DataConfig
from lstmusic.score.remarks import Remarks
from lstmusic.score.score import Score

__all__ = ["SPLITS", "PieceRef", "Source", "check_path", "content", "find", "folder", "missing", "read_piece"]


def find(data: DataConfig) -> Source:
    """The source of a `data=` choice.

    Raises:
        ConfigError, MissingFileError, EmptyCorpusError: see `folders.folder`.
        ConfigError, DownloadError: see `datasets.find`.
    """
    return folder(data.path, data.cache) if data.name == "folder" else datasets.find(data)


def missing(data: DataConfig) -> str | None:
    """What keeps a `data=` choice from being read at once, without a download; None: nothing."""
    if data.name == "folder":
        return None if Path(data.path or "").exists() else f"data.path={data.path} is not there"
    files = [file for file in data.files if data.name != "polymusic" or Path(file.name).stem == data.subset]
    if not data.files or any(found(data.name, file, data.downloads) for file in files):
        return None
    return f"data={data.name} is not downloaded: lstmusic prepare data={data.name} fetches it"


def read_piece(ref: PieceRef, remarks: Remarks | None = None) -> Score:
    """Read one piece.

    Args:
        ref: which piece.
        remarks: gathers what was mended and what a Score cannot hold.

    Raises:
        ReadError: it cannot be read; the message is on one line of valid UTF-8, whatever its file is called.
    """
    from lstmusic.score import abc, midi  # a command that reads no piece does not wait for them

    try:
        if ref.reason:
            raise ReadError(f"{ref.name}: {ref.reason}")
        if ref.kind == "midi":
            return midi.read(Path(ref.name), remarks, content(ref))
        if ref.kind == "abc":
            return abc.read(abc.tunes(abc_text(ref))[ref.number], ref.name, remarks)
        if ref.kind in ("notation", "music21"):
            return _read_notation(ref, remarks)
    except ReadError as error:
        raise ReadError(shown(str(error))) from error
    return datasets.read_jsb16(ref) if ref.kind == "jsb16" else datasets.read_polymusic(ref)


def _read_notation(ref: PieceRef, remarks: Remarks | None) -> Score:
    from lstmusic.score import notation

    if ref.kind == "music21":
        return datasets.at_chorale_tempo(notation.read(datasets.music21_file(ref.place), remarks))
    with as_file(ref) as file:
        try:
            return notation.read(file, remarks)
        except ReadError as error:
            raise ReadError(str(error).replace(str(file), ref.name)) from error
