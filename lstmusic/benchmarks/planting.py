"""A few bars of training pieces planted into songs, in another key and more slowly: does the index find them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lstmusic.corpus.store import Corpus
from lstmusic.evaluation.note_lines import lines
from lstmusic.evaluation.originality import Index, Run
from lstmusic.score import Score
from lstmusic.score.score import sorted_notes

# Of a piece that are planted: four bars, or more where a file's bars are but a quarter long.
BARS, LEAST_QUARTERS = 4, 8
SEMITONES, MAX_PITCH = 5, 127
SLOWER = 1.1
LEAST_MOMENTS = 12  # in one part of what is planted: with fewer than eight there is nothing to be found


class Planted(NamedTuple):
    """A song with some bars of a piece in it.

    Attributes:
        score: the song.
        bars: the numbers of the first and the last of them in the song.
        piece: the name of the piece.
        piece_bars: the numbers of the first and the last of them in the piece.
    """

    score: Score
    bars: tuple[int, int]
    piece: str
    piece_bars: tuple[int, int]


class Found(NamedTuple):
    """What became of planted bars: the run that was told of the song, and whether it is them.

    Attributes:
        run: None: there was none.
        source: it is, and where they were taken from was told.
        repeat: it is, but another place of their piece was told, which has the same notes.
        other_piece: it is, but another piece was told, which has the same notes.
    """

    run: Run | None
    source: bool = False
    repeat: bool = False
    other_piece: bool = False


def planted(corpus: Corpus, songs: Sequence[Score], count: int, seed: int = 0) -> list[Planted]:
    """Songs with some bars of training pieces in the middle: of so many pieces, or of all that have bars of many notes.

    Args:
        corpus: of the model, with its split.
        songs: taken in turn.
    """
    rng = np.random.default_rng(seed)
    out: list[Planted] = []
    for index in rng.permutation(corpus.indices("train")).tolist():
        if len(out) == count:
            break
        piece = corpus.codec.decode(corpus.ids(index))
        span = _busy_bars(piece, rng)
        if span is not None:
            number = piece.first_bar
            score, bars = _plant(songs[len(out) % len(songs)], piece, span)
            if corpus.codec.in_seconds:
                # A song has its own grid of milliseconds, other than that of the stretched piece.
                score = corpus.codec.decode(corpus.codec.encode(score))
            out.append(Planted(score, bars, corpus.pieces[index].name, (span[0] + number, span[1] - 1 + number)))
    return out


def _busy_bars(piece: Score, rng: np.random.Generator) -> tuple[int, int] | None:
    """Some bars of a piece, drawn from all that have enough notes: the bar lines before and after; None: it has none."""
    ticks = piece.bar_ticks()
    stops = np.maximum(
        np.searchsorted(ticks, ticks + LEAST_QUARTERS * piece.ticks_per_quarter), np.arange(len(ticks)) + BARS
    )
    for first in rng.permutation(np.flatnonzero(stops < len(ticks))).tolist():
        part = lines(cut(piece, int(ticks[first]), int(ticks[stops[first]])))
        if len(part.track) and np.bincount(part.track).max() >= LEAST_MOMENTS:
            return first, int(stops[first])
    return None


def cut(piece: Score, start: int, stop: int) -> Score:
    """The piece without the notes that begin before one tick, or at another or later."""
    onset = piece.notes["onset_tick"]
    return replace(piece, notes=piece.notes[(onset >= start) & (onset < stop)])


def _plant(song: Score, piece: Score, span: tuple[int, int]) -> tuple[Score, tuple[int, int]]:
    """The song with bars of a piece in place of what begins in its middle, and the numbers of its bars that have them."""
    start, stop = piece.bar_ticks()[list(span)].tolist()
    new = cut(piece, start, stop).notes.copy()
    ticks = song.bar_ticks()
    at = int(ticks[len(ticks) // 2])
    scale = SLOWER * song.ticks_per_quarter / piece.ticks_per_quarter
    end = at + round((stop - start) * scale)
    new["onset_tick"] = at + np.rint((new["onset_tick"] - start) * scale)
    new["duration_tick"] = np.maximum(np.rint(new["duration_tick"] * scale), 1)
    pitch = new["pitch"].astype(np.int64) + SEMITONES
    new["pitch"] = pitch if pitch.max() <= MAX_PITCH else pitch - 12
    onset = song.notes["onset_tick"]
    stays = song.notes[(onset < at) | (onset >= end)]
    score = replace(
        song, notes=sorted_notes(np.concatenate([stays, new])), tracks=song.tracks + piece.tracks[len(song.tracks) :]
    )
    lines_after = np.searchsorted(score.bar_ticks(), [at, end - 1], side="right") - 1 + score.first_bar
    return score, (int(lines_after[0]), int(lines_after[1]))


def found(index: Index, songs: Sequence[Planted]) -> list[Found]:
    """What the index tells of songs with planted bars."""
    return [_judged(song, run) for song, run in zip(songs, index.longest([song.score for song in songs]), strict=True)]


def _judged(song: Planted, run: Run | None) -> Found:
    if run is None or not _near(run.bar, song.bars):
        return Found(run)
    same_piece, same_bar = run.piece == song.piece, _near(run.piece_bar, song.piece_bars)
    return Found(run, same_piece and same_bar, same_piece and not same_bar, not same_piece)


def _near(bar: int, bars: tuple[int, int]) -> bool:
    """Whether a bar is one of those from the first to the last, or the one before: a note of the song may lead in."""
    return bars[0] - 1 <= bar <= bars[1]
