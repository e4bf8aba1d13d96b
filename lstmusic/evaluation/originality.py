"""How much a song has in common with the pieces that its model was trained on: the longest run of notes of both.

A run is a stretch of one part in which every interval is that of the piece and every next gap between onsets is as much
longer or shorter (`note_lines`), whatever the key and the tempo. Real pieces share runs too: a song is to be judged beside
what pieces share that the model has not seen (`band`). After Yin et al. (2021), "A good algorithm does not steal – it
imitates", section 3; there the runs are sets of equal notes within a bar, here they are exact and of any length.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lstmusic.errors import CheckpointError
from lstmusic.evaluation.note_lines import CLASSES, END, Lines, lines, symbols
from lstmusic.evaluation.shared_runs import longest_runs
from lstmusic.listening import palette
from lstmusic.score import Score

FORMAT = 1
MIN_NOTES = 8  # shorter runs are everybody's
# Different ones, as in `corpus.families`; runs of fewer (scales, trills, pounding basses) are everybody's too.
MIN_STEPS = 4
INDEX_END, SCORE_END = END, END + CLASSES  # what ends lines is different in every part, so that no run goes beyond one
ARRAYS = {"pitch": np.uint8, "rhythm": np.uint8, "bar": np.uint16, "length": np.uint32, "piece": np.uint32}


class Run(NamedTuple):
    """The longest stretch of notes that a score shares with a training piece.

    Attributes:
        notes: how many of one part, counting those that begin together as one.
        bars: how long it is, by the score's own bar lines.
        piece, piece_bar: where it stands first among the training pieces: the name, and the number of the bar in which it
            begins, as pictures count.
        bar, track: where it begins in the score, and in which part.
        semitones: how much higher it is there than in the piece.
    """

    notes: int
    bars: float
    piece: str
    piece_bar: int
    bar: int
    track: str
    semitones: int


class Band(NamedTuple):
    """What pieces share with an index: of how many pieces; median, 95th percentile and most, in bars and in notes."""

    pieces: int
    bars_median: float
    bars_95: float
    bars_most: float
    notes_median: float
    notes_95: float
    notes_most: float


def band(runs: Sequence[Run | None]) -> Band:
    """What pieces share, from the longest run of each; a piece without one shares nothing.

    Raises:
        ValueError: there are no pieces.
    """
    if not runs:
        raise ValueError("no pieces, expected one at least")
    table = np.array([(run.bars, run.notes) if run else (0, 0) for run in runs], np.float64)
    figures = np.stack([np.median(table, axis=0), np.percentile(table, 95, axis=0), table.max(axis=0)], axis=1)
    return Band(len(runs), *figures.ravel().tolist())


class Index:
    """The note sequences of training pieces, whatever their key and tempo.

    Args:
        names: of the pieces.
        pitch, rhythm: of all moments of all pieces, see `note_lines.Lines`.
        bar: uint16, the number of the bar in which each begins.
        length, piece: uint32 [L], of each line: the number of its moments, and of its piece.
    """

    def __init__(
        self,
        names: Sequence[str],
        pitch: np.ndarray,
        rhythm: np.ndarray,
        bar: np.ndarray,
        length: np.ndarray,
        piece: np.ndarray,
    ) -> None:
        self.names, self.pitch, self.rhythm, self.bar = names, pitch, rhythm, bar
        self.length, self.piece = length, piece

    @classmethod
    def build(cls, pieces: Iterable[tuple[str, Score]]) -> Index:
        """The index of pieces, given with their names."""
        return cls._of_lines((name, score, lines(score)) for name, score in pieces)

    @classmethod
    def _of_lines(cls, pieces: Iterable[tuple[str, Score, Lines]]) -> Index:
        names: list[str] = []
        columns: dict[str, list[np.ndarray]] = {name: [np.zeros(0, kind)] for name, kind in ARRAYS.items()}
        for number, (name, score, own) in enumerate(pieces):
            names.append(name)
            length = np.diff(np.flatnonzero(own.first), append=len(own.first))
            bar = _bar_numbers(score, own.onset_tick)
            values = (own.pitch, own.rhythm, bar, length, np.full(len(length), number))
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        arrays = {name: np.concatenate(columns[name]).astype(kind) for name, kind in ARRAYS.items()}
        return cls(names, **arrays)

    @cached_property
    def _symbols(self) -> np.ndarray:
        """Of all moments, uint8 [N], ending with INDEX_END."""
        first = np.zeros(len(self.pitch), bool)
        first[np.cumsum(self.length)[:-1]] = True
        return np.append(symbols(self.pitch, self.rhythm, first, INDEX_END), np.uint8(INDEX_END))

    def longest(self, scores: Sequence[Score]) -> list[Run | None]:
        """The longest run that each score shares with the pieces: that of most bars, of equals that of most notes.

        Returns:
            None for a score that shares no run of MIN_NOTES notes and MIN_STEPS different steps.
        """
        return self._longest(scores, [lines(score) for score in scores])

    def _longest(self, scores: Sequence[Score], parts: Sequence[Lines]) -> list[Run | None]:
        joined = [symbols(part.pitch, part.rhythm, part.first, SCORE_END) for part in parts]
        query = np.concatenate([*joined, [np.uint8(SCORE_END)]])
        notes = longest_runs(self._symbols, query, CLASSES) + 1
        ends = np.cumsum([len(own) for own in joined])
        shares = np.split(notes, ends)
        return [self._run(*each) for each in zip(scores, parts, joined, shares, strict=False)]

    def _run(self, score: Score, part: Lines, own: np.ndarray, notes: np.ndarray) -> Run | None:
        """The longest run of one score, from the symbols [M] and the notes [M] of the longest from each moment on."""
        inside = np.diff(notes, prepend=0) == -1  # the rest of a run that begins a moment before
        starts = np.flatnonzero((notes >= MIN_NOTES) & ~inside)
        starts = starts[_different_steps(own, starts, notes[starts] - 2) >= MIN_STEPS]
        if not len(starts):
            return None
        notes = notes[starts]
        bars = bar_positions(score, part.end_tick[starts + notes - 1]) - bar_positions(score, part.onset_tick[starts])
        best = np.lexsort((starts, -notes, -bars))[0]
        start, count = int(starts[best]), int(notes[best])
        source = self._place(own[start : start + count - 1])
        return Run(
            notes=count,
            bars=float(bars[best]),
            piece=self.names[self._piece_of(source)],
            piece_bar=int(self.bar[source]),
            bar=int(_bar_numbers(score, part.onset_tick[start])),
            track=palette.track_names(score)[part.track[start]],
            semitones=int(part.pitch[start]) - int(self.pitch[source]),
        )

    def _place(self, run: np.ndarray) -> int:
        """The first moment from which these symbols stand in the index, the last of them by its interval alone."""
        lowest = int(run[-1]) // CLASSES * CLASSES
        last = b"[" + b"".join(re.escape(bytes([lowest + k])) for k in range(CLASSES)) + b"]"
        found = re.search(re.escape(run[:-1].tobytes()) + last, self._symbols.tobytes(), re.DOTALL)
        assert found is not None, "a shared run stands in the index"
        return found.start()

    def _piece_of(self, moment: int) -> int:
        return int(self.piece[np.searchsorted(np.cumsum(self.length), moment, side="right")])

    def to_bytes(self) -> bytes:
        """The index as a compressed npz file."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        arrays["bar"] = np.diff(self.bar, prepend=np.uint16(0))  # mostly zeros; wraps around, and back
        names = np.frombuffer(json.dumps(list(self.names)).encode(), np.uint8)
        file = io.BytesIO()
        np.savez_compressed(file, format=np.array(FORMAT), names=names, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Index:
        """The index in the bytes of a file.

        Args:
            name: what to call the file where something is wrong with it.

        Raises:
            CheckpointError: it is damaged, or of another format.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                version = file["format"].item()
                if version == FORMAT:
                    names = json.loads(file["names"].tobytes())
                    arrays = {key: file[key].astype(kind, casting="no") for key, kind in ARRAYS.items()}
                    _check(names, **arrays)
        except Exception as error:  # whatever zipfile, zlib and NumPy raise at bytes that are not theirs
            raise CheckpointError(f"{name}: damaged, expected an index of training pieces ({error!r:.80})") from error
        if version != FORMAT:
            raise CheckpointError(f"{name}: format {version!r}, expected {FORMAT}")
        arrays["bar"] = np.cumsum(arrays["bar"], dtype=np.uint16)
        return cls(names, **arrays)


def mutual(scores: Sequence[Score]) -> list[list[Run | None]]:
    """The longest run that scores share with each other, [N][N]: of each as the piece, what all of them share with it."""
    parts = [lines(score) for score in scores]
    of_each = enumerate(zip(scores, parts, strict=True))
    return [Index._of_lines([(str(k), *each)])._longest(scores, parts) for k, each in of_each]


def _check(
    names: list[str], pitch: np.ndarray, rhythm: np.ndarray, bar: np.ndarray, length: np.ndarray, piece: np.ndarray
) -> None:
    """Raise ValueError unless the arrays of an index fit together."""
    moments = int(length.sum(dtype=np.int64))
    if not len(pitch) == len(rhythm) == len(bar) == moments or len(length) != len(piece) or not length.all():
        raise ValueError("arrays of other lengths")
    if np.any(piece >= len(names)) or np.any(rhythm >= CLASSES) or np.any(pitch > 127):
        raise ValueError("values out of range")


def _different_steps(symbols: np.ndarray, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How many different symbols there are among the `counts` [K] from each of the places `starts` [K] on, int64 [K]."""
    spans = zip(starts.tolist(), (starts + counts).tolist(), strict=True)
    return np.array([len(set(symbols[start:stop].tolist())) for start, stop in spans], np.int64)


def bar_positions(score: Score, ticks: np.ndarray) -> np.ndarray:
    """Where ticks [T] stand in bars, float64 [T]: 1.5 is the middle of the second bar; an upbeat ends at 1."""
    bars = score.bar_ticks()
    positions = np.arange(len(bars), dtype=np.float64)
    if score.pickup_tick and len(bars) > 2:
        positions[0] = 1 - score.pickup_tick / (bars[2] - bars[1])
    return np.interp(ticks, bars, positions)


def _bar_numbers(score: Score, ticks: np.ndarray) -> np.ndarray:
    """The number of the bar in which ticks stand, int64 [T]."""
    return np.searchsorted(score.bar_ticks(), ticks, side="right") - 1 + score.first_bar
