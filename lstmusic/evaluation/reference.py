"""What the songs of a model are measured against: its held-out pieces, each measured once and kept beside the model.

Held out is all that a model was not trained on, valid and test together. Two files of a model folder tell of it:

reference.json    of each held-out piece: nats per token, bars, the longest run shared with a training piece, statistics
originality.npz   the notes of the training pieces, for `originality.Index`
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lstmusic.corpus.lanes import Lanes
from lstmusic.corpus.split import evenly
from lstmusic.corpus.store import Corpus
from lstmusic.errors import CheckpointError
from lstmusic.evaluation import statistics
from lstmusic.evaluation.likelihood import nats_per_piece
from lstmusic.evaluation.originality import Band, Index, Run, band
from lstmusic.evaluation.song_measures import length_bars
from lstmusic.files import whole
from lstmusic.models.model import Model

FORMAT = 1
REFERENCE_FILE, INDEX_FILE = "reference.json", "originality.npz"
HELD_OUT = ("valid", "test")
MAX_PIECES = 100  # held-out pieces measured, evenly drawn: nats take as long as evaluating them does
NUM_LANES, WINDOW_STEPS = 64, 128
DIGITS = 6


@dataclass(frozen=True)
class Reference:
    """Held-out pieces, measured.

    Attributes:
        pieces: their names.
        nats: nats per token of each under the model, float64 [P].
        bars: how long each is, float64 [P].
        names: of the statistics.
        statistics: float64 [P, S], a column for each name; not a number where one does not apply to a piece.
        runs: what each shares with the training pieces.
    """

    pieces: tuple[str, ...]
    nats: np.ndarray
    bars: np.ndarray
    names: tuple[str, ...]
    statistics: np.ndarray
    runs: tuple[Run | None, ...]

    @cached_property
    def band(self) -> Band:
        """What real pieces share with those of the training."""
        return band(self.runs)

    def beyond(self, run: Run | None) -> float:
        """The share of held-out pieces that share as many bars with a training piece as a song does, or more."""
        bars = shared_bars(run)
        return float(np.mean([shared_bars(own) >= bars for own in self.runs]))

    def only(self, pieces: Iterable[int]) -> Reference:
        """Some of the pieces."""
        some = list(pieces)
        return Reference(
            tuple(self.pieces[k] for k in some),
            self.nats[some],
            self.bars[some],
            self.names,
            self.statistics[some],
            tuple(self.runs[k] for k in some),
        )

    def to_bytes(self) -> bytes:
        """The reference as JSON, a line for each piece."""
        rows = [
            {
                "piece": piece,
                "nats_per_token": _rounded(nats),
                "bars": _rounded(bars),
                "shared": None if run is None else {name: _rounded(value) for name, value in run._asdict().items()},
                "statistics": [_rounded(value) for value in values],
            }
            for piece, nats, bars, run, values in zip(
                self.pieces, self.nats.tolist(), self.bars.tolist(), self.runs, self.statistics.tolist(), strict=True
            )
        ]
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
        head = f'"format": {FORMAT},\n"statistics": {json.dumps(self.names)},\n"held_out": [\n'
        return f"{{{head}{lines}\n]}}\n".encode()

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Reference:
        """The reference of `to_bytes`, but for statistics that this version does not know.

        Args:
            name: the file, for the message.

        Raises:
            CheckpointError: it is damaged, or of another version.
        """
        try:
            told = json.loads(data)
            if told["format"] != FORMAT:
                raise CheckpointError(f"{name}: format {told['format']!r}, expected {FORMAT}")
            rows = told["held_out"]
            known = [k for k, name in enumerate(told["statistics"]) if name in statistics.STATISTICS]
            names = tuple(told["statistics"][k] for k in known)
            values = [
                [math.nan if row["statistics"][k] is None else row["statistics"][k] for k in known] for row in rows
            ]
            found = cls(
                tuple(row["piece"] for row in rows),
                np.array([row["nats_per_token"] for row in rows], np.float64),
                np.array([row["bars"] for row in rows], np.float64),
                names,
                np.array(values, np.float64).reshape(len(rows), len(names)),
                tuple(_run(row["shared"]) for row in rows),
            )
        except (ValueError, LookupError, TypeError) as error:
            raise CheckpointError(f"{name}: damaged ({error!r:.80}), expected what training wrote") from error
        found._check(name)
        return found

    def _check(self, name: str) -> None:
        """Raise CheckpointError where a piece has no nats or no length, of a file of this name."""
        columns = (
            ("nats_per_token", self.nats, np.isfinite(self.nats), "finite"),
            ("bars", self.bars, np.isfinite(self.bars) & (self.bars > 0), "positive"),
        )
        for key, values, good, expected in columns:
            for piece in np.flatnonzero(~good)[:1]:
                what = f"{key} of piece {self.pieces[piece]!r} is {values[piece]:g}"
                raise CheckpointError(f"{name}: {what}, expected a {expected} number")


def _run(told: dict[str, Any] | None) -> Run | None:
    """The run that JSON tells of.

    Raises:
        TypeError, ValueError: it is none.
    """
    if told is not None and not math.isfinite(told["bars"]):
        raise ValueError(f"{told['bars']} bars")
    return None if told is None else Run(**told)


def shared_bars(run: Run | None) -> float:
    """The bars of a run; 0 where nothing is shared."""
    return 0.0 if run is None else run.bars


def _rounded(value: Any) -> Any:
    """A number with the digits that count, as JSON has it: nothing for what is not a number."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def held_out(corpus: Corpus) -> list[int]:
    """All pieces of a corpus that a model of its split was not trained on."""
    return [piece for split in HELD_OUT for piece in corpus.indices(split)]


