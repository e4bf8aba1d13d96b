"""Where pieces come from: music21's Bach chorales, a folder, or a data set found or downloaded once."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstmusic.errors import ConfigError, DownloadError, EmptyCorpusError, MissingFileError, ReadError
from lstmusic.events.chorale import CHURCH_ORGAN, DEFAULT_VELOCITY, TICKS_PER_STEP
from lstmusic.events.chorale_grammar import VOICES
from lstmusic.score.reading import MIDI_SUFFIXES, NOTATION_SUFFIXES
from lstmusic.score.score import (
    DEFAULT_US_PER_QUARTER,
    MICROSECONDS_PER_MINUTE,
    NOTE_DTYPE,
    TEMPO_DTYPE,
    Score,
    Track,
    sorted_notes,
    table,
)

SPLITS = ("train", "valid", "test")
CHORALE_QPM = 80.0  # a hymn's walking pace, where the source gives no tempo


class PieceRef(NamedTuple):
    """One piece that a worker can read.

    Attributes:
        name: unique in its corpus; for a folder, the path inside it.
        kind: `midi`, `notation`, `music21` or `jsb16`.
        place: the file, or music21's name of the work, or the data set's file.
        split: the data set's own split; empty where lstmusic splits.
        number: the number within a data set's split.
    """

    name: str
    kind: str
    place: str
    split: str = ""
    number: int = 0


class Source(NamedTuple):
    """The pieces of a corpus, and a fingerprint that changes when any of their bytes do."""

    pieces: list[PieceRef]
    fingerprint: str


def bach() -> Source:
    """The chorales of Riemenschneider's edition, from music21's own corpus; its 371 numbers are 350 different files."""
    import music21
    from music21.corpus import chorales

    names = list(dict.fromkeys(chorales.Iterator(returnType="filename")))
    digest = hashlib.sha256(music21.__version__.encode())
    for name in names:
        digest.update(_music21_file(name).read_bytes())
    return Source([PieceRef(name, "music21", name) for name in names], digest.hexdigest())


def check_path(path: str | Path | None) -> Path:
    """The folder that `data.path` names.

    Raises:
        ConfigError: it names none.
        MissingFileError: there is no such folder.
    """
    if not path:
        raise ConfigError("data.path: missing, expected a folder of music files (data=folder data.path=DIR)")
    if not Path(path).is_dir():
        raise MissingFileError(f"data.path={path}: no such folder")
    return Path(path)


def folder(path: str | Path | None) -> Source:
    """Every music file below a folder, in the order of their names.

    Raises:
        ConfigError, MissingFileError: see `check_path`.
        EmptyCorpusError: no file in it has a suffix that lstmusic reads.
    """
    root = check_path(path)
    suffixes = MIDI_SUFFIXES + NOTATION_SUFFIXES
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix.lower() in suffixes)
    if not files:
        raise EmptyCorpusError(f"data.path={root}: no file ends in {', '.join(suffixes)}")
    digest = hashlib.sha256()
    pieces = []
    for file in files:
        name = file.relative_to(root).as_posix()
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        pieces.append(PieceRef(name, "midi" if file.suffix.lower() in MIDI_SUFFIXES else "notation", str(file)))
    return Source(pieces, digest.hexdigest())


def jsb16(url: str, sha256: str, downloads: str | Path) -> Source:
    """The canonical JSB chorales on a 16th grid with their 229/76/77 split (Boulanger-Lewandowski 2012)."""
    file = fetch("jsb16", url, sha256, downloads)
    counts = {split: len(pieces) for split, pieces in _jsb16_file(str(file)).items()}
    pieces = [PieceRef(f"{s}-{i:03d}", "jsb16", str(file), s, i) for s in SPLITS for i in range(counts[s])]
    return Source(pieces, sha256)


def fetch(name: str, url: str, sha256: str, downloads: str | Path) -> Path:
    """A data set's file: from `$LSTMUSIC_DATA_DIR/<name>/` if it is there, else downloaded once; its checksum is verified.

    Raises:
        DownloadError: no network, or the checksum is wrong; a wrong file is not kept.
    """
    local = Path(os.environ.get("LSTMUSIC_DATA_DIR", downloads)) / name / url.rsplit("/", 1)[-1]
    if local.is_file():
        found = hashlib.sha256(local.read_bytes()).hexdigest()
        if found != sha256:
            raise DownloadError(f"{local}: sha256 {found[:12]}…, expected {sha256[:12]}…")
        return local
    import pooch

    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=local.name, path=Path(downloads) / name))
    except Exception as error:  # requests, urllib3 and pooch each raise their own
        reason = str(error).split("\n")[0] or type(error).__name__
        raise DownloadError(f"data={name}: {url} could not be downloaded ({reason}); or put it at {local}") from error


def find(name: str, *, path: str | None, url: str, sha256: str, downloads: str | Path) -> Source:
    """The source of a `data=` choice.

    Raises:
        ConfigError: there is no such data set, or a folder without `data.path`.
    """
    if name == "bach":
        return bach()
    if name == "jsb16":
        return jsb16(url, sha256, downloads)
    if name == "folder":
        return folder(path)
    raise ConfigError(f"data={name}: expected one of bach, jsb16, folder")


def read_piece(ref: PieceRef) -> Score:
    """Read one piece. To be called in a worker: a MIDI file can kill the process (symusic)."""
    if ref.kind == "midi":
        from lstmusic.score import midi

        score = midi.read(Path(ref.place))
        _check_whole(Path(ref.place))
        return score
    if ref.kind == "notation":
        from lstmusic.score import notation

        return notation.read(Path(ref.place))
    if ref.kind == "music21":
        from lstmusic.score import notation

        return _at_chorale_tempo(notation.read(_music21_file(ref.place)))
    return grid_score(np.array(_jsb16_file(ref.place)[ref.split][ref.number]))


def _check_whole(path: Path) -> None:
    """Raise ReadError where a track that the header announces is cut short: symusic reads what is left in silence."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        _, header_bytes, _, tracks = struct.unpack(">4sIHH", file.read(12))
        end = 8 + header_bytes
        for track in range(tracks):
            file.seek(end)
            begin = file.read(8)
            end += 8 + int.from_bytes(begin[4:], "big")
            if len(begin) < 8 or end > size:
                raise ReadError(f"{path}: torn in track {track + 1} of {tracks}, expected a whole MIDI file")


