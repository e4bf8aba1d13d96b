"""The last pass over a corpus, when every piece is known: duplicates, families, files.csv, the table of used pieces."""

from __future__ import annotations

import csv
import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstmusic.corpus import families, fidelity, shards
from lstmusic.corpus.doctor import Row
from lstmusic.corpus.sources import SPLITS
from lstmusic.schema import FiltersConfig

COLUMNS = (
    *("file", "verdict", "reason", "notes", "tokens", "seconds", "tracks", "repairs"),
    *("lost_notes", "onset_error_ms_mean", "onset_error_ms_max", "family", "duplicate_of"),
)
OWN_SPLITS = ("", *SPLITS)
PIECE_DTYPE = np.dtype(
    [
        ("shard", "<u4"),
        ("start", "<u8"),  # in the shard's ids
        ("length", "<u4"),
        ("notes", "<u4"),
        ("seconds", "<f8"),
        ("family", "<i8"),  # its first piece
        ("own_split", "u1"),  # in OWN_SPLITS
        ("name_end", "<u8"),  # in names.txt; it begins where the one before ends
    ]
)


class Verdict(NamedTuple):
    """What became of one piece in the end.

    Attributes:
        number: among all pieces of the source.
        shard, start: where its ids begin.
        row: as its examiner left it.
        word: `used`, `repaired` or `skipped`.
        reason: why it was skipped, or what else there is to say.
        family: the number of its family's first piece; -1 where it was skipped before that could be told.
        family_name, duplicate_of: names of pieces; empty for none.
    """

    number: int
    shard: int
    start: int
    row: Row
    word: str
    reason: str
    family: int
    family_name: str
    duplicate_of: str

    @property
    def kept(self) -> bool:
        """Whether the piece is in the corpus."""
        return self.word != "skipped"


class Kin(NamedTuple):
    """Which piece is a copy of which, by their numbers in the source; -1: of none.

    Attributes:
        used: bool [F], those that were encoded.
        copy_of: int64 [F], the first piece of the same notes.
        like: int64 [F], the piece before it that is most like it.
        family: int64 [F], the first piece of its family.
    """

    used: np.ndarray
    copy_of: np.ndarray
    like: np.ndarray
    family: np.ndarray