def thinned(pieces: Sequence[int]) -> list[int]:
    """So many of these pieces as are measured, evenly drawn; all where there are no more."""
    return evenly(pieces, MAX_PIECES)


def measured(model: Model, corpus: Corpus, index: Index) -> Reference | None:
    """The reference of a model; None where no piece is held out. One whose nats are not finite is left out.

    Args:
        corpus: that of its training, with its split.
        index: of the pieces that it was trained on.
    """
    chosen = thinned(held_out(corpus))
    if not chosen:
        return None
    nats = nats_per_piece(model, _lanes(corpus, chosen))
    known = np.isfinite(nats)
    if not known.any():
        return None
    chosen = [piece for piece, own in zip(chosen, known, strict=True) if own]
    scores = [corpus.codec.decode(corpus.ids(piece)) for piece in chosen]
    return Reference(
        tuple(corpus.pieces[piece].name for piece in chosen),
        nats[known],
        np.array([length_bars(score) for score in scores]),
        tuple(statistics.STATISTICS),
        statistics.table(scores),
        tuple(index.longest(scores)),
    )


def _lanes(corpus: Corpus, chosen: Sequence[int]) -> Lanes:
    group = corpus.codec.group_size
    return Lanes(
        read=lambda k: corpus.ids(chosen[k]),
        steps=np.array([len(corpus.ids(piece)) // group - 1 for piece in chosen]),
        codec=corpus.codec,
        num_lanes=NUM_LANES,
        window_steps=WINDOW_STEPS,
    )


def indexed(corpus: Corpus) -> Index:
    """The index of the training pieces of a corpus."""
    return Index.build(
        (corpus.pieces[piece].name, corpus.codec.decode(corpus.ids(piece))) for piece in corpus.indices("train")
    )


def extras(model: Model, corpus: Corpus) -> dict[str, bytes]:
    """The files that tell what a model's songs are measured against, by name, for `checkpoint.save`."""
    index = indexed(corpus)
    files = {INDEX_FILE: index.to_bytes()}
    reference = measured(model, corpus, index)
    return files if reference is None else files | {REFERENCE_FILE: reference.to_bytes()}


def add(folder: Path, model: Model, split: Mapping[str, list[str]], corpus: Corpus) -> list[str]:
    """Write those files of `extras` into a model folder that it has not; their names.

    Args:
        split: the names of the pieces of each split of its training.
        corpus: with another split nothing is written.

    Raises:
        OutputError: the folder cannot be written.
    """
    files_of = (INDEX_FILE, REFERENCE_FILE) if held_out(corpus) else (INDEX_FILE,)
    missing = [name for name in files_of if not (folder / name).is_file()]
    if not missing or corpus.piece_names() != split:
        return []
    files = extras(model, corpus)
    for name in missing:
        with whole(folder / name) as beside:
            beside.write_bytes(files[name])
    return missing


def index_of(folder: Path | None) -> Index | None:
    """The index that lies in a model folder; None where there is none, or no folder.

    Raises:
        CheckpointError: it is damaged.
    """
    if folder is None or not (file := folder / INDEX_FILE).is_file():
        return None
    return Index.from_bytes(file.read_bytes(), str(file))


def reference_of(folder: Path | None) -> Reference | None:
    """The reference that lies in a model folder; None where there is none, or no folder.

    Raises:
        CheckpointError: it is damaged.
    """
    if folder is None or not (file := folder / REFERENCE_FILE).is_file():
        return None
    return Reference.from_bytes(file.read_bytes(), str(file))
