"""While training: validate, keep the best, save for resuming, write samples, stop in time."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
from rich.console import Console

from lstmusic.corpus.lanes import Lanes
from lstmusic.errors import OutputError
from lstmusic.evaluation.likelihood import split_nats
from lstmusic.training import distributed, metrics, resume
from lstmusic.training.module import AGREE_EVERY, Tally, TrainingModule

CARRIED = ("best", "since_best", "sampled", "validated_at", "row", "since_s")
SAVE_EVERY_S = 120.0  # what a kill can cost where validations are rare
SAMPLE_AT = (0.1, 0.25, 0.5, 0.75, 1.0)


class Monitor(lightning.Callback):
    """See the module. Of several processes each validates its own lanes, and the first one writes and prints.

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
        keep: Callable[[Any, dict[str, float]], None],
        sample: Callable[[Any, int], None],
        console: Console,
    ) -> None:
        self.folder, self.valid, self.every_steps, self.patience = folder, valid, every_steps, patience
        self.keep, self.sample = keep, sample
        self.best, self.since_best = float("inf"), 0
        self.sampled = 0
        self.since_s, self.saved_s = 0.0, 0.0
        self.interrupted = False
        self.validated_at = -1
        self.row: dict[str, float] = {}
        self._bar = metrics.Bar(console)
        self._handler: Any = None

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in CARRIED}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        module = _own(pl_module)
        if distributed.rank() == 0:
            metrics.keep_rows_until(self.folder, self.validated_at)
        self.saved_s = module.elapsed_s
        self._handler = signal.signal(signal.SIGINT, self._interrupt)
        self._bar.start(module.progress)
        trainer.should_stop = self._over(module)  # a finished run that is resumed

    def _over(self, module: TrainingModule) -> bool:
        return module.progress >= 1 or self.since_best >= self.patience

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C ends training after the step at hand; the second one at once."""
        self.interrupted = True
        signal.signal(signal.SIGINT, self._handler)

    def _stop_is_asked(self, module: TrainingModule) -> bool:
        """Whether Ctrl-C was pressed, at one of the processes; they ask each other now and then."""
        if distributed.world_size() > 1:
            if module.window_index % AGREE_EVERY:
                return False
            self.interrupted = any(distributed.gathered(self.interrupted))
        return self.interrupted

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module, stop = _own(pl_module), self._stop_is_asked(_own(pl_module))
        due = module.window_index % self.every_steps == 0 or module.progress >= 1
        if due:
            self._validate(trainer, module)
        while self.sampled < len(SAMPLE_AT) and module.progress >= SAMPLE_AT[self.sampled]:
            self.sampled += 1
            if distributed.rank() == 0:
                self.sample(module.averaged, module.window_index)
        if due or stop or module.elapsed_s - self.saved_s > SAVE_EVERY_S:
            self._save(trainer)
            self.saved_s = module.elapsed_s
        if stop and not due:  # for the report alone: a run that goes on from here has never seen it
            self._validate(trainer, module, keep=not math.isfinite(self.best))  # some model is left in any case
        trainer.should_stop = stop or self._over(module)
        self._bar.show(module, self.since_s)

    def _validate(self, trainer: lightning.Trainer, module: TrainingModule, *, keep: bool = True) -> None:
        self.validated_at = module.window_index
        train = module.read()
        watched = train.per_token if self.valid is None else self._valid_nats(module, self.valid)
        self.row = row = metrics.row_of(
            module, watched, trainer.optimizers[0].param_groups[0]["lr"], module.elapsed_s - self.since_s
        )
        better = watched < self.best
        if better:
            self.best, self.since_best = watched, 0
        else:
            self.since_best += 1
        module.averaging.validated(watched)
        module.tally, self.since_s = Tally(), module.elapsed_s
        if distributed.rank() > 0:
            return
        metrics.write_row(self.folder, row)
        if trainer.logger is not None:
            trainer.logger.log_metrics(row, module.window_index)
        if better and keep:
            self.keep(module.averaged, row)
        self._bar.tell(module, row)

    @staticmethod
    def _valid_nats(module: TrainingModule, valid: Lanes) -> float:
        """Nats per token of the validation split, of which each process has read its own lanes."""
        own = split_nats(module.averaged, valid, module.device)
        nats, tokens = (sum(parts) for parts in zip(*distributed.gathered((own.nats, own.tokens)), strict=True))
        return nats / max(tokens, 1)

    def _save(self, trainer: lightning.Trainer) -> None:
        """Write the checkpoint beside its place, then rename: a kill or a full disk leaves the one before whole."""
        place = resume.beside(self.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            trainer.save_checkpoint(place)
        except (RuntimeError, OSError) as error:  # as a RuntimeError torch reports a full disk
            place.unlink(missing_ok=True)
            reason = str(error).splitlines()[0]
            raise OutputError(f"{self.folder / resume.FOLDER / resume.LAST}: cannot be written ({reason})") from error
        if distributed.rank() == 0:
            resume.install(self.folder)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        module = _own(pl_module)
        if self.validated_at != module.window_index:  # resumed with a budget that was spent already
            self._validate(trainer, module)
            self._save(trainer)
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