class Ledger:
    """The verdicts on all pieces of finished shards. What it holds of each are a few numbers in arrays.

    Args:
        folder: of the shards.
        count: how many there are.
        filters: what becomes of duplicates.
    """

    def __init__(self, folder: Path, count: int, filters: FiltersConfig) -> None:
        self.folder, self.count, self.filters = folder, count, filters
        names, self._name_ends, digests, own = bytearray(), array("Q"), array("Q"), array("B")
        for number in range(count):
            for row in shards.read_rows(folder, number).rows:
                names += row.name.encode()
                self._name_ends.append(len(names))
                digests.append(int(row.digest or "0", 16))
                own.append(OWN_SPLITS.index(row.own_split))
        self._names = bytes(names)
        self._kin = _kin(folder, count, np.asarray(digests))
        # A data set that comes with its split is used as it is: figures from elsewhere count its copies too
        copies = (self._kin.copy_of >= 0) & (np.asarray(own) == 0)
        alike = (self._kin.like >= 0) | (self._kin.copy_of >= 0)
        self._kept = self._kin.used & (filters.duplicates | ~copies) & (filters.near_duplicates | ~alike)

    def name(self, number: int) -> str:
        """The name of a piece of the source; empty for -1."""
        start = self._name_ends[number - 1] if number > 0 else 0
        return self._names[start : self._name_ends[number]].decode() if number >= 0 else ""

    def verdicts(self) -> Iterator[Verdict]:
        """Every piece of the source in turn."""
        number = 0
        for shard in range(self.count):
            start = 0
            for row in shards.read_rows(self.folder, shard).rows:
                yield self._verdict(number, shard, start, row)
                start += row.tokens
                number += 1

    def _verdict(self, number: int, shard: int, start: int, row: Row) -> Verdict:
        copy_of, like, family = (int(column[number]) for column in self._kin[1:])
        remark, other = "", -1
        if copy_of >= 0:
            remark, other = "exact duplicate of ", copy_of
        elif like >= 0:
            remark, other = "near-duplicate of ", like
        word = "skipped" if not self._kept[number] else "repaired" if row.repairs else "used"
        reason = row.reason or remark + self.name(other)
        return Verdict(number, shard, start, row, word, reason, family, self.name(family), self.name(other))

    def write(self, place: Path) -> dict[str, Any]:
        """Write files.csv, pieces.npy and names.txt into a folder; what a manifest says of the corpus."""
        self._write_csv(place / "files.csv")
        self._write_pieces(place / "pieces.npy", place / "names.txt")
        return {"sha256": self._content(place), **self._figures()}

    def _write_csv(self, path: Path) -> None:
        with open(path, "w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(COLUMNS)
            for verdict in self.verdicts():
                row, kept = verdict.row, verdict.row.fidelity
                repairs = "; ".join(f"{kind}: {count}" for kind, count in row.repairs.items())
                figures = [row.notes, row.tokens, f"{row.seconds:.2f}", row.tracks, repairs]
                figures += [kept.lost, f"{kept.onset_error_ms:.3f}", f"{kept.max_onset_error_ms:.3f}"]
                lines.writerow(
                    [row.name, verdict.word, verdict.reason, *figures, verdict.family_name, verdict.duplicate_of]
                )

    def _write_pieces(self, table_path: Path, names_path: Path) -> None:
        table, place, end = np.zeros(int(self._kept.sum()), PIECE_DTYPE), np.cumsum(self._kept) - 1, 0
        with open(names_path, "wb") as names:
            for number, shard, start, row, *_, family, _, _ in self._kept_verdicts():
                end += names.write(row.name.encode())
                own, first = OWN_SPLITS.index(row.own_split), place[family]
                table[place[number]] = (shard, start, row.tokens, row.notes, row.seconds, first, own, end)
        np.save(table_path, table)

    def _kept_verdicts(self) -> Iterator[Verdict]:
        return (verdict for verdict in self.verdicts() if verdict.kept)

    def _figures(self) -> dict[str, Any]:
        words: Counter = Counter()
        repairs: Counter = Counter()
        losses: Counter = Counter()
        skipped = []
        for verdict in self.verdicts():
            words[verdict.word] += 1
            if verdict.kept:
                repairs.update(verdict.row.repairs)
                losses.update(verdict.row.losses)
            else:
                skipped.append([verdict.row.name, verdict.reason])
        return {
            "files": len(self._kept),
            "used": words["used"] + words["repaired"],
            "repaired": words["repaired"],
            "families": len(np.unique(self._kin.family[self._kept])),
            "losses": dict(sorted(losses.items())),
            "repairs": dict(sorted(repairs.items())),
            "fidelity": fidelity.total(verdict.row.fidelity for verdict in self._kept_verdicts())._asdict(),
            "skipped": skipped,
        }

    def _content(self, place: Path) -> str:
        """The sha256 of the corpus: of its shards' ids and the files about them."""
        digest = hashlib.sha256()
        for number in range(self.count):
            digest.update(bytes.fromhex(shards.read_rows(self.folder, number).sha256))
        for name in ("files.csv", "pieces.npy", "names.txt"):
            with open(place / name, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def _kin(folder: Path, count: int, digests: np.ndarray) -> Kin:
    """Who is a copy of whom.

    Args:
        digests: uint64 [F] of the pieces' notes; 0 for a piece that is not used.
    """
    used = digests != 0
    numbers = np.flatnonzero(used)
    copy_of, like, family = (np.full(len(digests), -1) for _ in range(3))
    _, first, same = np.unique(digests[numbers], return_index=True, return_inverse=True)
    original = numbers[first[same]]
    distinct = original == numbers
    firsts = numbers[distinct]
    found = families.group(_sketches(folder, count, distinct))
    family[firsts] = firsts[found.family]
    like[firsts] = np.where(found.relative >= 0, firsts[found.relative], -1)
    copy_of[numbers] = np.where(distinct, -1, original)
    family[numbers] = family[original]
    return Kin(used, copy_of, like, family)


def _sketches(folder: Path, count: int, wanted: np.ndarray) -> np.ndarray:
    """The sketches of the wanted ones (bool [U]) among the used pieces, uint32 [P, LINES, HASHES], in a memory map."""
    shape = (int(wanted.sum()), families.LINES, families.HASHES)
    if not shape[0]:
        return np.zeros(shape, np.uint32)
    sketches = np.lib.format.open_memmap(shards.rows_folder(folder) / "sketches.npy", "w+", np.uint32, shape=shape)
    seen = end = 0
    for number in range(count):
        some = shards.read_sketches(folder, number)
        chosen = some[wanted[seen : seen + len(some)]]
        sketches[end : end + len(chosen)] = chosen
        seen, end = seen + len(some), end + len(chosen)
    return sketches
