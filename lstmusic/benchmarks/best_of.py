"""table=best_of: the best 4 of 16 songs against songs as they come, both beside held-out pieces.

Pieces that songs are chosen by cannot show that the choice is good. So the held-out pieces of a model are dealt into two
halves: songs are chosen by one and compared with the other, then the other way round, and figures are means over both.
Songs as they come are the first 4 of the same 16, compared with the same halves. Songs end by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstmusic import selection
from lstmusic.benchmarks.song_writing import TOGETHER, opened, write
from lstmusic.evaluation import statistics, voice_leading
from lstmusic.evaluation.comparison import Auc, Comparison, compared, two_sample
from lstmusic.evaluation.reference import Reference, shared_bars
from lstmusic.evaluation.song_measures import length_bars
from lstmusic.music_model import MusicModel
from lstmusic.writing import Song

PACKAGES = ("lstmusic", "torch", "numpy")
MODELS = ("bach",)
SONGS = 200  # kept, of four times as many
KEEP = 4
HALVES = 2
OF_ALL = "classifier, AUC"
OF_MOST = "classifier without voice leading, AUC"
FIGURES = ("mean", "sd", "overlap", "kl")
WAYS = ("plain", "best")
TITLES = {"plain": "as they come", "best": "best of 16"}
PAIRS = (("overlap", "overlapping area"), ("kl", "KL divergence"))


class Sets(NamedTuple):
    """What is compared in one half: tables of held-out pieces and of songs, float64 [N, columns]."""

    held_out: np.ndarray
    plain: np.ndarray
    best: np.ndarray


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    models: Sequence[str] = MODELS,
    songs: int = SONGS,
) -> Iterator[dict[str, Any]]:
    """Write songs of each model, keep a fourth of them in both ways, and compare what is kept with held-out pieces.

    Args:
        note: told what is being done.
        models: checkpoints whose folders tell of held-out pieces.
        songs: how many are kept, rounded up to a multiple of 4.

    Yields:
        A row for each statistic, for length, nats, bars shared, and for two classifiers; see `summary`.

    Raises:
        CheckpointError: there is no such model.
        ConfigError: its folder does not tell of held-out pieces, or of fewer than four.
        GenerationError: a song had no notes with any of the seeds tried.
    """
    for name in models:
        model, count = opened(name), -(-songs // KEEP) * TOGETHER
        model.check_selection(TOGETHER)
        assert model.reference is not None
        references = halves(model.reference)
        for half in references:
            selection.check_held_out(half, TOGETHER)
        note(f"{name}: writing {count} songs")
        written = write(name, count).songs
        note(f"{name}: choosing")
        sets = [_sets(model, written, *pair) for pair in (references, references[::-1])]
        yield from compare(name, model.reference.names, sets)


def halves(reference: Reference) -> list[Reference]:
    """The held-out pieces dealt into two, by turns: the names tell no families, so relatives may lie in both."""
    return [reference.only(range(half, len(reference.pieces), HALVES)) for half in range(HALVES)]


def _sets(model: MusicModel, songs: list[Song], by: Reference, beside: Reference) -> Sets:
    """Songs chosen by one half of the held-out pieces, beside the other half."""
    assert model.index is not None
    groups = [songs[first : first + TOGETHER] for first in range(0, len(songs), TOGETHER)]
    kept = [song for group in groups for song in selection.best(group, KEEP, model.index, by).kept]
    plain = [song for group in groups for song in group[:KEEP]]
    shared = [shared_bars(run) for run in beside.runs]
    return Sets(
        np.c_[beside.statistics, beside.bars, beside.nats, shared],
        *(_table(beside.names, part) for part in (plain, kept)),
    )


def _table(names: Sequence[str], songs: list[Song]) -> np.ndarray:
    """The statistics of songs, and after them length in bars, nats per token and bars shared with a training piece."""
    measures = [statistics.measured(song.score) for song in songs]
    rows = [
        [*map(row.get, names), length_bars(song.score), song.report["nats_per_token"]]
        for row, song in zip(measures, songs, strict=True)
    ]
    return np.c_[np.array(rows, np.float64), [selection.bars_of(song) for song in songs]]


def compare(model: str, names: Sequence[str], sets: Sequence[Sets]) -> Iterator[dict[str, Any]]:
    """The rows of a model.

    Args:
        names: of the statistics; three more columns are of length, nats and bars shared.
        sets: of each half.
    """
    words = [statistics.STATISTICS[name].words for name in names]
    for column, what in enumerate([*words, "length in bars", "nats per token", "bars shared"]):
        found = {
            way: [compared(half.held_out[:, column], getattr(half, way)[:, column]) for half in sets] for way in WAYS
        }
        if not found["plain"][0].held_out_pieces:
            continue  # a statistic that does not apply to such music
        held_out = {"mean": _mean(found["plain"], "held_out_mean"), "sd": _mean(found["plain"], "held_out_sd")}
        yield {"model": model, "what": what, "held_out": held_out} | {
            way: {name: _mean(found[way], name) for name in FIGURES} for way in WAYS
        }
    for what, left_out in ((OF_ALL, ()), (OF_MOST, tuple(voice_leading.FAULTS))):
        columns = np.flatnonzero(~np.isin(names, left_out))
        yield {"model": model, "what": what} | {
            way: {name: _mean(found, name) for name in Auc._fields}
            for way in WAYS
            for found in [[two_sample(half.held_out[:, columns], getattr(half, way)[:, columns]) for half in sets]]
        }


def _mean(found: Sequence[Comparison] | Sequence[Auc], name: str) -> float:
    return float(np.mean([getattr(each, name) for each in found]))


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each set the mean, and the standard deviation in brackets; songs as they come → the best: overlap and divergence.

    Of a classifier its AUC with the 95 % interval: 0.5 if it cannot tell songs from held-out pieces.
    """
    return [
        {
            "model": row["model"],
            "": row["what"],
            "held out": _spread(row["held_out"]) if "held_out" in row else "",
            **{TITLES[way]: _spread(row[way]) if "sd" in row[way] else _interval(row[way]) for way in WAYS},
            **{
                title: " → ".join(f"{row[way][name]:.2f}" for way in WAYS) if name in row["best"] else ""
                for name, title in PAIRS
            },
        }
        for row in rows
    ]


def _spread(figures: dict[str, float]) -> str:
    return f"{figures['mean']:.3g} ({figures['sd']:.2g})"


def _interval(auc: dict[str, float]) -> str:
    return f"{auc['value']:.3f} ({auc['low']:.3f}–{auc['high']:.3f})"
