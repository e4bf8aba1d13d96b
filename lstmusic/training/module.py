"""The LightningModule: carried state, loss, finite check, clip, step, averaged weights."""

from __future__ import annotations

import copy
import time
from typing import Any, NamedTuple

import lightning
import torch
from torch import Tensor

from lstmusic.evaluation.likelihood import to_window
from lstmusic.models.language_model import RecurrentLanguageModel, State
from lstmusic.training.schedule import Budget, one_cycle

BETAS = (0.9, 0.99)


class StepFacts(NamedTuple):
    """What one step measured: nats summed over its scored ids, how many those were, the norm from before the clip."""

    nats: float
    tokens: int
    grad_norm: float


class TrainingModule(lightning.LightningModule):
    """One window a step, by truncated backpropagation through time.

    Args:
        model: what is trained.
        budget: shapes the schedule and ends the training.
        learning_rate: at the top of the one-cycle schedule.
        weight_decay: on matrices; biases, gains and single vectors have none.
        max_grad_norm: the gradient is scaled down to this norm where it is longer.
        ema_decay: of the averaged weights, per step.
    """

    def __init__(
        self,
        model: RecurrentLanguageModel,
        *,
        budget: Budget,
        learning_rate: float,
        weight_decay: float,
        max_grad_norm: float,
        ema_decay: float,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # the order is ours: finite check, norm, clip, step
        self.model = model
        self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        self.budget, self.learning_rate, self.weight_decay = budget, learning_rate, weight_decay
        self.max_grad_norm, self.ema_decay = max_grad_norm, ema_decay
        self.state: State | None = None
        self.window_index = 0  # windows read so far: with the seed, all that the data order depends on
        self.position = (0, 0)  # epoch and window within it, of the window that comes next
        self.skipped_steps = 0
        self.elapsed_s = 0.0
        self.last = StepFacts(0.0, 0, 0.0)
        self._clock = time.monotonic()
        self._torch_rng: Tensor | None = None  # of a checkpoint, until the first step after it

    @property
    def progress(self) -> float:
        """The share of the budget that is spent."""
        return self.budget.progress(self.elapsed_s, self.window_index)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": self.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.learning_rate, betas=BETAS)

    def on_train_start(self) -> None:
        self._clock = time.monotonic()

    def training_step(self, batch: tuple[tuple[int, int], Any], batch_index: int) -> None:
        """One window: forward from the carried state, backward to the window's border and no further, one step."""
        (epoch, step), arrays = batch
        if self._torch_rng is not None:  # here, because the Trainer and the loader draw numbers before the first step
            torch.set_rng_state(self._torch_rng)
            self._torch_rng = None
        if step == 0:
            self.state = None
        window = to_window(arrays, self.device)
        carried = None if self.state is None else tuple(part.to(self.device) for part in self.state)
        nats, state = self.model(window, carried)
        self.state = tuple(part.detach() for part in state)
        loss = (nats * window.weight).sum() / window.weight.sum().clamp(min=1)
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        grad_norm = self._clipped_step(optimizer, loss)
        self.window_index += 1
        self.position = (epoch, step + 1)
        now = time.monotonic()
        self.elapsed_s += now - self._clock
        self._clock = now
        self.last = StepFacts(0.0, 0, float(grad_norm))
        if torch.isfinite(loss):
            self.last = StepFacts(float(nats.detach()[window.scored].sum()), int(window.scored.sum()), float(grad_norm))

    def _clipped_step(self, optimizer: Any, loss: Tensor) -> Tensor:
        """Finite check, clip, step, average; the gradient's norm from before the clip."""
        parameters = list(self.model.parameters())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not torch.isfinite(loss) or not torch.isfinite(norm):
            self.skipped_steps += 1
            self.state = None  # what is not finite may be in the state too
            return norm
        torch.nn.utils.clip_grads_with_norm_(parameters, self.max_grad_norm, norm)
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate * one_cycle(self.progress)
        optimizer.step()
        self._average()
        return norm

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential moving average of the weights, short-sighted at first (as in Adam's bias correction)."""
        decay = min(self.ema_decay, (1 + self.window_index) / (10 + self.window_index))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["lstmusic"] = {
            "state": self.state,
            "window_index": self.window_index,
            "position": list(self.position),
            "skipped_steps": self.skipped_steps,
            "elapsed_s": self.elapsed_s,
            "torch_rng": torch.get_rng_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = checkpoint["lstmusic"]
        self.state = own["state"]
        self.window_index, self.position = own["window_index"], tuple(own["position"])
        self.skipped_steps, self.elapsed_s = own["skipped_steps"], own["elapsed_s"]
        self._torch_rng = own["torch_rng"]
