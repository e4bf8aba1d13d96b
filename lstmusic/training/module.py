"""The LightningModule: carried state, loss, finite check, clip, step, averaged weights."""

from __future__ import annotations

import copy
import time
from dataclasses import asdict, dataclass
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from lstmusic.errors import CheckpointError
from lstmusic.training import distributed
from lstmusic.training.averages import Averaging
from lstmusic.training.schedule import Budget, one_cycle

BETAS = (0.9, 0.99)
READ_EVERY = 50  # steps whose figures stay on the device before they are read
AGREE_EVERY = 8  # steps between two agreements of several processes on the time that is spent


@dataclass
class Tally:
    """What the steps since the last validation measured: nats summed over scored ids, their number, the longest gradient
    from before the clip."""

    nats: float = 0.0
    tokens: int = 0
    grad_norm: float = 0.0

    @property
    def per_token(self) -> float:
        """Nats per scored id."""
        return self.nats / max(self.tokens, 1)


class TrainingModule(lightning.LightningModule):
    """One window a step, by truncated backpropagation through time.

    No step waits for the device: what a step measures stays there until `read` is called, and whether it is finite is
    decided there.

    Args:
        model: what is trained: called with a window (a NamedTuple of tensors with `weight` and `scored`, [B, T, G]) and the
            state that the window before left, or None, it returns nats [B, T, G] and the new state, a tuple of tensors.
        budget: shapes the schedule and ends the training.
        learning_rate: at the top of the one-cycle schedule.
        weight_decay: on matrices; biases, gains and single vectors have none.
        max_grad_norm: the gradient is scaled down to this norm where it is longer.
        ema_decay: of the exponential moving average, per step.
        average: which mean of the weights is evaluated and kept; see `Averaging`.
        window_steps: where windows vary in length, the one that the learning rate is meant for; shorter windows take
            steps that are shorter in proportion (Merity et al. 2018, section 5).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        budget: Budget,
        learning_rate: float,
        weight_decay: float,
        max_grad_norm: float,
        ema_decay: float,
        average: str = "ema",
        window_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # the order is ours: finite check, norm, clip, step
        self.model: Any = model
        self.averaged: Any = copy.deepcopy(model).eval().requires_grad_(False)
        self.averaging = Averaging(average, ema_decay)
        self.budget, self.learning_rate, self.weight_decay = budget, learning_rate, weight_decay
        self.max_grad_norm, self.window_steps = max_grad_norm, window_steps
        self.state: tuple[Tensor, ...] | None = None
        self.window_index = 0  # windows read so far: with the seed, all that the data order depends on
        self.position = (0, 0)  # epoch and window within it, of the window that comes next
        self.skipped_steps = 0  # of those that were read
        self.elapsed_s = 0.0
        self.tally = Tally()
        self._unread: list[Tensor] = []
        self._spent_s, self._clock = 0.0, time.monotonic()
        self._generators: distributed.Generators | None = None  # of a checkpoint, until the first step after it

    @property
    def progress(self) -> float:
        """The share of the budget that is spent."""
        return self.budget.progress(self.elapsed_s, self.window_index)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": self.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.learning_rate, betas=BETAS, fused=True)

    def on_train_start(self) -> None:
        self._clock = time.monotonic()
        if self.window_index == 0 and distributed.rank() > 0:  # dropout masks of its own
            torch.manual_seed(torch.initial_seed() + distributed.rank())

    def training_step(self, batch: tuple[tuple[int, int], Any], batch_index: int) -> None:
        """One window: forward from the carried state, backward to the window's border and no further, one step.

        Args:
            batch: the window's epoch and number, and the window.
        """
        (epoch, step), window = batch
        if self._generators is not None:  # here, because the Trainer draws numbers before the first step
            distributed.set_generators(self._generators, self.device)
            self._generators = None
        window = _on_device(window, self.device)
        carried = None if self.state is None or step == 0 else tuple(part.to(self.device) for part in self.state)
        nats, state = self.model(window, carried)
        weighted, scored = (nats * window.weight).sum(), window.scored
        measured = [weighted.detach(), window.weight.sum(), (nats.detach() * scored).sum(), scored.sum()]
        sums = distributed.summed(torch.stack([value.to(nats.dtype) for value in measured]))
        # several processes average their gradients, so that the mean is over the targets of all of them
        loss = weighted * distributed.world_size() / sums[1].clamp(min=1)
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        finite, norm = self._clipped_step(optimizer, sums[0], window.weight.shape[1])
        # what is not finite may be in the state too
        self.state = tuple(torch.where(finite, part.detach(), part.new_zeros(())) for part in state)
        self._unread.append(torch.stack([finite.to(sums.dtype), norm.to(sums.dtype), *sums[2:]]))
        self.window_index += 1
        self.position = (epoch, step + 1)
        self._tick()
        if len(self._unread) >= READ_EVERY:
            self.read()

    def _clipped_step(self, optimizer: Any, loss: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Finite check, clip, step, average; whether all is finite, and the gradient's norm from before the clip."""
        parameters = list(self.model.parameters())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        finite = torch.isfinite(loss) & torch.isfinite(norm)
        torch.nn.utils.clip_grads_with_norm_(parameters, self.max_grad_norm, norm)
        share = 1.0 if self.window_steps is None else steps / self.window_steps
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate * share * one_cycle(self.progress)
        # torch's fused optimizers skip a step by themselves where `found_inf` is 1, as its GradScaler asks them to
        adam = getattr(optimizer, "optimizer", optimizer)  # inside what the Trainer wraps around it
        adam.grad_scale, adam.found_inf = None, (~finite).float()
        optimizer.step()
        self.averaging.update(list(self.averaged.parameters()), parameters, self.window_index)
        return finite, norm

    def _tick(self) -> None:
        """Count the time of a step; several processes go by the clock of the first."""
        now = time.monotonic()
        self._spent_s += now - self._clock
        self._clock = now
        if distributed.world_size() == 1:
            self.elapsed_s = self._spent_s
        elif self.window_index % AGREE_EVERY == 0:
            self.elapsed_s = distributed.of_first(self._spent_s)

    def read(self) -> Tally:
        """The tally up to the last step; waits for the device."""
        rows = torch.stack(self._unread).double().cpu().tolist() if self._unread else []
        self._unread = []
        for finite, norm, nats, tokens in rows:
            self.tally.grad_norm = max(self.tally.grad_norm, norm)
            if finite:
                self.tally.nats += nats
                self.tally.tokens += int(tokens)
            else:
                self.skipped_steps += 1
        return self.tally

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # `training_step` does, in its own way

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        tally = self.read()
        state = None if self.state is None else tuple(part.cpu() for part in self.state)
        own = {"state": state, "generators": distributed.generators(self.device)}
        checkpoint["lstmusic"] = {
            "ranks": distributed.gathered(own),
            "window_index": self.window_index,
            "position": list(self.position),
            "skipped_steps": self.skipped_steps,
            "elapsed_s": self.elapsed_s,
            "tally": asdict(tally),
            "averaging": self.averaging.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint["lstmusic"]
        if len(saved["ranks"]) != distributed.world_size():
            raise CheckpointError(
                f"resume: {distributed.world_size()} processes, expected {len(saved['ranks'])} as the run began "
                "(trainer.devices times trainer.num_nodes)"
            )
        own = saved["ranks"][distributed.rank()]
        self.state, self._generators = own["state"], own["generators"]
        self.window_index, self.position = saved["window_index"], tuple(saved["position"])
        self.skipped_steps, self.elapsed_s = saved["skipped_steps"], saved["elapsed_s"]
        self._spent_s = self.elapsed_s
        self.tally = Tally(**saved["tally"])
        self.averaging.load_state_dict(saved["averaging"])


def _on_device(window: Any, device: torch.device) -> Any:
    """A window on a device; where pieces begin stays on the CPU, since that decides how the model cuts the window."""
    moved = {name: field.to(device, non_blocking=True) for name, field in window._asdict().items() if name != "reset"}
    return window._replace(**moved)
