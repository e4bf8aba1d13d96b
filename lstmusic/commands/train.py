"""`lstmusic train`: corpus, model, samples and checkpoint in one command."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console

from lstmusic import config as configs
from lstmusic import music_model
from lstmusic.commands import output
from lstmusic.commands.corpora import check_request, requested_corpus, show_verdicts
from lstmusic.commands.evaluate import LANES, WINDOW_STEPS, measure
from lstmusic.commands.train_report import draw_curves, write_card
from lstmusic.config import Request
from lstmusic.corpus.store import Corpus
from lstmusic.errors import CheckpointError, ConfigError, LstmusicError, VocabularyError
from lstmusic.evaluation import baselines as simple
from lstmusic.evaluation.likelihood import split_nats
from lstmusic.events import codec as codecs
from lstmusic.listening.page import PageSong, write_page
from lstmusic.models.language_model import RecurrentLanguageModel
from lstmusic.sampling.sampler import Length, SamplingSettings, sample
from lstmusic.schema import TrainConfig
from lstmusic.score import midi
from lstmusic.training import checkpoint
from lstmusic.training.fit import Fitted, check_device, fit

SAMPLES = 2
SAMPLE_BARS = 8
MAY_CHANGE = ("trainer.max_minutes", "trainer.max_steps", "trainer.patience", "data.cache", "jobs", "parallel")


def run(request: Request) -> dict[str, Any]:
    """Train a model into the request's folder; the report. Raises KeyboardInterrupt after Ctrl-C, everything saved."""
    console = Console()
    check_device(request.config.trainer)
    if not request.config.resume:  # which takes over the request of another run
        check_request(request.config)
    start = _start(request.config)
    request, folder, resume = _folder(request, console)
    config: TrainConfig = request.config
    torch.manual_seed(config.seed)
    started = time.monotonic()
    corpus = requested_corpus(config, console)
    show_verdicts(corpus, console)
    if resume is not None:
        _check_same_pieces(folder, corpus)
    model = checkpoint.build_model(corpus.codec, asdict(config.model))
    if start is not None and resume is None:
        _begin_with(model, start, config.init_from)
    saver = _Saver(folder / "model", corpus, request)
    fitted = fit(
        model,
        corpus,
        config.trainer,
        folder=folder,
        seed=config.seed,
        keep=saver.keep,
        sample=lambda averaged, step: _write_samples(
            averaged, corpus, folder / "samples" / f"step-{step}", config.seed
        ),
        console=console,
        resume=resume,
    )
    return _finish(request, folder, corpus, saver, fitted, console, time.monotonic() - started)


class _Saver:
    """Writes the model folder whenever the model is better than before, and once more with what was measured."""

    def __init__(self, place: Path, corpus: Corpus, request: Request) -> None:
        self.place, self.corpus, self.request = place, corpus, request

    def keep(self, model: RecurrentLanguageModel, row: dict[str, float]) -> None:
        """Save the averaged model with its row of metrics."""
        self.save(model, {"step": int(row["step"]), "valid_nats_per_token": row["valid_nats_per_token"]})

    def save(self, model: RecurrentLanguageModel, results: dict[str, Any]) -> None:
        """Save a model with what was measured about it."""
        config: TrainConfig = self.request.config
        facts = {
            "data": self.request.plain["data"],
            "filters": self.request.plain["filters"],
            "trainer": self.request.plain["trainer"],
            "seed": config.seed,
            "pieces": {name: row["pieces"] for name, row in self.corpus.counts().items()},
            "results": results,
        }
        checkpoint.save(
            self.place,
            model,
            self.corpus.codec,
            sizes=asdict(config.model),
            facts=facts,
            split=self.corpus.piece_names(),
            card=write_card(facts, self.corpus, self.request.overrides),
            dtype=config.trainer.weights_dtype,
        )


def _folder(request: Request, console: Console) -> tuple[Request, Path, Path | None]:
    """Where the run goes and which checkpoint it goes on from: a new folder, or that of the run to resume."""
    resume = request.config.resume
    if not resume:
        return request, output.open_folder(request), None
    mine = [o for o in request.overrides if not o.startswith(("resume=", "hydra."))]
    place = _latest(request.folder.parent, mine) if resume == "auto" else Path(resume)
    if place is None:
        console.print("resume=auto: no earlier run to go on with, a new one begins")
        return request, output.open_folder(request), None
    last = place / "checkpoints" / "last.ckpt"
    if not last.is_file() or not (place / "overrides.yaml").is_file():
        raise CheckpointError(f"resume={resume}: no checkpoints/last.ckpt there, expected the folder of a training run")
    saved = yaml.safe_load((place / "overrides.yaml").read_text())
    new = [override for override in mine if override not in saved]
    for override in new:
        if not override.startswith(MAY_CHANGE):
            raise ConfigError(f"{override}: cannot change in a resumed run, expected only {', '.join(MAY_CHANGE)}")
    again = configs.compose("train", [o for o in saved if not o.startswith(tuple(n.split("=")[0] for n in new))] + new)
    output.write_config(place, again)
    console.print(f"resuming {place}", markup=False)
    return again, place, last


