"""`lstmusic train`: corpus, model, samples and checkpoint in one command."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from rich.console import Console

from lstmusic.commands import output, train_start
from lstmusic.commands.corpora import check_request, requested_corpus, show_verdicts
from lstmusic.commands.evaluate import LANES, WINDOW_STEPS, measure
from lstmusic.commands.train_report import draw_curves, write_card
from lstmusic.config import Request
from lstmusic.corpus.store import Corpus
from lstmusic.errors import LstmusicError
from lstmusic.evaluation import baselines as simple
from lstmusic.evaluation import reference
from lstmusic.evaluation.likelihood import split_nats
from lstmusic.listening.page import PageSong, write_page
from lstmusic.models.model import Model
from lstmusic.sampling.sampler import sample
from lstmusic.sampling.settings import Length, SamplingSettings
from lstmusic.schema import TrainConfig, TrainerConfig
from lstmusic.score import midi
from lstmusic.training import checkpoint, distributed, launch
from lstmusic.training.checkpoint import ModelFolder
from lstmusic.training.fit import Fitted, check_device, fit

SAMPLES = 2
SAMPLE_BARS = 8


def run(request: Request) -> dict[str, Any]:
    """Train a model into the request's folder; the report. Raises KeyboardInterrupt after Ctrl-C, everything saved."""
    console = Console(quiet=not launch.is_first())
    check_device(request.config.trainer)
    place = train_start.run_to_resume(request)
    first = None
    if place is not None:
        request = train_start.resumed(request, place)
    else:
        check_request(request.config)
        request, first = train_start.first_model(request)
    settings: TrainerConfig = request.config.trainer
    devices = launch.num_devices(settings.devices, settings.accelerator)
    same = [] if place is None else [f"resume={place}"]
    with launch.together(devices, settings.num_nodes, ["train", *train_start.own_overrides(request), *same]):
        return _train(request, place, first, console)


def _train(request: Request, place: Path | None, first: ModelFolder | None, console: Console) -> dict[str, Any]:
    """The training itself, in one of its processes; the report, which only the first one has."""
    started = time.monotonic()
    request, folder, last = distributed.of_first(_folder(request, place, console))
    config: TrainConfig = request.config
    torch.manual_seed(config.seed)
    corpus = requested_corpus(config, console)
    show_verdicts(corpus, console)
    if last is not None:
        train_start.check_same_pieces(folder, corpus.piece_names())
    model = checkpoint.build_model(corpus.codec, asdict(config.model))
    if first is not None and last is None:
        model.load_state_dict(first.model.state_dict())
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
        resume=last,
    )
    if distributed.rank() > 0:
        return {}
    return _finish(request, folder, corpus, saver, fitted, console, time.monotonic() - started)


def _folder(request: Request, place: Path | None, console: Console) -> tuple[Request, Path, Path | None]:
    """The run's folder and the checkpoint to go on from, as the first process has decided."""
    if distributed.rank() > 0:
        return request, request.folder, None
    if place is None:
        return request, train_start.open_folder(request, console), None
    return request, place, train_start.last_checkpoint(place, request, console)


class _Saver:
    """Writes the model folder whenever the model is better than before, and once more with what was measured."""

    def __init__(self, place: Path, corpus: Corpus, request: Request) -> None:
        self.place, self.corpus, self.request = place, corpus, request

    def keep(self, model: Model, row: dict[str, float]) -> None:
        """Save the averaged model with its row of metrics."""
        self.save(model, {"step": int(row["step"]), "valid_nats_per_token": row["valid_nats_per_token"]})

    def save(self, model: Model, results: dict[str, Any], extras: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Save a model with what was measured about it; `extras`: see `checkpoint.save`."""
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
            extras=extras,
        )


def _write_samples(model: Model, corpus: Corpus, folder: Path, seed: int) -> None:
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
    results = _results(best, corpus, fitted)
    saver.save(best.model, results, reference.extras(best.model, corpus))
    console.print(results["verdict"])
    console.print(f"model: {folder / 'model'}", markup=False, soft_wrap=True)
    report = output.write_report(folder, "train", request, _facts(corpus, results, fitted, wall_s))
    if fitted.interrupted:
        console.print(f"interrupted; go on with: lstmusic train resume={folder}", markup=False, soft_wrap=True)
        raise KeyboardInterrupt
    return report


def _results(best: ModelFolder, corpus: Corpus, fitted: Fitted) -> dict[str, Any]:
    """What was measured of the best model: its nats, those of baselines beside them, and what that says of it."""
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
        results["verdict"] = simple.verdict(results["nll_per_token"], results["baselines"], split)
    if corpus.indices("test"):
        test = corpus.lanes("test", num_lanes=LANES, window_steps=WINDOW_STEPS)
        results["test_nll_per_token"] = split_nats(best.model, test).per_token
    return results


def _facts(corpus: Corpus, results: dict[str, Any], fitted: Fitted, wall_s: float) -> dict[str, Any]:
    """What the report tells of a training."""
    return {
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
    }
