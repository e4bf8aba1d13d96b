"""table=harmonise: held-out sopranos harmonised, their voice leading beside Bach's and that of songs without a given voice.

For encodings that know voices by name, as `chorale` does: the highest is kept, the others are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from lstmusic.benchmarks import held_out
from lstmusic.benchmarks.held_out import HeldOut
from lstmusic.benchmarks.song_writing import opened, write
from lstmusic.corpus.store import Corpus
from lstmusic.errors import ConfigError
from lstmusic.evaluation import voice_leading
from lstmusic.infilling import Infill
from lstmusic.sampling.controls import Controls
from lstmusic.score import Score

PACKAGES = ("lstmusic", "torch", "numpy")
MODELS = ("bach",)
PIECES = 50
PARTICLES = (1, 16)
PARALLELS = 5.0  # nats off each


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    corpus_of: Callable[[str], Corpus],
    models: list[str] | tuple[str, ...] = MODELS,
    songs: int = PIECES,
    particles: tuple[int, ...] = PARTICLES,
) -> Iterator[dict[str, Any]]:
    """Harmonise the sopranos of held-out pieces.

    Args:
        note: told what is being done.
        corpus_of: opens the corpus of a checkpoint.
        models: checkpoints.
        songs: how many pieces, and how many songs.
        particles: how many ways are written side by side.

    Yields:
        A row for the pieces, for each number of particles, for the last of them without parallels, and for songs of the
        model's own; see `_row`.

    Raises:
        ConfigError: a model's encoding knows no voices.
    """
    for model in models:
        codec = opened(model).codec
        if len(codec.grammar.voices) == 1:
            raise ConfigError(f"models={model}: its encoding {codec.name} knows no voices, expected one that does")
        pieces = held_out.pieces(corpus_of(model), songs, lambda score: voice_leading.voices(score) is not None)
        originals = [codec.decode(piece.ids) for piece in pieces]
        yield {"model": model, "voices": "the pieces' own"} | _row(originals, originals)
        for count, parallels in [*((count, None) for count in particles), (particles[-1], PARALLELS)]:
            words = "harmonised blindly" if count == 1 else f"harmonised, {count} particles"
            words += "" if parallels is None else ", no parallels"
            note(f"{model}: {words}")
            written = held_out.each(partial(_harmonised, model, count, parallels), pieces)
            yield {"model": model, "voices": words} | _row(written, originals)
        note(f"{model}: songs")
        yield {"model": model, "voices": "songs"} | _row([song.score for song in write(model, songs).songs], [])


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as they are."""
    return rows


def _row(scores: Sequence[Score], originals: Sequence[Score]) -> dict[str, Any]:
    """Faults per 100 beats over all beats of the pieces; `soprano_kept`, how many have the soprano of the original, to the
    tick; `as_written`, the share of notes of the other voices that are the original's: pitch, voice and onset."""
    beats = np.array([voice_leading.num_beats(score) for score in scores], float)
    table = np.array([[fault(score) for fault in voice_leading.FAULTS.values()] for score in scores])
    known = np.isfinite(table).all(axis=1)
    faults = (table[known] * beats[known, None]).sum(axis=0) / beats[known].sum()
    pairs = list(zip(scores, originals, strict=False))
    return {
        "pieces": len(scores),
        "beats": int(beats.sum()),
        **dict(zip(voice_leading.FAULTS, faults.tolist(), strict=True)),
        "soprano_kept": sum(np.array_equal(_voice(a, 0), _voice(b, 0)) for a, b in pairs) if pairs else None,
        "as_written": float(np.mean([_alike(score, other) for score, other in pairs])) if pairs else None,
    }


def _harmonised(checkpoint: str, particles: int, parallels: float | None, piece: HeldOut) -> Score:
    model = opened(checkpoint)
    infill = Infill(model.codec.decode(piece.ids), keep=model.codec.grammar.voices[:1], particles=particles)
    (song,) = model.generate(1, seed=piece.number, infill=infill, controls=Controls(parallels=parallels))
    return song.score


def _voice(score: Score, voice: int) -> np.ndarray:
    return score.notes[score.notes["track"] == voice]


def _alike(score: Score, other: Score) -> float:
    ours, theirs = (
        set(zip(*(lower[name].tolist() for name in ("onset_tick", "track", "pitch")), strict=True))
        for lower in (s.notes[s.notes["track"] > 0] for s in (score, other))
    )
    return len(ours & theirs) / max(len(theirs), 1)
