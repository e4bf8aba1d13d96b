"""`lstmusic evaluate`: nats of held-out music, beside baselines; songs, beside held-out pieces."""

from __future__ import annotations

import math
import time
from typing import Any

from rich.console import Console

from lstmusic import music_model
from lstmusic.commands import evaluate_songs, output
from lstmusic.commands.corpora import corpus_of, own_data
from lstmusic.commands.evaluate_views import show_nats, show_songs
from lstmusic.config import Request
from lstmusic.corpus.store import Corpus
from lstmusic.errors import ConfigError, OutputError
from lstmusic.evaluation import baselines as simple
from lstmusic.evaluation import reference
from lstmusic.evaluation.likelihood import split_nats
from lstmusic.models.model import Model
from lstmusic.music_model import MusicModel
from lstmusic.sampling.settings import SamplingSettings
from lstmusic.schema import EvaluateConfig

LANES = 64
WINDOW_STEPS = 128


def run(request: Request) -> dict[str, Any]:
    """Evaluate a model on a split, and its songs where some are asked for; the report."""
    config: EvaluateConfig = request.config
    SamplingSettings(config.temperature)  # refused before any work
    console = Console()
    model = music_model.load(config.checkpoint)
    data = config.data or own_data(model)
    folder = output.open_folder(request)
    corpus = corpus_of(model, data, jobs=config.jobs, console=console)
    if config.songs:
        evaluate_songs.check(corpus, config.songs)
    add_reference(model, corpus, console)
    started = time.monotonic()
    results = measure(model.model, corpus, config.split)
    results |= {"checkpoint": model.name, "data": data.name, "split": config.split}
    results["verdict"] = simple.verdict(results["nll_per_token"], results["baselines"])
    results["wall_s"] = round(time.monotonic() - started, 3)
    show_nats(results, console)
    if config.songs:
        results["songs"] = evaluate_songs.compare(model, corpus, config, folder, console)
        show_songs(results["songs"], console)
    return output.write_report(folder, "evaluate", request, results)


def add_reference(model: MusicModel, corpus: Corpus, console: Console) -> None:
    """Add what its songs are measured against to a model folder that has it not, as those of earlier versions."""
    folder = evaluate_songs.folder_of(model)
    try:
        added = reference.add(folder, model.model, model.folder.split, corpus)
    except OutputError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return
    if added:
        words = f"added to {folder}: {', '.join(added)}"
        console.print(words, markup=False, highlight=False, soft_wrap=True)


def measure(model: Model, corpus: Corpus, split: str) -> dict[str, Any]:
    """Likelihood of a split under the model and under the baselines; sums first, divided once.

    Raises:
        ConfigError: the split is empty.
    """
    chosen = corpus.indices(split)
    if not chosen:
        raise ConfigError(f"split={split}: holds no piece of this corpus, expected one that does")
    total = split_nats(model, corpus.lanes(split, num_lanes=LANES, window_steps=WINDOW_STEPS))
    pieces = [corpus.ids(i) for i in chosen]
    train = [corpus.ids(i) for i in corpus.indices("train")]
    rows = [corpus.pieces[i] for i in chosen]
    steps = sum(int(corpus.codec.scored(ids).sum()) for ids in pieces) / corpus.codec.group_size
    onsets = sum(corpus.codec.num_onsets(ids) for ids in pieces)
    return {
        "nll_per_token": total.per_token,
        "nll_per_note": total.nats / sum(row.notes for row in rows),
        "nll_per_onset": total.nats / onsets,
        "nll_per_step": total.nats / steps,
        "nll_per_second": total.nats / sum(row.seconds for row in rows),
        "perplexity": math.exp(total.per_token),
        "tokens": total.tokens,
        "pieces": len(rows),
        "notes": sum(row.notes for row in rows),
        "header_and_ending_nats_per_piece": total.other_nats / len(rows),
        "baselines": simple.baselines(corpus.codec, train, pieces),
    }
