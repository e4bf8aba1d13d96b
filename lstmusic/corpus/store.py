"""A prepared corpus on disk: memory-mapped ids in shards, one row per piece, and a verdict for every file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from filelock import FileLock

from lstmusic.corpus import parallel as backends
from lstmusic.corpus import shards, split, worker
from lstmusic.corpus.doctor import Examiner
from lstmusic.corpus.lanes import Augmentation, Lanes
from lstmusic.corpus.ledger import OWN_SPLITS, Ledger
from lstmusic.corpus.sources import SPLITS, Source
from lstmusic.errors import EmptyCorpusError, OutputError
from lstmusic.events import codec as codecs
from lstmusic.events.codec import Codec
from lstmusic.schema import FiltersConfig, LimitsConfig, ParallelConfig

FORMAT = 3  # raise when the ids that a codec writes or the verdicts change: older caches are then made anew
READERS = ("music21",)  # other versions may read other notes
OPEN_SHARDS = 64
MAX_REASONS_SHOWN = 5


@dataclass(frozen=True)
class Piece:
    """One usable piece: its size, the first piece of its family, and the data set's own split (or empty)."""

    name: str
    length: int
    notes: int
    seconds: float
    family: int
    own_split: str


class Pieces(Sequence[Piece]):
    """The pieces of a corpus: a table on disk, of which a piece is made when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.table = np.load(folder / "pieces.npy", mmap_mode="r")
        self._names = np.memmap(folder / "names.txt", np.uint8, "r")

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, piece):  # type: ignore[no-untyped-def]  # one piece; nobody asks for slices
        piece = range(len(self))[piece]
        row = self.table[piece]
        start = int(self.table["name_end"][piece - 1]) if piece else 0
        return Piece(
            name=self._names[start : int(row["name_end"])].tobytes().decode(),
            length=int(row["length"]),
            notes=int(row["notes"]),
            seconds=float(row["seconds"]),
            family=int(row["family"]),
            own_split=OWN_SPLITS[row["own_split"]],
        )


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
        self.pieces = Pieces(folder)
        self._shard = lru_cache(OPEN_SHARDS)(lambda number: np.memmap(shards.ids_file(folder, number), np.uint16, "r"))
        own = self.pieces.table["own_split"]
        if own.all():
            self.splits = [OWN_SPLITS[k] for k in own.tolist()]
        else:
            self.splits = split.assign(self.pieces.table["family"].tolist(), seed)

    def ids(self, piece: int) -> np.ndarray:
        """The ids of one piece, uint16 [N], from its BOS group to its EOS group."""
        row = self.pieces.table[piece]
        return self._shard(int(row["shard"]))[int(row["start"]) : int(row["start"]) + int(row["length"])]

    def split_as(self, names: dict[str, list[str]]) -> None:
        """Take the split of a model that was trained on this corpus: the names of each split's pieces.

        Pieces that it does not name belong to no split.
        """
        split_of = {piece: name for name, pieces in names.items() for piece in pieces}
        self.splits = [split_of.get(piece.name, "") for piece in self.pieces]

    def indices(self, name: str) -> list[int]:
        """The pieces of a split."""
        return [i for i, piece_split in enumerate(self.splits) if piece_split == name]

    def piece_names(self) -> dict[str, list[str]]:
        """The names of the pieces of each split."""
        return {name: [self.pieces[i].name for i in self.indices(name)] for name in SPLITS}

    def counts(self) -> dict[str, dict[str, int]]:
        """Pieces, ids and notes of each split."""
        rows = {name: self.pieces.table[self.indices(name)] for name in SPLITS}
        return {
            name: {"pieces": len(r), "tokens": int(r["length"].sum()), "notes": int(r["notes"].sum())}
            for name, r in rows.items()
        }

    def lanes(
        self,
        name: str,
        *,
        num_lanes: int,
        window_steps: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        vary: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> Lanes:
        """The windows of a split; see `Lanes`."""
        chosen = self.indices(name)
        steps = self.pieces.table["length"][chosen].astype(np.int64) // self.codec.group_size - 1
        return Lanes(
            read=lambda k: self.ids(chosen[k]),
            steps=steps,
            codec=self.codec,
            num_lanes=num_lanes,
            window_steps=window_steps,
            seed=seed,
            augmentation=augmentation,
            vary=vary,
            rank=rank,
            world=world,
        )


def prepare(
    source: Source,
    encoding: str,
    options: dict,
    *,
    cache: Path,
    filters: FiltersConfig | None = None,
    limits: LimitsConfig | None = None,
    parallel: ParallelConfig | None = None,
    jobs: int = -1,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Corpus:
    """Read, encode and store a source once; the second call with the same bytes and settings opens what the first wrote.

    Stopped at any moment and called again it goes on with the shards that are missing, and writes the same bytes as if
    it had never been stopped, whatever the backend and the number of processes.

    Args:
        source: the pieces.
        encoding, options: see `events.codec.build`.
        cache: the folder of all prepared corpora; on a cluster one that every machine sees.
        filters, limits, parallel: by default those of the schema.
        jobs: processes; -1 for one per core.
        seed: of the split.
        on_progress: called with the number of pieces just done.

    Raises:
        EmptyCorpusError: not one piece is usable; the message lists reasons.
        OutputError: the cache cannot be written.
        ConfigError: see `parallel.run`.
    """
    limits, examiner = limits or LimitsConfig(), Examiner(encoding, options, filters or FiltersConfig())
    folder = cache.absolute() / f"{encoding}-{_key(source, examiner, limits)}"
    work = folder.with_name(f"{folder.name}.work")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):  # two at once: the second waits, and finds it done
            if not (folder / "manifest.json").is_file():
                shards.rows_folder(work).mkdir(parents=True, exist_ok=True)
                missing = shards.missing(work, source.pieces, examiner, limits)
                on_progress(len(source.pieces) - sum(len(task.refs) for task in missing))
                for done in backends.run(shards.make, missing, parallel or ParallelConfig(), jobs):
                    on_progress(done)
                _finish(work, folder, examiner, shards.count(len(source.pieces)))
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        worker.close()
    return Corpus(folder, seed)


def _key(source: Source, examiner: Examiner, limits: LimitsConfig) -> str:
    """What a corpus depends on, as a name."""
    codec = examiner.codec
    content = [FORMAT, codec.name, codec.options, codec.vocabulary.to_json(), source.fingerprint]
    content += [asdict(examiner.filters), asdict(limits), [version(name) for name in READERS]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _finish(work: Path, folder: Path, examiner: Examiner, count: int) -> None:
    """Make a corpus of finished shards: written beside its place, then renamed, so that it is there whole or not at all."""
    beside, codec = folder.with_name(f"{folder.name}.part"), examiner.codec
    for torn in (beside, folder):
        shutil.rmtree(torn, ignore_errors=True)
    beside.mkdir()
    try:
        figures = Ledger(work, count, examiner.filters).write(beside)
        if not figures["used"]:
            shutil.rmtree(work)
            raise EmptyCorpusError(_reasons(figures["skipped"]))
        manifest = {"format": FORMAT, "encoding": codec.name, "options": codec.options, "shards": count, **figures}
        (beside / "manifest.json").write_text(json.dumps(manifest, indent=1))
        for number in range(count):
            _link(shards.ids_file(work, number), shards.ids_file(beside, number))
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _link(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:  # a file system without links
        shutil.copyfile(file, place)


def _reasons(skipped: list[list[str]]) -> str:
    shown = "; ".join(f"{name}: {reason}" for name, reason in skipped[:MAX_REASONS_SHOWN])
    more = f"; and {len(skipped) - MAX_REASONS_SHOWN} more" if len(skipped) > MAX_REASONS_SHOWN else ""
    return f"no usable piece among {len(skipped)} files: {shown}{more}"
