"""`lstmusic inspect`: what a model does with a piece."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lstmusic import music_model
from lstmusic.commands import inspect_gates, output
from lstmusic.commands import inspect_views as views
from lstmusic.commands.corpora import corpus_of, own_data
from lstmusic.commands.inspect_piece import Piece
from lstmusic.config import Request
from lstmusic.corpus import sources
from lstmusic.corpus.store import Corpus
from lstmusic.errors import ConfigError
from lstmusic.music_model import MusicModel
from lstmusic.schema import InspectConfig
from lstmusic.score import Score


def run(request: Request) -> dict[str, Any]:
    """Measure and draw what a model does with a piece, into the request's folder; the report."""
    config: InspectConfig = request.config
    if config.walkthrough:
        return _walk_through(config.cell)
    console, started = Console(), time.monotonic()
    model = music_model.load(config.checkpoint)
    others = [_like(model, place) for place in config.compare]
    given = None if config.piece is None else _given(model, config.piece)
    folder = output.open_folder(request)
    corpus, missing = (None, "") if given and not config.memory else _corpus(model, config, console)
    piece = given or (_held_out(corpus, config.split) if corpus else _own_song(model))
    console.print(f"piece: {piece.name} ({piece.source}), {len(piece.ticks)} steps", markup=False, highlight=False)
    results: dict[str, Any] = {"checkpoint": model.name, "piece": {"name": piece.name, "source": piece.source}}
    results["gates"] = inspect_gates.view(model, piece, folder)
    results["surprise"], told = views.surprise(model, piece, folder)
    results["gradient_reach"] = views.gradient_reach(model, others, piece, folder)
    if config.memory and corpus:
        results["memory"] = views.memory(model, corpus, config.split, folder)
    elif config.memory:
        results["memory"] = {"missing": missing}
    results["page"] = views.page(model, piece, results, told, folder).name
    results["wall_s"] = round(time.monotonic() - started, 1)
    _show(results, folder, console)
    return output.write_report(folder, "inspect", request, results)


def _walk_through(cell: str) -> dict[str, Any]:
    from lstmusic.insight.walkthrough import walkthrough

    print(walkthrough(cell))
    return {}


def _like(model: MusicModel, place: str) -> MusicModel:
    """A model to compare.

    Raises:
        ConfigError: it has another encoding.
    """
    other = music_model.load(place)
    if (other.codec.name, other.codec.options) != (model.codec.name, model.codec.options):
        raise ConfigError(
            f"compare={place}: encoding {other.codec.name}, expected {model.codec.name} as of {model.name}"
        )
    return other


def _corpus(model: MusicModel, config: InspectConfig, console: Console) -> tuple[Corpus | None, str]:
    """The corpus of a model where it is at hand and has pieces of the split; else what is missing."""
    if "data" not in model.folder.facts:
        return None, f"{model.name} does not say what it was trained on"
    data = own_data(model)
    if missing := sources.missing(data):
        return None, missing
    corpus = corpus_of(model, data, jobs=config.jobs, console=console)
    if not corpus.indices(config.split):
        return None, f"split={config.split} holds no piece"
    return corpus, ""


def _given(model: MusicModel, file: str) -> Piece:
    """The piece of a file, as far as the model's encoding carries it."""
    ids = model.codec.encode(Score.read(file)).astype(np.int64)
    return Piece.of(model.codec, ids, Path(file).stem, f"the file {Path(file).name}")


def _held_out(corpus: Corpus, split: str) -> Piece:
    """The first piece of a split."""
    first = corpus.indices(split)[0]
    ids = np.asarray(corpus.ids(first), np.int64)
    return Piece.of(corpus.codec, ids, corpus.pieces[first].name, f"the first piece of the {split} split")


def _own_song(model: MusicModel) -> Piece:
    """A song of the model's own, of seed 0."""
    (song,) = model.generate(songs=1, seed=0)
    return Piece.of(
        model.codec, song.ids, "song-001", "written by the model itself, seed 0: no held-out piece is at hand"
    )


def _show(results: dict[str, Any], folder: Path, console: Console) -> None:
    """Print the figures that matter most, and where the rest is."""
    lines = [f"surprise: {results['surprise']['nats_per_token']:.3f} nats per token of this piece"]
    lines += [inspect_gates.in_words(layer) for layer in results["gates"]["layers"]]
    for row in results["gradient_reach"]["models"]:
        lines.append(f"gradient, {row['name']}: {views.in_words(row)}")
    if found := results.get("memory"):
        lines.append(found.get("missing") or views.memory_in_words(found))
    lines.append(f"{folder / 'index.html'}  everything on one page")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
