"""A verdict and a reason for every piece: read, filtered, encoded, checked and compared with what its ids say."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lstmusic.corpus import families, fidelity, filters, worker
from lstmusic.corpus.fidelity import Fidelity
from lstmusic.corpus.pieces import PieceRef, shown
from lstmusic.corpus.sources import read_piece
from lstmusic.errors import LstmusicError
from lstmusic.events import codec as codecs
from lstmusic.events.codec import Codec
from lstmusic.schema import FiltersConfig, LimitsConfig
from lstmusic.score import Score
from lstmusic.score.remarks import Remarks


class Row(NamedTuple):
    """What became of one piece, in plain values.

    Attributes:
        name: of the piece.
        own_split: the data set's own split; empty where lstmusic splits.
        reason: why it was skipped; empty where it is used.
        notes: in its ids; where it was skipped, in its Score.
        tokens: how many ids it has.
        seconds, tracks: of its Score.
        repairs: what was mended, by kind.
        losses: what its Score or its encoding left out or moved, by reason.
        fidelity: its ids beside its Score.
        digest: the same for pieces of the same notes and tempi.
    """

    name: str
    own_split: str
    reason: str
    notes: int
    tokens: int
    seconds: float
    tracks: int
    repairs: dict[str, int]
    losses: dict[str, int]
    fidelity: Fidelity = Fidelity()
    digest: str = ""


class Examined(NamedTuple):
    """One piece: its row and, where it is used, its ids uint16 [N] and its sketch (see `families`)."""

    row: Row
    ids: np.ndarray | None = None
    sketch: np.ndarray | None = None


@dataclass(frozen=True)
class Examiner:
    """Examines pieces, one a call, in one encoding and with one set of filters."""

    encoding: str
    options: dict
    filters: FiltersConfig

    @cached_property
    def codec(self) -> Codec:
        """The codec of the encoding."""
        return codecs.build(self.encoding, **self.options)

    def __call__(self, ref: PieceRef) -> Examined:
        """Read and encode one piece; anything that is wrong with it becomes its reason.

        Raises:
            MemoryError: there is not enough of it.
        """
        try:
            return self._examine(ref)
        except MemoryError:
            raise
        except Exception as error:  # a reader's own bug on one file is named too, with the reason
            if isinstance(error.__cause__, MemoryError):
                raise error.__cause__ from error
            return skipped(ref, _reason(ref, error))

    def _examine(self, ref: PieceRef) -> Examined:
        remarks = Remarks()
        score = filters.repaired(read_piece(ref, remarks), self.filters, remarks.repairs)
        if reason := filters.judge(score, self.filters):
            return skipped(ref, reason, score)
        ids = self.codec.encode(score, remarks.losses)
        self.codec.grammar.check(ids)
        row = Row(
            name=ref.name,
            own_split=ref.split,
            reason="",
            notes=self.codec.num_notes(ids),
            tokens=len(ids),
            seconds=round(score.length_s, 3),
            tracks=len(score.tracks),
            repairs=_sorted(remarks.repairs),
            losses=_sorted(remarks.losses),
            fidelity=fidelity.measure(self.codec, score, ids),
            digest=digest(score),
        )
        return Examined(row, ids, families.sketch(score))


def skipped(ref: PieceRef, reason: str, score: Score | None = None) -> Examined:
    """The verdict on a piece that is not used."""
    figures = (0, 0, 0.0, 0) if score is None else (len(score.notes), 0, round(score.length_s, 3), len(score.tracks))
    return Examined(Row(ref.name, ref.split, shown(reason), *figures, repairs={}, losses={}))


def digest(score: Score) -> str:
    """The same for two pieces of the same notes, instruments and tempi, whatever their resolution and tracks' order."""
    notes, tempi = score.notes, score.tempi
    ticks = np.concatenate([notes["onset_tick"], notes["duration_tick"], tempi["tick"]])
    unit = np.gcd.reduce(ticks, initial=score.ticks_per_quarter)
    part = np.array([128 if track.drum else track.program for track in score.tracks])[notes["track"]]
    columns = (notes["onset_tick"] // unit, notes["pitch"], part, notes["duration_tick"] // unit, notes["velocity"])
    rows = np.stack([column.astype(np.int64) for column in columns])
    rows = rows[:, np.lexsort(rows[::-1])]
    maps = np.r_[score.ticks_per_quarter // unit, tempi["tick"] // unit, tempi["us_per_quarter"]].astype(np.int64)
    return hashlib.sha256(rows.tobytes() + maps.tobytes()).hexdigest()[:16]


def _sorted(counts: Counter) -> dict[str, int]:
    return dict(sorted((+counts).items()))


def examine(refs: Iterable[PieceRef], examiner: Examiner, limits: LimitsConfig) -> Iterator[Examined]:
    """Examine pieces in a process beside this one; one that is lost with it is skipped, with the reason."""
    reader = worker.of_this_thread(examiner, limits)
    for ref in refs:
        found, reason = reader.call(ref)
        yield found or skipped(ref, reason)


def _reason(ref: PieceRef, error: Exception) -> str:
    if not isinstance(error, LstmusicError):
        return f"{type(error).__name__}: {error}"
    return str(error).removeprefix(f"{ref.name}: ").removeprefix(f"{ref.place}: ")  # the row names the piece already
