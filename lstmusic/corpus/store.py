"""A prepared corpus on disk: memory-mapped ids, one row per piece, and a verdict for every file."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lstmusic.corpus import doctor, split
from lstmusic.corpus.doctor import Examined
from lstmusic.corpus.lanes import Augmentation, Lanes
from lstmusic.corpus.sources import SPLITS, Source
from lstmusic.errors import EmptyCorpusError, OutputError
from lstmusic.events import codec as codecs
from lstmusic.events.codec import Codec

FORMAT = 2  # raise when the ids that a codec writes change: older caches are then made anew
MAX_REASONS_SHOWN = 5


@dataclass(frozen=True)
class Piece:
    """One usable piece: its place in the ids, its family, and the data set's own split (or empty)."""

    name: str
    offset: int
    length: int
    notes: int
    seconds: float
    family: str
    own_split: str


class Corpus:
    """Prepared pieces of one encoding.

    Args:
        folder: where `prepare` wrote it.
        seed: of the split, where the data set has none of its own.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.codec: Codec = codecs.build(self.manifest["encoding"], **self.manifest["options"])
        self.pieces = [Piece(**row) for row in self.manifest["pieces"]]
        self._ids = np.memmap(folder / "ids.bin", np.uint16, "r")
        own = [piece.own_split for piece in self.pieces]
        self.splits = own if all(own) else split.assign([piece.family for piece in self.pieces], seed)

    def ids(self, piece: int) -> np.ndarray:
        """The ids of one piece, uint16 [N], from its BOS group to its EOS group."""
        row = self.pieces[piece]
        return self._ids[row.offset : row.offset + row.length]

    def indices(self, name: str) -> list[int]:
        """The pieces of a split."""
        return [i for i, piece_split in enumerate(self.splits) if piece_split == name]

    def piece_names(self) -> dict[str, list[str]]:
        """The names of the pieces of each split."""
        return {name: [self.pieces[i].name for i in self.indices(name)] for name in SPLITS}

    def counts(self) -> dict[str, dict[str, int]]:
        """Pieces, ids and notes of each split."""
        rows = {name: [self.pieces[i] for i in self.indices(name)] for name in SPLITS}
        return {
            name: {"pieces": len(r), "tokens": sum(p.length for p in r), "notes": sum(p.notes for p in r)}
            for name, r in rows.items()
        }

    def lanes(
        self, name: str, *, num_lanes: int, window_steps: int, seed: int = 0, augmentation: Augmentation | None = None
    ) -> Lanes:
        """The windows of a split; see `Lanes`."""
        chosen = self.indices(name)
        steps = np.array([self.pieces[i].length // self.codec.group_size - 1 for i in chosen])
        return Lanes(
            read=lambda k: self.ids(chosen[k]),
            steps=steps,
            codec=self.codec,
            num_lanes=num_lanes,
            window_steps=window_steps,
            seed=seed,
            augmentation=augmentation,
        )


def prepare(
    source: Source,
    encoding: str,
    options: dict,
    *,
    cache: Path,
    jobs: int = -1,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Corpus:
    """Read, encode and store a source once; the second call with the same bytes and encoding opens what the first wrote.

    Raises:
        EmptyCorpusError: not one piece is usable; the message lists reasons.
        OutputError: the cache cannot be written.
    """
    codec = codecs.build(encoding, **options)
    key = json.dumps([FORMAT, encoding, codec.options, codec.vocabulary.to_json(), source.fingerprint])
    folder = cache / f"{encoding}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not (folder / "manifest.json").is_file():
        examined = doctor.examine(source.pieces, encoding, options, jobs=jobs, on_progress=on_progress)
        try:
            _write(folder, codec, examined)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    return Corpus(folder, seed)


def _write(folder: Path, codec: Codec, examined: Iterable[Examined]) -> None:
    """Write a corpus beside its place, then rename it, so that it is there whole or not at all."""
    beside = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    beside.mkdir(parents=True, exist_ok=True)
    try:
        pieces, losses, skipped = _write_pieces(beside, codec, examined)
        if not pieces:
            shown = "; ".join(f"{name}: {reason}" for name, reason in skipped[:MAX_REASONS_SHOWN])
            more = f"; and {len(skipped) - MAX_REASONS_SHOWN} more" if len(skipped) > MAX_REASONS_SHOWN else ""
            raise EmptyCorpusError(f"no usable piece among {len(skipped)} files: {shown}{more}")
        manifest = {
            "encoding": codec.name,
            "options": codec.options,
            "losses": dict(losses),
            "skipped": [list(row) for row in skipped],
            "pieces": [piece.__dict__ for piece in pieces],
        }
        (beside / "manifest.json").write_text(json.dumps(manifest, indent=1))
        if folder.is_dir():
            shutil.rmtree(folder)  # a torn one: without a manifest
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_pieces(
    folder: Path, codec: Codec, examined: Iterable[Examined]
) -> tuple[list[Piece], Counter, list[tuple[str, str]]]:
    pieces: list[Piece] = []
    losses: Counter = Counter()
    skipped: list[tuple[str, str]] = []
    offset = 0
    with open(folder / "ids.bin", "wb") as ids_file, open(folder / "files.csv", "w", newline="") as csv_file:
        rows = csv.writer(csv_file)
        rows.writerow(["file", "verdict", "reason", "notes", "tokens", "seconds"])
        for item in examined:
            verdict = "skipped" if item.reason else "used"
            rows.writerow([item.ref.name, verdict, item.reason, item.notes, len(item.ids), f"{item.seconds:.2f}"])
            if item.reason:
                skipped.append((item.ref.name, item.reason))
                continue
            ids_file.write(item.ids.tobytes())
            kin = split.family(codec, item.ids)
            pieces.append(
                Piece(item.ref.name, offset, len(item.ids), item.notes, round(item.seconds, 3), kin, item.ref.split)
            )
            offset += len(item.ids)
            losses.update(item.losses)
    return pieces, losses, skipped
