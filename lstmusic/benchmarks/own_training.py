"""lstmusic's own training as `table=training` measures it: with everything on, or without some parts."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.benchmarks import arithmetic
from lstmusic.corpus.lanes import Augmentation, Lanes
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events import codec as codecs
from lstmusic.models.language_model import RecurrentLanguageModel, Window
from lstmusic.models.stack import State
from lstmusic.score.score import NOTE_DTYPE, Score, Track, sorted_notes, table
from lstmusic.training.module import TrainingModule
from lstmusic.training.products import fast_products
from lstmusic.training.schedule import Budget
from lstmusic.training.stream import WindowStream

NOTES = 1000  # of a made-up piece
REPLAYED = 2  # windows that are made once, for those that have no pipeline
PARTS = {
    "masks": "the grammar's masks",
    "features": "context features",
    "dropout": "dropout",
    "average": "averaged weights",
    "pipeline": "making windows",
}
NOTHING: frozenset[str] = frozenset()
Item = tuple[tuple[int, int], Window]


class Workload(NamedTuple):
    """Made-up music to train on."""

    codec: codecs.Codec
    lanes: Lanes

    @property
    def num_ids(self) -> int:
        """V."""
        return len(self.codec.vocabulary)

    def windows(self) -> list[Item]:
        """The first windows of an epoch, each with its position."""
        return [((0, k), to_window(self.lanes.window(0, k))) for k in range(1, 1 + REPLAYED)]


def made_up_workload(*, lanes: int, window_steps: int) -> Workload:
    """Two pieces of random notes for each lane, as `performance` events, with the augmentation that training draws."""
    codec = codecs.build("performance")
    pieces = [codec.encode(_piece(np.random.default_rng(seed))) for seed in range(2 * lanes)]
    steps = np.array([len(piece) - 1 for piece in pieces])
    drawn = Augmentation(max_semitones=6, max_stretch=0.05)
    return Workload(
        codec,
        Lanes(
            read=lambda index: pieces[index],
            steps=steps,
            codec=codec,
            num_lanes=lanes,
            window_steps=window_steps,
            augmentation=drawn,
        ),
    )


def _piece(rng: np.random.Generator) -> Score:
    onset = np.cumsum(rng.choice([0, 0, 120, 240, 480], NOTES))
    columns = (onset, rng.integers(100, 900, NOTES), rng.integers(36, 90, NOTES), rng.integers(40, 100, NOTES), 0)
    return Score(sorted_notes(table(NOTE_DTYPE, *columns)), (Track(),))


class OwnTraining:
    """The training module in the Trainer.

    Args:
        cell, hidden_size, num_layers: of the model; everything else is its default.
        without: keys of `PARTS` that are left out.
    """

    def __init__(
        self,
        cell: str,
        hidden_size: int,
        num_layers: int,
        work: Workload,
        device: torch.device,
        dtype: torch.dtype,
        *,
        without: frozenset[str] = NOTHING,
    ) -> None:
        model = _model(work.codec, cell, hidden_size, num_layers, without)
        self.flops = arithmetic.own_flops(model)
        self.device, self.dtype = device, dtype
        self.module = TrainingModule(
            _Reduced(model, without) if {"masks", "features"} & without else model,
            budget=Budget(max_steps=1_000_000),
            learning_rate=1e-3,
            weight_decay=0.02,
            max_grad_norm=1.0,
            ema_decay=0.99,
        )
        if "average" in without:
            self.module.averaging.update = lambda *args: None  # type: ignore[method-assign]
        self.stream: Any = WindowStream(work.lanes, lambda: self.module.position, lambda: self.module.device)
        if "pipeline" in without:
            self.stream = _Replay([_on(item, device) for item in work.windows()])

    def turn(self, steps: int) -> float:
        """Take some steps; the seconds that all but the first one took."""
        for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
        clock = _Clock(self.device)
        trainer = lightning.Trainer(
            accelerator="gpu" if self.device.type == "cuda" else "cpu",
            devices=1,
            precision="32-true" if self.dtype == torch.float32 else "bf16-mixed",
            max_epochs=1,
            limit_train_batches=steps,
            logger=False,
            callbacks=[clock],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        with fast_products(self.module.model, self.device):
            trainer.fit(self.module, self.stream)
        self.stream.close()
        return clock.last_s - clock.first_s


class _Clock(lightning.Callback):
    """When the first step and the last one were over."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.first_s = self.last_s = 0.0

    def on_train_batch_end(self, *args: Any) -> None:
        if not self.first_s:
            arithmetic.wait_for(self.device)
            self.first_s = time.perf_counter()

    def on_train_epoch_end(self, *args: Any) -> None:
        arithmetic.wait_for(self.device)
        self.last_s = time.perf_counter()


class _Replay:
    """The same windows over and over."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Item]:
        while True:
            yield from self.items

    def close(self) -> None:
        """There is no thread to end."""


def _on(item: Item, device: torch.device) -> Item:
    return item[0], Window(*(field.to(device) for field in item[1]))


def _model(
    codec: codecs.Codec, cell: str, hidden_size: int, num_layers: int, without: frozenset[str]
) -> RecurrentLanguageModel:
    no_dropout: dict[str, Any] = {"input_dropout": 0.0, "dropout": 0.0, "head_dropout": 0.0}
    featureless = "features" in without
    return RecurrentLanguageModel(
        num_ids=len(codec.vocabulary),
        group_size=codec.group_size,
        feature_sizes=[1] if featureless else list(codec.grammar.column_sizes.values()),
        num_flags=0 if featureless else codec.grammar.num_flags,
        cell=cell,
        hidden_size=hidden_size,
        num_layers=num_layers,
        **(no_dropout if "dropout" in without else {}),
    )


class _Reduced(nn.Module):
    """A model of groups of one that is shown a single feature, always the same, or whose logits are not masked."""

    def __init__(self, model: RecurrentLanguageModel, without: frozenset[str]) -> None:
        super().__init__()
        self.model, self.without = model, without

    def forward(self, window: Window, state: State | None = None) -> tuple[Tensor, State]:
        if "features" in self.without:
            window = window._replace(columns=window.columns.new_zeros(1).expand(*window.columns.shape[:-1], 1))
        if "masks" not in self.without:
            return self.model(window, state)
        columns, flags = window.columns[:, :, 0], window.flags[:, :, 0]
        hidden, state = self.model.hidden(window.previous, columns, flags, window.reset, state)
        logits = self.model.member_logits(hidden, window.previous[:, :0], columns, flags)
        nats = functional.cross_entropy(logits.flatten(0, 1).float(), window.targets.flatten(), reduction="none")
        return nats.view(window.targets.shape), state
