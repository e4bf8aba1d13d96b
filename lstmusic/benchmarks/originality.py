"""table=originality: what songs share with the training pieces, beside held-out pieces, planted bars and a copying model.

Of each model: its index is built from the corpus that it was trained on, and asked for the longest shared run (see
`evaluation.originality`) of the held-out pieces, of whole songs of the model, of songs with four bars of a training piece
planted in them, a fourth higher and more slowly, and, for chorales, of songs of a model that learned ten training pieces by
heart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from lstmusic.benchmarks.overfitted import overfitted
from lstmusic.benchmarks.planting import cut, found, planted
from lstmusic.benchmarks.song_writing import opened, write
from lstmusic.corpus.split import evenly
from lstmusic.corpus.store import Corpus
from lstmusic.evaluation import reference
from lstmusic.evaluation.originality import Index, Run, band
from lstmusic.evaluation.reference import indexed, shared_bars
from lstmusic.score import Score

PACKAGES = ("lstmusic", "torch", "numpy")
MODELS = ("bach",)
SONGS = 100
PLANTED = 50
LEARNED_BY_HEART, OVERFITTED_SONGS = 10, 32
BYTES_PER_ID = 2
COLUMNS = ("more_than_held_out", "beyond_held_out", "source", "repeat", "other_piece", "index_s", "share_of_corpus")


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    corpus_of: Callable[[str], Corpus],
    models: list[str] | tuple[str, ...] = MODELS,
    songs: int = SONGS,
) -> Iterator[dict[str, Any]]:
    """What is shared with the training pieces of each model.

    Args:
        note: told what is being done.
        corpus_of: opens the corpus of a checkpoint.
        models: checkpoints.
        songs: how many of each.

    Yields:
        A row for `held-out pieces`, with the index's time and size; for `songs`; for `held-out beginnings`, as long as
        these; for songs with `planted` bars; and of chorales for `overfitted` songs. See `_row` and COLUMNS.
    """
    for model in models:
        kind = {"model": model, "encoding": opened(model).codec.name}
        note(f"{model}: the index")
        corpus = corpus_of(model)
        index, cost = _built(corpus)
        note(f"{model}: held-out pieces")
        pieces = [corpus.codec.decode(corpus.ids(k)) for k in reference.held_out(corpus)]
        held_out = index.longest(pieces)
        yield kind | _row("held-out pieces", held_out, held_out) | cost
        note(f"{model}: songs")
        written = [song.score for song in write(model, songs).songs]
        yield kind | _row("songs", index.longest(written), held_out)
        yield kind | _row("held-out beginnings", index.longest(_as_long(pieces, written)), held_out)
        note(f"{model}: planted bars")
        results = found(index, planted(corpus, written, PLANTED))
        told = {
            name: float(np.mean([getattr(one, name) for one in results]))
            for name in ("source", "repeat", "other_piece")
        }
        yield kind | _row("planted", [one.run for one in results], held_out) | told
        if corpus.codec.name == "chorale":
            runs, source = _of_overfitted(corpus, index, partial(_note, note, model))
            yield kind | _row("overfitted", runs, held_out) | {"source": source}


def _note(note: Callable[[str], None], model: str, words: str) -> None:
    note(f"{model}: {words}")


def _built(corpus: Corpus) -> tuple[Index, dict[str, float]]:
    """The index of the training pieces; `index_s`, what it took to build, and `share_of_corpus`, its bytes over theirs."""
    started = time.perf_counter()
    index = indexed(corpus)
    size = len(index.to_bytes())
    seconds = time.perf_counter() - started
    ids = sum(corpus.pieces[k].length for k in corpus.indices("train"))
    return index, {"index_s": seconds, "share_of_corpus": size / (BYTES_PER_ID * ids)}


def _as_long(pieces: Sequence[Score], songs: Sequence[Score]) -> list[Score]:
    """The beginnings of pieces, of as many bars as half of the songs have or fewer."""
    bars = int(np.median([len(song.bar_ticks()) - 1 for song in songs]))
    return [cut(piece, 0, int(piece.bar_ticks()[: bars + 1][-1])) for piece in pieces]


def _of_overfitted(corpus: Corpus, index: Index, note: Callable[[str], None]) -> tuple[list[Run | None], float]:
    """What songs of a model share that learned some training pieces by heart, and how many are said to be from these."""
    chosen = evenly(corpus.indices("train"), LEARNED_BY_HEART)
    model = overfitted(corpus.codec, [np.array(corpus.ids(piece), np.int64) for piece in chosen], note=note)
    runs = index.longest([song.score for song in model.generate(OVERFITTED_SONGS)])
    names = {corpus.pieces[piece].name for piece in chosen}
    return runs, float(np.mean([run is not None and run.piece in names for run in runs]))


def _row(case: str, runs: Sequence[Run | None], held_out: Sequence[Run | None]) -> dict[str, Any]:
    """The band of some runs; `more_than_held_out`: in how many of all pairs of one of them and one of the held-out pieces
    it is the longer in bars, equals counted half (0.5: as held-out pieces); `beyond_held_out`: the share of them that is
    longer than those of 95 % of the held-out pieces."""
    bars, beside = (np.array([shared_bars(run) for run in each]) for each in (runs, held_out))
    pairs = np.sign(bars[:, None] - beside)
    own = {
        "more_than_held_out": float(pairs.mean() / 2 + 0.5),
        "beyond_held_out": float((bars > band(held_out).bars_95).mean()),
    }
    return {"case": case} | band(runs)._asdict() | dict.fromkeys(COLUMNS) | own


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, in bars and notes as median, 95th percentile and most."""
    return [
        {
            "model": f"{row['model']} ({row['encoding']})",
            "case": row["case"],
            "pieces": row["pieces"],
            **{what: _three(row, what) for what in ("bars", "notes")},
            **{name: _percent(row[name]) for name in COLUMNS if name != "index_s"},
            "index_s": row["index_s"],
        }
        for row in rows
    ]


def _three(row: dict[str, Any], what: str) -> str:
    return " · ".join(f"{row[f'{what}_{figure}']:.3g}" for figure in ("median", "95", "most"))


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.1%}"
