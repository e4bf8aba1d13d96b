"""Shards: a contiguous range of a source's pieces, examined and written whole by one process.

While a corpus is prepared its folder holds, for each shard that is done, the ids of its used pieces end to end
(`shard-00012.ids`, uint16), their sketches (`rows/00012.npy`) and, written last, a row for every piece
(`rows/00012.json`). Whoever is stopped and starts again goes on with the shards that have no rows yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstmusic.corpus import doctor, families
from lstmusic.corpus.doctor import Examined, Examiner, Row
from lstmusic.corpus.fidelity import Fidelity
from lstmusic.corpus.pieces import PieceRef
from lstmusic.files import whole
from lstmusic.schema import LimitsConfig

# Many enough to keep 32 processes busy, small enough to be done again, few enough for a folder
SMALLEST, LARGEST, MANY = 16, 1024, 64


def size_of(pieces: int) -> int:
    """The number of pieces in a shard, from the number in all: it must not depend on who does the work."""
    return min(max(-(-pieces // MANY), SMALLEST), LARGEST)


def count(pieces: int) -> int:
    """The number of shards of so many pieces."""
    return -(-pieces // size_of(pieces))


def ids_file(folder: Path, number: int) -> Path:
    """The ids of a shard."""
    return folder / f"shard-{number:05d}.ids"


def rows_folder(folder: Path) -> Path:
    """Where rows and sketches are, until the corpus is whole."""
    return folder / "rows"


def rows_file(folder: Path, number: int) -> Path:
    """The rows of a shard; there as soon as the shard is done."""
    return rows_folder(folder) / f"{number:05d}.json"


class Task(NamedTuple):
    """One shard to be made, by any process that sees the folder; `asker` is the process that wants it."""

    folder: Path
    number: int
    refs: Sequence[PieceRef]
    examiner: Examiner
    limits: LimitsConfig
    asker: int


def missing(folder: Path, pieces: Sequence[PieceRef], examiner: Examiner, limits: LimitsConfig) -> list[Task]:
    """The shards of a source that are not done yet."""
    size = size_of(len(pieces))
    return [
        Task(folder, number, pieces[start : start + size], examiner, limits, os.getpid())
        for number, start in enumerate(range(0, len(pieces), size))
        if not rows_file(folder, number).is_file()
    ]


def make(task: Task) -> int:
    """Examine the pieces of a shard and write it; the number of its pieces.

    Raises:
        OutputError: it cannot be written.
    """
    if os.getpid() != task.asker:
        _end_with_parent()
    _write(task.folder, task.number, doctor.examine(task.refs, task.examiner, task.limits))
    return len(task.refs)


@lru_cache(maxsize=1)
def _end_with_parent() -> None:
    """End this process soon after the one that started it: a killed run leaves nobody at work."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write(folder: Path, number: int, pieces: Iterable[Examined]) -> None:
    rows, sketches, digest = list[Row](), [], hashlib.sha256()
    with whole(ids_file(folder, number)) as beside, open(beside, "wb") as file:
        for piece in pieces:
            rows.append(piece.row)
            if piece.ids is not None and piece.sketch is not None:
                data = piece.ids.astype("<u2").tobytes()
                file.write(data)
                digest.update(data)
                sketches.append(piece.sketch)
    blank = np.zeros((0, families.LINES, families.HASHES), np.uint32)
    place = rows_file(folder, number)
    with whole(place.with_suffix(".npy")) as beside, open(beside, "wb") as file:
        np.save(file, np.stack(sketches) if sketches else blank)
    with whole(place) as beside:
        beside.write_text(json.dumps({"sha256": digest.hexdigest(), "rows": rows}))


class Rows(NamedTuple):
    """A row for every piece of a shard, and the sha256 of its ids."""

    sha256: str
    rows: list[Row]


def read_rows(folder: Path, number: int) -> Rows:
    """The rows of a shard that is done."""
    content = json.loads(rows_file(folder, number).read_text())
    rows = (Row(*values) for values in content["rows"])
    return Rows(content["sha256"], [row._replace(fidelity=Fidelity(*row.fidelity)) for row in rows])


def read_sketches(folder: Path, number: int) -> np.ndarray:
    """The sketches of a shard's used pieces, uint32 [P, LINES, HASHES]."""
    return np.load(rows_file(folder, number).with_suffix(".npy"))
