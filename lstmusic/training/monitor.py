"""While training: validate, keep the best, save for resuming, write metrics and samples, say how it goes, stop in time."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from lstmusic.corpus.lanes import Lanes
from lstmusic.errors import OutputError
from lstmusic.evaluation.likelihood import split_nats
from lstmusic.files import whole
from lstmusic.models.language_model import RecurrentLanguageModel
from lstmusic.training.module import TrainingModule

COLUMNS = (
    "step",
    "epoch",
    "elapsed_s",
    "train_nats_per_token",
    "valid_nats_per_token",
    "learning_rate",
    "grad_norm",
    "tokens_per_second",
    "skipped_steps",
)
CARRIED = ("best", "since_best", "sampled", "validated_at", "row", "nats", "tokens", "max_norm", "since_s")
SAVE_EVERY_S = 120.0  # what a kill can cost where validations are rare
SAMPLE_AT = (0.1, 0.25, 0.5, 0.75, 1.0)


class Monitor(lightning.Callback):
    """See the module.

    Args:
        folder: the run's folder; `metrics.csv` and `checkpoints/` come here.
        valid: the windows of the validation split; None where there is none: the training nats are watched instead.
        every_steps: between two validations.
        patience: validations without a better figure after which training stops.
        keep: called with the averaged model and a row of facts whenever validation is better than ever.
        sample: called with the averaged model and the step, five times on the way.
    """

    def __init__(
        self,
        folder: Path,
        *,
        valid: Lanes | None,
        every_steps: int,
        patience: int,
        keep: Callable[[RecurrentLanguageModel, dict[str, float]], None],
        sample: Callable[[RecurrentLanguageModel, int], None],
        console: Console,
    ) -> None:
        self.folder, self.valid, self.every_steps, self.patience = folder, valid, every_steps, patience
        self.keep, self.sample, self.console = keep, sample, console
        self.best, self.since_best = float("inf"), 0
        self.sampled = 0
        self.nats, self.tokens, self.max_norm = 0.0, 0, 0.0
        self.since_s, self.saved_s = 0.0, 0.0
        self.interrupted = False
        self.validated_at = -1
        self.row: dict[str, float] = {}
        self._bar = Progress(
            TextColumn("training"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[words]}"), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._handler: Any = None

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in CARRIED}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        module = _own(pl_module)
        self._keep_rows_until(module.window_index)
        self.saved_s = module.elapsed_s
        self._handler = signal.signal(signal.SIGINT, self._interrupt)
        self._bar.start()
        self._task = self._bar.add_task("training", total=1.0, words="")
        self._bar.update(self._task, completed=min(module.progress, 1.0))
        self.trainer = trainer
        trainer.should_stop = module.progress >= 1  # a finished run that is resumed

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C ends training after the step at hand; the second one at once."""
        self.interrupted = True
        self.trainer.should_stop = True
        signal.signal(signal.SIGINT, self._handler)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module = _own(pl_module)
        self.nats += module.last.nats
        self.tokens += module.last.tokens
        self.max_norm = max(self.max_norm, module.last.grad_norm)
        over = module.progress >= 1 or self.interrupted
        if module.window_index % self.every_steps == 0 or over:
            self._validate(trainer, module)
        while self.sampled < len(SAMPLE_AT) and module.progress >= SAMPLE_AT[self.sampled]:
            self.sampled += 1
            self.sample(module.averaged, module.window_index)
        if over or self.since_best >= self.patience:
            trainer.should_stop = True
        if module.elapsed_s - self.saved_s > SAVE_EVERY_S:
            self._save(trainer)
            self.saved_s = module.elapsed_s
        self._show(module)

    def _validate(self, trainer: lightning.Trainer, module: TrainingModule) -> None:
        self.validated_at = module.window_index
        train = self.nats / max(self.tokens, 1)
        watched = train
        if self.valid is not None:
            watched = split_nats(module.averaged, self.valid, module.device).per_token
        rate = self.tokens / max(module.elapsed_s - self.since_s, 1e-9)
        values = (
            module.window_index, module.position[0], module.elapsed_s, train, watched,
            trainer.optimizers[0].param_groups[0]["lr"], self.max_norm, rate, module.skipped_steps,
        )  # fmt: skip
        self.row = row = dict(zip(COLUMNS, values, strict=True))
        self._write_row(row)
        if trainer.logger is not None:
            trainer.logger.log_metrics(row, module.window_index)
        if watched < self.best:
            self.best, self.since_best = watched, 0
            self.keep(module.averaged, row)
        else:
            self.since_best += 1
        self.nats, self.tokens, self.max_norm, self.since_s = 0.0, 0, 0.0, module.elapsed_s
        self._save(trainer)
        self.saved_s = module.elapsed_s
        self._bar.console.print(self._words(module, row))

    def _save(self, trainer: lightning.Trainer) -> None:
        """Write the checkpoint beside its place, then rename: a kill or a full disk leaves the one before whole."""
        place = self.folder / "checkpoints" / "last.ckpt"
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole(place) as beside:
                trainer.save_checkpoint(beside)
        except RuntimeError as error:  # so torch reports a full disk
            raise OutputError(f"{place}: cannot be written ({str(error).splitlines()[0]})") from error

    def _write_row(self, row: dict[str, float]) -> None:
        path = self.folder / "metrics.csv"
        new = not path.exists()
        with open(path, "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})

    def _keep_rows_until(self, step: int) -> None:
        """Drop rows that a killed run wrote after the checkpoint that this one goes on from."""
        path = self.folder / "metrics.csv"
        if path.exists():
            with open(path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
            with whole(path) as beside, open(beside, "w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)

    @staticmethod
    def _words(module: TrainingModule, row: dict[str, float]) -> str:
        return (
            f"{100 * min(module.progress, 1):5.1f} %  step {row['step']:.0f}  epoch {row['epoch']:.0f}  "
            f"train {row['train_nats_per_token']:.3f}  valid {row['valid_nats_per_token']:.3f} nats per token  "
            f"{row['tokens_per_second']:.0f} tokens/s  {_left(module)}"
        )

    def _show(self, module: TrainingModule) -> None:
        rate = self.tokens / max(module.elapsed_s - self.since_s, 1e-9)
        words = f"{self.nats / max(self.tokens, 1):.3f} nats per token  {rate:.0f} tokens/s  {_left(module)}"
        self._bar.update(self._task, completed=min(module.progress, 1.0), words=words)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        module = _own(pl_module)
        if self.validated_at != module.window_index:
            self._validate(trainer, module)
        self._close()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._bar.stop()
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)


def _own(module: lightning.LightningModule) -> TrainingModule:
    assert isinstance(module, TrainingModule)
    return module


def _left(module: TrainingModule) -> str:
    """Time left, from the share of the budget that is spent."""
    if module.progress <= 0:
        return ""
    seconds = module.elapsed_s * max(0.0, 1 / module.progress - 1)
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"
