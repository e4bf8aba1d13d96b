"""Data sets by name: which pieces they hold, with the split that their literature uses, and how their grids are read."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from lstmusic.corpus.downloads import fetch
from lstmusic.corpus.folders import in_archive
from lstmusic.corpus.folk import folk
from lstmusic.corpus.pieces import SPLITS, PieceRef, Source
from lstmusic.errors import ConfigError
from lstmusic.events.chorale import CHURCH_ORGAN, TICKS_PER_STEP, voice_notes
from lstmusic.events.chorale_grammar import VOICES
from lstmusic.events.frames import frames_score
from lstmusic.schema import FRAMES_PER_QUARTER, DataConfig, DataFile
from lstmusic.score.score import (
    DEFAULT_US_PER_QUARTER,
    MICROSECONDS_PER_MINUTE,
    TEMPO_DTYPE,
    Score,
    Track,
    table,
)

CHORALE_QPM = 80.0  # a hymn's walking pace, where the source gives no tempo
# Of an archive only the songs are taken: not their melodies or chords alone, not other versions of them
SONGS = {"nottingham": re.compile(r"(.*/)?MIDI/[^/]+\.mid"), "pop909": re.compile(r"(.*/)?POP909/(\d+/)?\d+\.mid")}


def bach() -> Source:
    """The chorales of Riemenschneider's edition, from music21's own corpus; its 371 numbers are 350 different files."""
    import music21
    from music21.corpus import chorales

    names = list(dict.fromkeys(chorales.Iterator(returnType="filename")))
    digest = hashlib.sha256(music21.__version__.encode())
    for name in names:
        digest.update(music21_file(name).read_bytes())
    return Source([PieceRef(name, "music21", name) for name in names], digest.hexdigest())


def jsb16(files: Sequence[DataFile], downloads: str | Path) -> Source:
    """The canonical JSB chorales on a 16th grid with their 229/76/77 split (Boulanger-Lewandowski 2012)."""
    place, file = fetch("jsb16", files, downloads)
    counts = {split: len(pieces) for split, pieces in _jsb16_file(str(place)).items()}
    pieces = [PieceRef(f"{s}-{i:03d}", "jsb16", str(place), s, i) for s in SPLITS for i in range(counts[s])]
    return Source(pieces, file.sha256)


def polymusic(subset: str | None, files: Sequence[DataFile], downloads: str | Path) -> Source:
    """One of the four sets of piano rolls of Boulanger-Lewandowski (2012), with its own split.

    Args:
        subset: the name of its file, without the suffix.

    Raises:
        ConfigError: there is no such subset.
        DownloadError: see `fetch`.
    """
    if subset not in FRAMES_PER_QUARTER:
        raise ConfigError(f"data.subset={subset}: expected one of {', '.join(FRAMES_PER_QUARTER)}")
    place, file = fetch("polymusic", [file for file in files if Path(file.name).stem == subset], downloads)
    counts = {split: len(pieces) for split, pieces in _polymusic_file(str(place)).items()}
    pieces = [PieceRef(f"{s}-{i:03d}", "polymusic", str(place), s, i) for s in SPLITS for i in range(counts[s])]
    return Source(pieces, file.sha256)


def songs(name: str, files: Sequence[DataFile], downloads: str | Path, cache: str | Path) -> Source:
    """The MIDI files of `nottingham` or `pop909`, named by their number or tune; without a split of their own."""
    place, file = fetch(name, files, downloads)
    refs = [ref for ref in in_archive(place, file.sha256, cache, file.name) if SONGS[name].fullmatch(ref.name)]
    refs = [ref._replace(name=ref.name.rsplit("/", 1)[-1]) for ref in refs]
    return Source(sorted(refs), file.sha256)


def maestro(files: Sequence[DataFile], downloads: str | Path, cache: str | Path) -> Source:
    """The performances of MAESTRO, with the split that the table in its archive gives."""
    place, file = fetch("maestro", files, downloads)
    with zipfile.ZipFile(place) as archive:
        tables = [name for name in archive.namelist() if re.fullmatch(r"[^/]+/maestro-[^/]+\.csv", name)]
        rows = list(csv.DictReader(io.StringIO(archive.read(tables[0]).decode())))
    splits = {row["midi_filename"]: row["split"].replace("validation", "valid") for row in rows}
    refs = [ref._replace(name=ref.name.partition("/")[2]) for ref in in_archive(place, file.sha256, cache, file.name)]
    return Source(sorted(ref._replace(split=splits[ref.name]) for ref in refs if ref.name in splits), file.sha256)


def find(data: DataConfig) -> Source:
    """The source of a data set by its name.

    Raises:
        ConfigError: there is no such data set, or no such subset of it.
        DownloadError: see `fetch`.
    """
    if data.name == "bach":
        return bach()
    if data.name == "folk":
        return folk()
    if data.name == "jsb16":
        return jsb16(data.files, data.downloads)
    if data.name == "polymusic":
        return polymusic(data.subset, data.files, data.downloads)
    if data.name in SONGS:
        return songs(data.name, data.files, data.downloads, data.cache)
    if data.name == "maestro":
        return maestro(data.files, data.downloads, data.cache)
    known = ("bach", "folder", "folk", "jsb16", "maestro", "nottingham", "polymusic", "pop909")
    raise ConfigError(f"data={data.name}: expected one of {', '.join(known)}")


def read_jsb16(ref: PieceRef) -> Score:
    """One piece of `jsb16`."""
    return grid_score(np.array(_jsb16_file(ref.place)[ref.split][ref.number]))


def read_polymusic(ref: PieceRef) -> Score:
    """One piece of `polymusic`: a key that stays down from frame to frame is one held note of the piano."""
    frames = _polymusic_file(ref.place)[ref.split][ref.number] > 0
    return frames_score(frames, FRAMES_PER_QUARTER[Path(ref.place).stem])


def grid_score(grid: np.ndarray) -> Score:
    """The Score of pitches [T, voices] on a 16th grid (0 or less: silence), a pitch that stays being one held note."""
    tracks = tuple(Track(CHURCH_ORGAN, False, name) for name in VOICES[: grid.shape[1]])
    return at_chorale_tempo(Score(voice_notes(_changes(grid), TICKS_PER_STEP), tracks))


def at_chorale_tempo(score: Score) -> Score:
    """The same music at a hymn's pace, where its source gave no tempo."""
    if len(score.tempi) and score.tempi.tolist() != [(0, DEFAULT_US_PER_QUARTER)]:
        return score  # readers write MIDI's default where a file gives no tempo
    return replace(score, tempi=table(TEMPO_DTYPE, [0], round(MICROSECONDS_PER_MINUTE / CHORALE_QPM)))


def music21_file(work: str) -> Path:
    """The file of a work in music21's corpus. Some works are there twice (281.krn, 281.mxl) or begin another's name."""
    import music21

    found = music21.corpus.getWork(work)
    files = [Path(file) for file in (found if isinstance(found, list) else [found])]
    exact = [file for file in files if file.stem == work.rsplit("/", 1)[-1]]
    return (exact or files)[0]


def _changes(grid: np.ndarray) -> np.ndarray:
    """Pitches [T, voices] (0 or less: silence), -1 where a voice goes on as it was."""
    values = np.maximum(grid, 0)
    values[1:][grid[1:] == grid[:-1]] = -1
    return values


@lru_cache(maxsize=1)
def _jsb16_file(path: str) -> dict[str, list]:
    return json.loads(Path(path).read_text())


@lru_cache(maxsize=1)
def _polymusic_file(path: str) -> dict[str, list[np.ndarray]]:
    """Frames uint8 [T, 88] of 0 and 1 of every piece of every split."""
    from scipy.io import loadmat

    cells = loadmat(path)
    return {split: list(cells[f"{split}data"].reshape(-1)) for split in SPLITS}
