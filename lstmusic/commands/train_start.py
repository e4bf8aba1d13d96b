"""What a training begins with: a new folder or that of the run to go on with, fresh weights or those of another model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console

from lstmusic import config as configs
from lstmusic import music_model
from lstmusic.commands import output
from lstmusic.config import Request
from lstmusic.errors import CheckpointError, ConfigError, VocabularyError
from lstmusic.events import codec as codecs
from lstmusic.training import checkpoint, resume
from lstmusic.training.checkpoint import ModelFolder

MAY_CHANGE = ("trainer.max_minutes", "trainer.max_steps", "trainer.patience", "data.cache", "jobs", "parallel")
ADDED = "++model."  # so begin the overrides that nobody typed: the sizes that follow from `init_from`


def run_to_resume(request: Request) -> Path | None:
    """The folder of the run that a request goes on with; None where it begins a new one.

    Raises:
        CheckpointError: the folder that was named is not that of a training run that has saved.
    """
    asked = request.config.resume
    if not asked or asked == "auto":
        return _latest(request.folder.parent, request.overrides) if asked else None
    place = Path(asked)
    if not resume.exists(place) or not (place / "overrides.yaml").is_file():
        raise CheckpointError(f"resume={asked}: no checkpoints/last.ckpt there, expected the folder of a training run")
    return place


def own_overrides(request: Request) -> list[str]:
    """What was typed about the training itself."""
    return [o for o in request.overrides if not o.startswith(("resume=", "hydra."))]


def _latest(runs: Path, overrides: list[str]) -> Path | None:
    """The run that was saved last among those that were asked for the same, but for what may change."""
    wanted, found = _lasting(overrides), []
    for asked in runs.glob("*/overrides.yaml"):
        saved = [o for o in yaml.safe_load(asked.read_text()) or [] if not o.startswith(ADDED)]
        if resume.exists(asked.parent) and _lasting(saved) == wanted:
            found.append((resume.time_of(asked.parent), asked.parent))
    return max(found)[1] if found else None


def _lasting(overrides: list[str]) -> set[str]:
    """Overrides without those about the folder and those that may change."""
    return {o for o in overrides if not o.startswith(("resume=", "hydra.", *MAY_CHANGE))}


def resumed(request: Request, place: Path) -> Request:
    """The request of a run that goes on: as it was, with what may change.

    Raises:
        ConfigError: something else was asked for than the run began with.
    """
    saved = [o for o in yaml.safe_load((place / "overrides.yaml").read_text()) if not o.startswith("resume=")]
    new = [override for override in own_overrides(request) if override not in saved]
    for override in new:
        if not override.startswith(MAY_CHANGE):
            raise ConfigError(f"{override}: cannot change in a resumed run, expected only {', '.join(MAY_CHANGE)}")
    kept = [o for o in saved if not o.startswith(tuple(f"{n.split('=')[0]}=" for n in new))]
    return configs.compose("train", kept + new)._replace(folder=place)


def open_folder(request: Request, console: Console) -> Path:
    """Make the folder of a new run; where `resume=auto` found only what a killed run left, beside that."""
    if request.config.resume == "auto":
        console.print("resume=auto: no earlier run to go on with, a new one begins")
        folder, number = request.folder, 1
        while folder.exists() and any(folder.iterdir()):
            number += 1
            folder = request.folder.with_name(f"{request.folder.name}-{number}")
        if number > 1:
            _tell(console, f"resume=auto: {request.folder} holds no checkpoint, the new run goes to {folder}")
        request = request._replace(folder=folder)
    return output.open_folder(request)


def last_checkpoint(place: Path, request: Request, console: Console) -> Path:
    """The checkpoint to go on from; the run's folder gets its configuration anew.

    Raises:
        CheckpointError: no checkpoint is whole.
    """
    last = resume.newest(place, lambda line: _tell(console, line))
    output.write_config(place, request)
    _tell(console, f"resuming {place}")
    return last


def _tell(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def check_same_pieces(place: Path, pieces: dict[str, list[str]]) -> None:
    """Raise CheckpointError where the data of a run has changed since: its carried state and best figure would lie."""
    split = place / "model" / "split.json"
    if split.is_file() and json.loads(split.read_text()) != pieces:
        raise CheckpointError(f"resume={place}: the pieces of its data have changed since, expected the same ones")


def first_model(request: Request) -> tuple[Request, ModelFolder | None]:
    """The model to begin with, if one is named, and the request with its sizes, unless the request has its own.

    Raises:
        CheckpointError: there is no such model, or the request's sizes do not fit its weights.
        VocabularyError: it was made for another vocabulary.
    """
    name = request.config.init_from
    if not name:
        return request, None
    start, encoding = music_model.load(name).folder, request.config.encoding
    codec = codecs.build(encoding.name, **encoding.options())
    if start.codec.vocabulary != codec.vocabulary:
        raise VocabularyError(
            f"init_from={name}: encoding {start.codec.name}, expected {codec.name} with the same vocabulary"
        )
    request = _with_sizes(request, start.sizes)
    asked = asdict(request.config.model)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in checkpoint.build_model(codec, asked).state_dict().items()}
    if shapes != {key: value.shape for key, value in start.model.state_dict().items()}:
        wrong = [f"model.{k}={v} (expected {start.sizes[k]})" for k, v in asked.items() if start.sizes.get(k, v) != v]
        raise CheckpointError(
            f"init_from={name}: other sizes than its weights: {', '.join(wrong) or 'its context features'}"
        )
    return request, start


def _with_sizes(request: Request, sizes: dict[str, Any]) -> Request:
    """A request with the sizes of a model in place of the defaults: what was typed stays.

    They become overrides, so that the run can be resumed without the model that it began with.
    """
    asked = asdict(request.config.model)
    chosen = any(override.startswith(("model=", "experiment=")) for override in request.overrides)
    if chosen or sizes.get("output", asked["output"]) != asked["output"]:  # a model of another kind has other keys
        return request
    typed = {override.split("=")[0] for override in request.overrides}
    new = {k: v for k, v in sizes.items() if f"model.{k}" not in typed and asked.get(k) != v}
    overrides = [f"{ADDED}{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in new.items()]
    plain = {**request.plain, "model": {**request.plain["model"], **new}}
    return configs.checked("train", plain, request.folder, [*request.overrides, *overrides])