def _check_same_pieces(folder: Path, corpus: Corpus) -> None:
    """Raise CheckpointError where the data of a run has changed since: its carried state and best figure would lie."""
    split = folder / "model" / "split.json"
    if split.is_file() and json.loads(split.read_text()) != corpus.piece_names():
        raise CheckpointError(f"resume={folder}: the pieces of its data have changed since, expected the same ones")


def _latest(runs: Path, overrides: list[str]) -> Path | None:
    """The run that was saved last among those that were asked for the same, whatever their budget."""
    wanted = {o for o in overrides if not o.startswith("trainer.max_")}
    found = []
    for last in runs.glob("*/checkpoints/last.ckpt"):
        place = last.parent.parent
        asked = place / "overrides.yaml"
        if asked.is_file() and wanted <= set(yaml.safe_load(asked.read_text())):
            found.append((last.stat().st_mtime, place))
    return max(found)[1] if found else None


def _start(config: TrainConfig) -> RecurrentLanguageModel | None:
    """The model to begin with, if one is named; checked before any work."""
    if not config.init_from:
        return None
    start = music_model.load(config.init_from)
    codec = codecs.build(config.encoding.name, **config.encoding.options())
    if start.codec.vocabulary != codec.vocabulary:
        raise VocabularyError(
            f"init_from={config.init_from}: encoding {start.codec.name}, expected {codec.name} with the same vocabulary"
        )
    return start.model


def _begin_with(model: RecurrentLanguageModel, start: RecurrentLanguageModel, init_from: str | None) -> None:
    try:
        model.load_state_dict(start.state_dict())
    except RuntimeError as error:
        raise CheckpointError(
            f"init_from={init_from}: other sizes than model.* ({str(error).splitlines()[-1].strip()})"
        ) from error


def _write_samples(model: RecurrentLanguageModel, corpus: Corpus, folder: Path, seed: int) -> None:
    """A few songs of the model as it is now, to hear how it comes along."""
    model = copy.deepcopy(model).cpu().eval()  # sampling runs on the CPU, wherever the training does
    generators = [np.random.default_rng((seed, i)) for i in range(SAMPLES)]
    grammar = corpus.codec.grammar
    songs = sample(model, grammar, generators, settings=SamplingSettings(), length=Length(bars=SAMPLE_BARS))
    folder.mkdir(parents=True, exist_ok=True)
    cards = []
    for i, song in enumerate(songs, 1):
        name, score = f"song-{i:03d}", corpus.codec.decode(song.ids)
        midi.write(score, folder / f"{name}.mid")
        cards.append(PageSong(name, score, {"mid": f"{name}.mid"}, {"notes": str(len(score.notes))}))
    write_page(folder, cards, title=f"Samples, {folder.name}", settings={"temperature": 1.0, "seed": seed})


def _finish(
    request: Request, folder: Path, corpus: Corpus, saver: _Saver, fitted: Fitted, console: Console, wall_s: float
) -> dict[str, Any]:
    if not math.isfinite(fitted.best):
        raise LstmusicError(
            f"training diverged: {fitted.row['skipped_steps']:.0f} of {fitted.row['step']:.0f} steps were not finite; "
            "expected finite nats: lower trainer.learning_rate"
        )
    draw_curves(folder)
    best = checkpoint.load(folder / "model")
    split = "valid" if corpus.indices("valid") else "train"
    results: dict[str, Any] = {
        "device": fitted.device,
        "step": best.facts["results"]["step"],
        "minutes": round(fitted.elapsed_s / 60, 2),
        "split": split,
        **measure(best.model, corpus, split),
    }
    if split == "train":
        results["verdict"] = "No held-out pieces (they take three at least): nobody can tell how good it is."
    else:
        results["verdict"] = f"{simple.verdict(results['nll_per_token'], results['baselines'])} (valid)"
    if corpus.indices("test"):
        test = corpus.lanes("test", num_lanes=LANES, window_steps=WINDOW_STEPS)
        results["test_nll_per_token"] = split_nats(best.model, test).per_token
    saver.save(best.model, results)
    console.print(results["verdict"])
    console.print(f"model: {folder / 'model'}", markup=False, soft_wrap=True)
    report = output.write_report(
        folder,
        "train",
        request,
        {
            "corpus": {
                "splits": corpus.counts(),
                "losses": corpus.manifest["losses"],
                "skipped": corpus.manifest["skipped"],
            },
            "results": results,
            "steps": int(fitted.row["step"]),
            "skipped_steps": int(fitted.row["skipped_steps"]),
            "tokens_per_second": fitted.row["tokens_per_second"],
            "interrupted": fitted.interrupted,
            "wall_s": round(wall_s, 1),
        },
    )
    if fitted.interrupted:
        console.print(f"interrupted; go on with: lstmusic train resume={folder}", markup=False, soft_wrap=True)
        raise KeyboardInterrupt
    return report
