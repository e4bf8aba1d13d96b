"""table=infill: four bars of held-out pieces written anew, blindly and by more and more particles, beside the original.

What is counted are nats per token under the model, of the four bars and of the two bars (of a song in seconds: 2 s each)
that follow and stay: these tell how well what was written leads on to them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from lstmusic.benchmarks import held_out
from lstmusic.benchmarks.held_out import HeldOut
from lstmusic.benchmarks.song_writing import opened
from lstmusic.corpus.store import Corpus
from lstmusic.evaluation.likelihood import piece_nats
from lstmusic.evaluation.surprise import id_ticks
from lstmusic.infilling import Infill
from lstmusic.music_model import MusicModel
from lstmusic.score import Score
from lstmusic.score.splice import inside

PACKAGES = ("lstmusic", "torch", "numpy")
MODELS = ("bach",)
PIECES = 50
BARS = (5, 8)
BARS_AFTER = 2
PARTICLES = (1, 16, 64, 256)  # 1: blindly
ERROR = "more_after_error"


class Result(NamedTuple):
    """What one piece gave.

    Attributes:
        gap, after: nats per token of the gap and of what follows it.
        notes: in the gap.
        same: whether every note that sounds outside the gap is the piece's own, to the tick.
        effective: the effective number of particles at the end.
        seconds: that it took to write.
    """

    gap: float
    after: float
    notes: int
    same: bool
    effective: float
    seconds: float


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    corpus_of: Callable[[str], Corpus],
    models: list[str] | tuple[str, ...] = MODELS,
    songs: int = PIECES,
    particles: tuple[int, ...] = PARTICLES,
) -> Iterator[dict[str, Any]]:
    """Rewrite bars 5 to 8 of held-out pieces.

    Args:
        note: told what is being done.
        corpus_of: opens the corpus of a checkpoint.
        models: checkpoints.
        songs: how many pieces of each.
        particles: how many ways are written side by side.

    Yields:
        A row for the originals of each model, and for each number of particles; see `_row`.
    """
    for model in models:
        pieces = held_out.pieces(corpus_of(model), songs, _is_long)
        kind = {"model": model, "encoding": opened(model).codec.name}
        note(f"{model}: the original")
        original = held_out.each(partial(_original, model), pieces)
        yield kind | {"written": "the original"} | _row(original, original)
        for count in particles:
            note(f"{model}: {count} particles")
            words = "blindly" if count == 1 else f"{count} particles"
            yield kind | {"written": words} | _row(held_out.each(partial(_rewritten, model, count), pieces), original)


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, `more_after` with its standard error."""
    return [{name: _more(row) if name == "more_after" else row[name] for name in row if name != ERROR} for row in rows]


def _more(row: dict[str, Any]) -> str:
    words = f"{row['more_after']:+.3f}"
    return words if row[ERROR] is None else f"{words} ± {row[ERROR]:.3f}"


def _row(results: list[Result], original: list[Result]) -> dict[str, Any]:
    """Means over pieces: `gap_nats` and `after_nats` per token; `gap_notes`, that lie in the gap; `more_after` than the
    original, and its standard error (None of fewer than two pieces); `changed`, pieces of which something changed that
    stays; `effective_particles` and `seconds` for each."""
    gap, after, notes, same, effective, seconds = (np.array(column, float) for column in zip(*results, strict=True))
    more = after - np.array([result.after for result in original])
    more = more[np.isfinite(more)]
    return {
        "pieces": len(results),
        "gap_nats": float(np.nanmean(gap)),
        "gap_notes": float(notes.mean()),
        "after_nats": float(np.nanmean(after)),
        "more_after": float(more.mean()),
        ERROR: float(more.std(ddof=1) / np.sqrt(len(more))) if len(more) > 1 else None,
        "changed": int((same == 0).sum()),
        "effective_particles": float(effective.mean()),
        "seconds": float(seconds.mean()),
    }


def _is_long(score: Score) -> bool:
    """Whether there is music before the gap, and after it."""
    whole_bars = len(score.bar_ticks()) - 1 - (score.pickup_tick > 0)
    return whole_bars >= BARS[1] + BARS_AFTER


def _original(checkpoint: str, piece: HeldOut) -> Result:
    model = opened(checkpoint)
    infill = Infill(model.codec.decode(piece.ids), BARS)
    notes = int(inside(infill.piece.notes, infill.span).sum())
    return Result(*_nats(model, infill, piece.ids), notes, True, 0.0, 0.0)


def _rewritten(checkpoint: str, particles: int, piece: HeldOut) -> Result:
    model = opened(checkpoint)
    infill = Infill(model.codec.decode(piece.ids), BARS, particles=particles)
    started = time.perf_counter()
    (song,) = model.generate(1, seed=piece.number, infill=infill)
    seconds = time.perf_counter() - started
    kept, now = (score.notes[~inside(score.notes, infill.span)] for score in (infill.piece, song.score))
    same = np.array_equal(kept, now) and song.legal
    effective = song.report["infill"]["effective_particles"]
    return Result(*_nats(model, infill, song.ids), song.report["new_notes"], same, effective, seconds)


def _nats(model: MusicModel, infill: Infill, ids: np.ndarray) -> tuple[float, float]:
    """Nats per token of the gap, and of what follows."""
    start, end = infill.span
    lines = infill.piece.bar_ticks()
    after = int(lines[np.searchsorted(lines, end) + BARS_AFTER])
    group = model.codec.group_size
    nats = piece_nats(model.model, model.codec, ids)
    ticks = id_ticks(model.codec, ids, model.codec.decode(ids))[group:]
    scored = model.codec.scored(ids)[group:]
    gap, later = (float(nats[scored & (ticks >= a) & (ticks < b)].mean()) for a, b in ((start, end), (end, after)))
    return gap, later