def _music21_file(work: str) -> Path:
    """The file of a work in music21's corpus. Some works are there twice (281.krn, 281.mxl) or begin another's name."""
    import music21

    found = music21.corpus.getWork(work)
    files = [Path(file) for file in (found if isinstance(found, list) else [found])]
    exact = [file for file in files if file.stem == work.rsplit("/", 1)[-1]]
    return (exact or files)[0]


@lru_cache(maxsize=1)
def _jsb16_file(path: str) -> dict[str, list]:
    return json.loads(Path(path).read_text())


def _at_chorale_tempo(score: Score) -> Score:
    from dataclasses import replace

    if len(score.tempi) and score.tempi.tolist() != [(0, DEFAULT_US_PER_QUARTER)]:
        return score  # readers write MIDI's default where a file gives no tempo
    return replace(score, tempi=table(TEMPO_DTYPE, [0], round(MICROSECONDS_PER_MINUTE / CHORALE_QPM)))


def grid_score(grid: np.ndarray) -> Score:
    """The Score of pitches [T, voices] on a 16th grid (0 or less: silence), a pitch that stays being one held note."""
    voices = []
    for v in range(grid.shape[1]):
        change = np.flatnonzero(np.r_[True, grid[1:, v] != grid[:-1, v]])
        duration = np.diff(np.r_[change, len(grid)])
        pitch = grid[change, v]
        columns = [column[pitch > 0] for column in (change * TICKS_PER_STEP, duration * TICKS_PER_STEP, pitch)]
        voices.append(table(NOTE_DTYPE, *columns, DEFAULT_VELOCITY, v))
    tracks = tuple(Track(CHURCH_ORGAN, False, name) for name in VOICES[: grid.shape[1]])
    return _at_chorale_tempo(Score(sorted_notes(np.concatenate(voices)), tracks))
