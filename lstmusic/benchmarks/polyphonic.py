"""table=polyphonic: nats per frame on the four sets of piano rolls, beside what was published.

The protocol is that of the literature: frames from the second on, nats summed over the 88 keys and over all pieces, divided
once by the number of these frames. The model is the one that was best on the validation split, the figure that of the test
split.
"""

from __future__ import annotations

import copy
import io
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from lstmusic.benchmarks.polyphonic_recipes import COMPUTED, MODELS, PUBLISHED, SETS, Recipe
from lstmusic.corpus.store import Corpus
from lstmusic.errors import ConfigError
from lstmusic.evaluation.likelihood import split_nats
from lstmusic.events.frames import FramesCodec
from lstmusic.schema import TrainerConfig
from lstmusic.training import checkpoint
from lstmusic.training.fit import fit

PACKAGES = ("lstmusic", "torch", "lightning", "numpy")
Row = dict[str, Any]
KEYS = {"independent": "alone", "joint": "joint"}  # how a model judges the keys of a frame
NEVER = 10**9  # validations without progress: the schedule is run to its end
TEST_LANES, TEST_WINDOW = 64, 128


def rows(
    *,
    note: Callable[[str], None],
    open_set: Callable[[str], Corpus],
    subsets: Sequence[str],
    minutes: float | None = None,
    seeds: int = 3,
    models: Sequence[str] = tuple(MODELS),
) -> Iterator[Row]:
    """A row for each baseline, and for each training as soon as it is done.

    Args:
        note: told what is being done.
        open_set: the pieces of a subset as frames.
        subsets: of `SETS`.
        minutes: what one training may take; None: what its recipe says.
        seeds: trainings of each model.
        models: of `MODELS`.

    Raises:
        ConfigError: there is no such model.
    """
    if unknown := [name for name in models if name not in MODELS]:
        raise ConfigError(f"models={unknown[0]}: expected some of {', '.join(MODELS)}")
    corpora = {subset: open_set(subset) for subset in subsets}
    for subset, corpus in corpora.items():
        for name, nats in zip(COMPUTED, key_counts(corpus), strict=True):
            yield _row(name, subset, test=nats)
    for seed in range(seeds):  # so that a table that is stopped has something of everything
        for name in models:
            for subset, corpus in corpora.items():
                note(f"{name}, {subset}, seed {seed}")
                yield train(name, subset, corpus, seed=seed, minutes=minutes)


def train(name: str, subset: str, corpus: Corpus, *, seed: int, minutes: float | None = None) -> Row:
    """Train one of `MODELS` by its recipe for a set; its row."""
    recipe = MODELS[name].recipes[subset]
    kept: dict[str, Any] = {}

    def keep(model: Any, row: dict[str, float]) -> None:
        kept.update(model=copy.deepcopy(model), valid=row["valid_nats_per_token"])

    torch.manual_seed(seed)
    model = checkpoint.build_model(corpus.codec, MODELS[name].sizes(recipe))
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(
            model,
            corpus,
            _settings(recipe, minutes),
            folder=Path(folder),
            seed=seed,
            keep=keep,
            sample=lambda model, step: None,
            console=Console(file=io.StringIO()),
        )
    per_frame = corpus.codec.group_size
    test = corpus.lanes("test", num_lanes=TEST_LANES, window_steps=TEST_WINDOW)
    return _row(
        name,
        subset,
        seed=seed,
        parameters=sum(p.numel() for p in model.parameters()),
        valid=kept["valid"] * per_frame,
        test=split_nats(kept["model"].cpu(), test).per_token * per_frame,
        minutes=fitted.elapsed_s / 60,
        steps=int(fitted.row["step"]),
    )


def _settings(recipe: Recipe, minutes: float | None) -> TrainerConfig:
    return TrainerConfig(
        max_minutes=minutes or recipe.minutes,
        num_lanes=recipe.lanes,
        bptt_length=recipe.window_steps,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        max_semitones=recipe.semitones,
        patience=NEVER,
    )


def _row(model: str, subset: str, **figures: Any) -> Row:
    empty = dict.fromkeys(("seed", "parameters", "valid", "test", "minutes", "steps"))
    return {"model": model, "set": subset, **empty, **figures}


def key_counts(corpus: Corpus) -> tuple[float, float]:
    """Nats per frame of the test split under counts: how often each key is down, and how often after it was down or up.

    Half a count is added to each outcome.
    """
    train, test = ([_frames(corpus, i) for i in corpus.indices(split)] for split in ("train", "test"))
    before, now = (np.concatenate(parts) for parts in zip(*((f[:-1], f[1:]) for f in train), strict=True))
    every = np.concatenate(train)
    marginal = (every.sum(axis=0) + 0.5) / (len(every) + 1)
    after = [((now & (before == was)).sum(axis=0) + 0.5) / ((before == was).sum(axis=0) + 1) for was in (False, True)]
    before, now = (np.concatenate(parts) for parts in zip(*((f[:-1], f[1:]) for f in test), strict=True))
    return _nats(now, marginal), _nats(now, np.where(before, after[1], after[0]))


def _frames(corpus: Corpus, piece: int) -> np.ndarray:
    assert isinstance(corpus.codec, FramesCodec)
    return corpus.codec.frames(corpus.ids(piece))


def _nats(frames: np.ndarray, probability: np.ndarray) -> float:
    """Nats per frame of bool [T, 88], the probability of each key being down given."""
    return float(-np.log(np.where(frames, probability, 1 - probability)).sum() / len(frames))


def summary(rows: Sequence[Row]) -> list[Row]:
    """The table: a line for each model, counted, published or trained here, and a column for each set."""
    lines = [_line(name, "", rows) for name in COMPUTED]
    for output in KEYS:
        for line in PUBLISHED:
            if line.output == output:
                lines.append(
                    _cells(line.name, output, line.parameters, dict(zip(SETS, line.nats, strict=True)), line.source)
                )
        lines += [_line(name, output, rows) for name, model in MODELS.items() if model.output == output]
    asked = {SETS[row["set"]] for row in rows}
    return [line for line in lines if any(line[title] for title in asked)]


def _line(name: str, output: str, rows: Sequence[Row]) -> Row:
    """The line of a model over its seeds; its size and time from the smallest to the largest over the sets."""
    mine = [row for row in rows if row["model"] == name]
    figures = {subset: _spread([row["test"] for row in mine if row["set"] == subset]) for subset in SETS}
    trained = [row for row in mine if row["minutes"]]
    if not trained:
        return _cells(name, output, "", figures, "counted")
    minutes = _range([f"{row['minutes']:.2g}" for row in sorted(trained, key=lambda row: row["minutes"])])
    sizes = _range([f"{size / 1000:,.1f}k" for size in sorted(row["parameters"] for row in trained)])
    return _cells(name, output, sizes, figures, f"{len({row['seed'] for row in trained})} × {minutes} min")


def _cells(name: str, output: str, parameters: str, figures: dict[str, str], source: str) -> Row:
    of_sets = {title: figures.get(subset, "") for subset, title in SETS.items()}
    return {"model": name, "keys": KEYS.get(output, ""), "parameters": parameters, **of_sets, "source": source}


def _range(ordered: Sequence[str]) -> str:
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]}–{ordered[-1]}"


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds."""
    if not values:
        return ""
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")
