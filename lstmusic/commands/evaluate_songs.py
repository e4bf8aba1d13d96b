"""Songs beside held-out pieces: their statistics one by one and all at once, and what they share with the training pieces.

Two yardsticks always stand beside a model's songs: those of a Markov chain fitted on the same training pieces, and real
pieces of the training, which are as much like held-out ones as anything can be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lstmusic.benchmarks import song_writing
from lstmusic.corpus.split import evenly
from lstmusic.corpus.store import Corpus
from lstmusic.errors import ConfigError
from lstmusic.evaluation import statistics
from lstmusic.evaluation.comparison import compared, two_sample
from lstmusic.evaluation.markov import MarkovModel
from lstmusic.evaluation.originality import band
from lstmusic.evaluation.reference import HELD_OUT, held_out, thinned
from lstmusic.events.codec import Codec
from lstmusic.listening import densities
from lstmusic.music_model import MusicModel
from lstmusic.schema import EvaluateConfig
from lstmusic.score import Score

PICTURE = "statistics.png"
SETS = {"held_out": "held-out pieces", "model": "this model", "markov": "Markov chain", "real": "training pieces"}
OTHERS = ("model", "markov", "real")  # each is compared with the first
DRAWN = ("held_out", "model", "markov")


def folder_of(model: MusicModel) -> Path:
    """The folder of a model that was opened by a command, which all have one."""
    assert model.folder.path is not None
    return model.folder.path


def check(corpus: Corpus, songs: int) -> None:
    """Raise ConfigError where there is nothing to compare so many songs with."""
    for splits, pieces in ((HELD_OUT, held_out(corpus)), (("train",), corpus.indices("train"))):
        if not pieces:
            where = f"no piece of this corpus is in {' or '.join(splits)}"
            raise ConfigError(f"songs={songs}: {where}, expected some to compare with")


def compare(
    model: MusicModel, corpus: Corpus, config: EvaluateConfig, folder: Path, console: Console
) -> dict[str, Any]:
    """Write songs, measure them beside held-out pieces, and draw the picture into the folder; what was found.

    Raises:
        GenerationError: a song had no notes with any of the seeds tried.
    """
    started = time.monotonic()
    words = f"writing {config.songs} songs, and as many by a Markov chain; measuring them beside held-out pieces"
    console.print(words, highlight=False)
    with console.status("a minute or more"):
        sets = gathered(model, corpus, config)
        tables = {name: statistics.table(scores) for name, scores in sets.items()}
    rows = [_statistic(name, {each: table[:, k] for each, table in tables.items()}) for k, name in _numbered()]
    found = {
        "seed": config.seed,
        "temperature": config.temperature,
        "own_split": corpus.piece_names() == model.folder.split,
        "pieces": {name: len(scores) for name, scores in sets.items()},
        "statistics": rows,
        "two_sample": {name: two_sample(tables["held_out"], tables[name])._asdict() for name in OTHERS},
        "shared_with_training": _shared(model, {name: sets[name] for name in DRAWN}),
        "picture": _draw(folder, model.name, tables, rows).name,
        "wall_s": round(time.monotonic() - started, 3),
    }
    return _plain(found)


def gathered(model: MusicModel, corpus: Corpus, config: EvaluateConfig) -> dict[str, list[Score]]:
    """The music of each of `SETS`."""
    codec, train = corpus.codec, corpus.indices("train")
    chain = MarkovModel(codec, [corpus.ids(piece) for piece in train])
    generators = [np.random.default_rng((config.seed, number)) for number in range(config.songs)]
    how: dict[str, Any] = {"seed": config.seed, "temperature": config.temperature, "jobs": config.jobs}
    return {
        "held_out": _decoded(codec, [corpus.ids(piece) for piece in thinned(held_out(corpus))]),
        "model": [
            song.score for song in song_writing.write(str(folder_of(model).resolve()), config.songs, **how).songs
        ],
        "markov": _decoded(codec, chain.write(generators)),
        "real": _decoded(codec, [corpus.ids(piece) for piece in evenly(train, config.songs)]),
    }


def _decoded(codec: Codec, pieces: Sequence[np.ndarray]) -> list[Score]:
    return [codec.decode(ids) for ids in pieces]


def _numbered() -> list[tuple[int, str]]:
    return list(enumerate(statistics.STATISTICS))


def _statistic(name: str, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """One statistic of the held-out pieces, and of each of the others beside them."""
    words, unit, _ = statistics.STATISTICS[name]
    row: dict[str, Any] = {"name": name, "words": words, "unit": unit}
    for other in OTHERS:
        found = compared(values["held_out"], values[other])
        row["held_out"] = {"pieces": found.held_out_pieces, "mean": found.held_out_mean, "sd": found.held_out_sd}
        row[other] = {key: getattr(found, key) for key in ("pieces", "mean", "sd", "overlap", "kl")}
    return row


def _shared(model: MusicModel, sets: Mapping[str, list[Score]]) -> dict[str, Any] | None:
    """What the music of each set shares with the training pieces; None where the model has no index of them."""
    index = model.index
    return None if index is None else {name: band(index.longest(scores))._asdict() for name, scores in sets.items()}


def _draw(folder: Path, model: str, tables: Mapping[str, np.ndarray], rows: Sequence[Mapping[str, Any]]) -> Path:
    panels = [
        densities.Panel(
            row["words"],
            row["unit"],
            {SETS[name]: tables[name][:, k] for name in DRAWN},
            {SETS[name]: row[name]["overlap"] for name in DRAWN[1:] if math.isfinite(row[name]["overlap"])},
        )
        for k, row in enumerate(rows)
    ]
    title = f"{model}: {len(tables['model'])} songs beside {len(tables['held_out'])} held-out pieces"
    return densities.draw(folder / PICTURE, panels, title=title)


def _plain(value: Any) -> Any:
    """The same as JSON has it: nothing in the place of what is not a number."""
    if isinstance(value, dict):
        return {name: _plain(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [_plain(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
