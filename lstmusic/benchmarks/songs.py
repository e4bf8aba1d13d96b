"""table=songs: whether songs are legal, hold notes and loop, at three temperatures, loops broken or not.

Each song has eight bars, or 16 seconds where an encoding knows no bars, and ends there without a search for a cadence. A
model is a checkpoint, as `generate` takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lstmusic.benchmarks.song_writing import Written, length, nats_per_token, opened, write
from lstmusic.evaluation import song_measures as measures
from lstmusic.events.codec import Codec
from lstmusic.sampling.settings import Repetition

PACKAGES = ("lstmusic", "torch", "numpy")
MODELS = ("bach",)
SONGS = 1000
BARS = 8.0
TEMPERATURES = (0.7, 1.0, 1.3)


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    models: list[str] | tuple[str, ...] = MODELS,
    songs: int = SONGS,
    temperatures: tuple[float, ...] = TEMPERATURES,
) -> Iterator[dict[str, Any]]:
    """Write songs of each model at each temperature, without loop control and with it.

    Args:
        note: told what is being written.
        models: checkpoints.
        songs: how many of each kind.

    Yields:
        A row for each kind of song; see `measured`.

    Raises:
        CheckpointError: there is no such model.
        GenerationError: a song had no notes with any of the seeds tried.
    """
    for model in models:
        codec = opened(model).codec
        for temperature in temperatures:
            for break_loops in (False, True):
                note(f"{model}, temperature {temperature}, loops {'broken' if break_loops else 'left'}")
                loops = Repetition(break_loops=break_loops)
                how: dict[str, Any] = {"temperature": temperature, "repetition": loops, "cadence": False}
                written = write(model, songs, **how | length(codec, BARS))
                kind = {"model": model, "encoding": codec.name, "temperature": temperature, "break_loops": break_loops}
                yield kind | measured(codec, written)


def measured(codec: Codec, written: Written) -> dict[str, Any]:
    """What songs are like: `songs` and `ids` written; `illegal_ids`; `without_notes`, of the songs as first drawn;
    `with_loops`, the share of songs with a loop; `repeated_bars`, the mean share; `nats_per_token`, at
    temperature 1; `ids_per_second` of one process."""
    songs = written.songs
    return {
        "songs": len(songs),
        "ids": sum(len(song.nats) for song in songs),
        "illegal_ids": sum(song.report["illegal"] for song in songs),
        "without_notes": sum(song.report["attempt"] > 0 for song in songs),
        "with_loops": float(np.mean([song.report["loops"] > 0 for song in songs])),
        "repeated_bars": float(np.mean([measures.repeated_bars(song.score) for song in songs])),
        "nats_per_token": nats_per_token(codec, songs),
        "ids_per_second": written.ids_per_second,
    }


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each model and temperature: where loop control changes something, the figure without it → with it."""
    table = []
    for model, temperature in dict.fromkeys((row["model"], row["temperature"]) for row in rows):
        own = [row for row in rows if (row["model"], row["temperature"]) == (model, temperature)]
        table.append(
            {
                "model": f"{model} ({own[0]['encoding']})",
                "temperature": temperature,
                **{name: sum(row[name] for row in own) for name in ("songs", "illegal_ids", "without_notes")},
                "with loops": _each(own, "with_loops", ".1%"),
                "bars repeated": _each(own, "repeated_bars", ".1%"),
                "nats_per_token": _each(own, "nats_per_token", ".3f"),
                "ids_per_second": _each(own, "ids_per_second", ",.0f"),
            }
        )
    return table


def _each(rows: list[dict[str, Any]], name: str, form: str) -> str:
    return " → ".join(format(row[name], form) for row in rows)
