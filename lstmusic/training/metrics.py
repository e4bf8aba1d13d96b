"""The figures of a run that is under way: a row of metrics.csv for each validation, and the line that says how it goes."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from lstmusic.files import whole
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
SHOW_EVERY_S = 1.0  # each time the host waits for the device


def row_of(module: TrainingModule, valid: float, learning_rate: float, seconds: float) -> dict[str, float]:
    """The row of a validation, by `COLUMNS`.

    Args:
        valid: nats per token.
        seconds: since the row before.
    """
    tally = module.tally
    rate = tally.tokens / max(seconds, 1e-9)
    values = (
        module.window_index, module.position[0], module.elapsed_s, tally.per_token, valid,
        learning_rate, tally.grad_norm, rate, module.skipped_steps,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def write_row(folder: Path, row: dict[str, float]) -> None:
    """Add a row to metrics.csv."""
    path = folder / "metrics.csv"
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def keep_rows_until(folder: Path, step: int) -> None:
    """Drop rows that a killed run wrote after the checkpoint that this one goes on from, and what it wrote by half."""
    path = folder / "metrics.csv"
    if not path.exists():
        return
    text = path.read_text()
    lines = text[: text.rfind("\n") + 1]
    rows = [row for row in csv.DictReader(io.StringIO(lines, newline="")) if int(row["step"]) <= step]
    if not rows:
        path.unlink()
        return
    with whole(path) as beside, open(beside, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


class Bar:
    """How a training goes, on a terminal as a bar; elsewhere as one line for each validation."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("training"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[words]}"), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("training", total=1.0, words="")
        self._shown_s = 0.0

    def start(self, progress: float) -> None:
        """Show it, at a progress of 0..1."""
        self._progress.start()
        self._progress.update(self._task, completed=min(progress, 1.0))

    def stop(self) -> None:
        """Leave it as it is."""
        self._progress.stop()

    def show(self, module: TrainingModule, since_s: float) -> None:
        """Say how the steps since the last validation, at second `since_s`, went; now and then."""
        now = time.monotonic()
        if self._progress.disable or now - self._shown_s < SHOW_EVERY_S:
            return
        self._shown_s, tally = now, module.read()
        rate = tally.tokens / max(module.elapsed_s - since_s, 1e-9)
        words = f"{tally.per_token:.3f} nats per token  {rate:.0f} tokens/s  {_left(module)}"
        self._progress.update(self._task, completed=min(module.progress, 1.0), words=words)

    def tell(self, module: TrainingModule, row: dict[str, float]) -> None:
        """Print the line of a validation."""
        self._progress.console.print(
            f"{100 * min(module.progress, 1):5.1f} %  step {row['step']:.0f}  epoch {row['epoch']:.0f}  "
            f"train {row['train_nats_per_token']:.3f}  valid {row['valid_nats_per_token']:.3f} nats per token  "
            f"{row['tokens_per_second']:.0f} tokens/s  {_left(module)}"
        )


def _left(module: TrainingModule) -> str:
    """Time left, from the share of the budget that is spent."""
    if module.progress <= 0:
        return ""
    seconds = module.elapsed_s * max(0.0, 1 / module.progress - 1)
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"
