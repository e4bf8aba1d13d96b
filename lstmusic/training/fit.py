"""Corpus, model and Trainer put together."""

from __future__ import annotations

import logging
import math
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console

from lstmusic.corpus.lanes import Augmentation, Lanes
from lstmusic.corpus.store import Corpus
from lstmusic.errors import CheckpointError, ConfigError, DeviceError
from lstmusic.models.model import Model
from lstmusic.schema import TrainerConfig
from lstmusic.training import distributed, launch
from lstmusic.training.module import TrainingModule
from lstmusic.training.monitor import Monitor
from lstmusic.training.products import fast_products
from lstmusic.training.schedule import Budget
from lstmusic.training.stream import WindowStream

VALID_LANES = 64
VALID_SHARE = 0.05  # of the time may go into validation; a forward pass costs a third of a step


@dataclass(frozen=True)
class Fitted:
    """What a training did: its last row of metrics, best validation nats per token, and whether Ctrl-C ended it."""

    row: dict[str, float]
    best: float
    interrupted: bool
    device: str
    elapsed_s: float


def fit(
    model: Model,
    corpus: Corpus,
    settings: TrainerConfig,
    *,
    folder: Path,
    seed: int,
    keep: Callable[[Model, dict[str, float]], None],
    sample: Callable[[Model, int], None],
    console: Console,
    resume: Path | None = None,
) -> Fitted:
    """Train a model on the train split of a corpus.

    Args:
        folder: the run's folder.
        keep: called with the averaged model whenever validation is better than ever.
        sample: called five times on the way.
        resume: a checkpoint of the same model and corpus to go on from.

    Raises:
        ConfigError: the train split is empty.
        DeviceError: the accelerator that was asked for is not there.
        CheckpointError: `resume` is torn or belongs to another model.
    """
    train, valid = _lanes(corpus, settings, seed)
    module = _module(model, settings)
    every = _validation_interval(train, valid)
    monitor = Monitor(
        folder, valid=valid, every_steps=every, patience=settings.patience, keep=keep, sample=sample, console=console
    )
    trainer = _trainer(settings, folder, monitor)
    trainer.precision_plugin.convert_module(module)  # before a checkpoint is read into it, which would be rounded
    console.print(f"device: {trainer.strategy.root_device}, {sum(p.numel() for p in model.parameters()):,} weights")
    stream = WindowStream(train, lambda: module.position, lambda: module.device)
    try:
        with fast_products(model, trainer.strategy.root_device):
            trainer.fit(module, stream, ckpt_path=resume, weights_only=True)
    except (RuntimeError, KeyError, EOFError, OSError, pickle.UnpicklingError) as error:
        alone = distributed.world_size() == 1  # else another process may be gone
        if resume is not None and module.window_index == 0 and alone:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(f"{resume}: cannot be resumed ({reason:.120})") from error
        raise
    finally:
        stream.close()
    return Fitted(monitor.row, monitor.best, monitor.interrupted, str(trainer.strategy.root_device), module.elapsed_s)


def _module(model: Any, settings: TrainerConfig) -> TrainingModule:
    return TrainingModule(
        model,
        budget=Budget(settings.max_minutes, settings.max_steps),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        ema_decay=settings.ema_decay,
        average=settings.average,
        window_steps=settings.bptt_length if settings.vary_bptt else None,
    )


def _lanes(corpus: Corpus, settings: TrainerConfig, seed: int) -> tuple[Lanes, Lanes | None]:
    if not corpus.indices("train"):
        raise ConfigError("the train split is empty, expected at least one piece")
    stretch = settings.max_stretch if corpus.codec.stretchable else 0.0
    rank, world = distributed.rank(), distributed.world_size()
    train = corpus.lanes(
        "train",
        num_lanes=settings.num_lanes,
        window_steps=settings.bptt_length,
        seed=seed,
        augmentation=Augmentation(settings.max_semitones, stretch),
        vary=settings.vary_bptt,
        rank=rank,
        world=world,
    )
    if not corpus.indices("valid"):
        return train, None
    lanes = math.ceil(VALID_LANES / world)
    return train, corpus.lanes("valid", num_lanes=lanes, window_steps=settings.bptt_length, rank=rank, world=world)


def _validation_interval(train: Lanes, valid: Lanes | None) -> int:
    """Windows between two validations: whole epochs of a small corpus, and so many that validation stays cheap."""
    cost = 0.0 if valid is None else float(valid.steps.sum()) / 3
    affordable = cost / VALID_SHARE / (train.num_lanes * train.world * train.window_steps)
    return max(1, math.ceil(affordable), min(train.num_windows(0), 500))


def check_device(settings: TrainerConfig) -> None:
    """Raise DeviceError where the accelerator that was asked for is not there."""
    if settings.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise DeviceError(f"trainer.accelerator={settings.accelerator}: no such device here, expected cpu or auto")
    launch.num_devices(settings.devices, settings.accelerator)


def _trainer(settings: TrainerConfig, folder: Path, monitor: Monitor) -> lightning.Trainer:
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    check_device(settings)
    gpu = settings.accelerator != "cpu" and torch.cuda.is_available()
    precision: Any = ("bf16-mixed" if gpu else "32-true") if settings.precision == "auto" else settings.precision
    try:
        return lightning.Trainer(
            accelerator=settings.accelerator,
            devices=launch.num_devices(settings.devices, settings.accelerator),
            num_nodes=settings.num_nodes,
            strategy="ddp" if distributed.world_size() > 1 else "auto",
            use_distributed_sampler=False,  # each process has lanes of its own
            precision=precision,
            max_steps=-1,
            max_epochs=-1,
            logger=TensorBoardLogger(folder, name="tensorboard", version=""),
            callbacks=[monitor],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        keys = f"trainer.accelerator={settings.accelerator} trainer.precision={precision}"
        raise DeviceError(f"{keys}: {str(error).splitlines()[0]}") from error
