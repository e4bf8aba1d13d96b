"""table=long_lag: over how many steps each cell learns to remember, and at what cost.

The tasks of `lag_tasks` at lags of 10 to 1,000 steps. Every cell has about as many weights, the same batches, Adam and
clip, and the same processor time for a lag; it is done when it has solved the task. Where a cell has failed it is not asked
for longer lags. Layers that read their state stand alone; those whose gates read the inputs alone come in twos, since one
of them has no way to tell the first letter from the second.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from lstmusic.benchmarks.lag_tasks import TASKS, Task
from lstmusic.models import cells
from lstmusic.models.cells.torch_cells import Lstm
from lstmusic.models.stack import RecurrentStack

PACKAGES = ("lstmusic", "torch")
LAGS = (10, 30, 100, 300, 1000)
WEIGHTS = 20_000  # of each model, within a tenth
BATCH = 32
MAX_GRAD_NORM = 1.0
CHECKED = 20  # steps over which the loss is averaged
MINUTES = 2.0
LEAST_SHARE = 0.2  # of the time that a short lag has
CHRONO = "chrono"


class Contender(NamedTuple):
    """A kind of model: its cell, how many layers of it, the learning rate, and how its biases begin."""

    cell: str
    layers: int = 1
    learning_rate: float = 0.01
    init: str | None = None

    @property
    def name(self) -> str:
        """As shown."""
        return self.cell + (f" × {self.layers}" if self.layers > 1 else "") + (f", {self.init}" if self.init else "")


CONTENDERS = (
    Contender("rnn", learning_rate=0.002),  # at 0.01 neither of these two holds
    Contender("rnn_relu", learning_rate=0.002),
    Contender("lstm"),
    Contender("lstm", init=CHRONO),
    Contender("gru"),
    Contender("lstm_ln"),
    Contender("slstm"),
    Contender("mingru", layers=2),
    Contender("minlstm", layers=2),
)


class Model(nn.Module):
    """Recurrent layers and a linear map of what they say at each step: float [B, T, I] -> [B, T, O]."""

    def __init__(self, contender: Contender, task: Task, hidden_size: int) -> None:
        super().__init__()
        self.layers = RecurrentStack(contender.cell, task.input_size, hidden_size, contender.layers)
        self.output = nn.Linear(hidden_size, task.output_size)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden, _ = self.layers(inputs, torch.zeros(inputs.shape[:2], dtype=torch.bool))
        return self.output(hidden)


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    minutes: float = MINUTES,
    seeds: int = 1,
    lags: tuple[int, ...] = LAGS,
    contenders: tuple[Contender, ...] = CONTENDERS,
) -> Iterator[dict[str, Any]]:
    """Train every contender on every task, from the shortest lag to the first that it fails at; on one thread.

    Args:
        note: told what is being trained.
        minutes: of processor time at the longest lag; a shorter one has less, in proportion to the root of the lag, but a
            fifth at least.
        seeds: how many trainings of each kind.

    Yields:
        A row for each training: `task`, `name`, `lag`, `seed`, `weights`, `solved`, `steps` and `seconds` until it was
        solved or the time was over, `ms_per_step`, `loss` (the mean of the last steps) and `of_baseline`, its share of the
        least loss without memory.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for task_name in TASKS:
            for contender in contenders:
                for seed in range(seeds):
                    for lag in lags:
                        note(f"{task_name}, lag {lag}: {contender.name}")
                        limit_s = 60 * minutes * max(LEAST_SHARE, (lag / max(lags)) ** 0.5)
                        row = train(task_name, contender, lag, seed=seed, limit_s=limit_s)
                        yield row
                        if not row["solved"]:
                            break
    finally:
        torch.set_num_threads(threads)


def train(task_name: str, contender: Contender, lag: int, *, seed: int, limit_s: float) -> dict[str, Any]:
    """One training; see `rows`."""
    task, generator = TASKS[task_name], torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = build(contender, task, lag)
    optimizer = torch.optim.Adam(model.parameters(), lr=contender.learning_rate)
    losses: deque[float] = deque(maxlen=CHECKED)
    steps, solved, started = 0, False, time.process_time()
    while not solved and time.process_time() - started < limit_s:
        inputs, targets = task.draw(BATCH, lag, generator)
        loss = task.loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
        optimizer.step()
        losses.append(loss.item())
        steps += 1
        solved = len(losses) == CHECKED and statistics.mean(losses) < task.solved
    seconds = time.process_time() - started
    loss_now = statistics.mean(losses)
    return {
        "task": task_name,
        "name": contender.name,
        "lag": lag,
        "seed": seed,
        "weights": count(model),
        "solved": solved,
        "steps": steps,
        "seconds": seconds,
        "ms_per_step": 1000 * seconds / steps,
        "loss": loss_now,
        "of_baseline": loss_now / task.baseline,
    }


def build(contender: Contender, task: Task, lag: int, weights: int = WEIGHTS) -> Model:
    """A model with about as many weights, as its contender wants it to begin."""
    model = Model(contender, task, matched_size(contender, task, weights))
    if contender.init == CHRONO:
        chrono(cast(Lstm, model.layers[0]), lag)
    return model


def matched_size(contender: Contender, task: Task, weights: int) -> int:
    """The hidden size with which the number of weights comes nearest to a given one."""

    def total(hidden: int) -> int:
        inputs = [task.input_size] + [hidden] * (contender.layers - 1)
        layers = sum(cells.parameter_count(contender.cell, size, hidden) for size in inputs)
        return layers + task.output_size * (hidden + 1)

    return min(range(1, weights), key=lambda hidden: abs(total(hidden) - weights))


def chrono(layer: Lstm, longest: int) -> None:
    """Let the units of an LSTM begin with time constants of 1 to `longest` steps, evenly drawn.

    b_f = log(u), u uniform in 1..longest - 1, and b_i = -b_f. Source: Tallec and Ollivier (2018), section 2.
    """
    size = layer.hidden_size
    with torch.no_grad():
        forget = torch.empty(size).uniform_(1, max(longest - 1, 1)).log()
        layer.bias_ih_l0[:size], layer.bias_ih_l0[size : 2 * size] = -forget, forget
        layer.bias_hh_l0[: 2 * size] = 0


def count(model: nn.Module) -> int:
    """How many weights a model learns."""
    return sum(p.numel() for p in model.parameters())


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each contender and task: in the column of a lag the steps and seconds until it was solved, or the share of
    the loss without memory that was left; nothing where a shorter lag was failed."""
    lags = sorted({row["lag"] for row in rows})
    table = []
    for task, name in dict.fromkeys((row["task"], row["name"]) for row in rows):
        own = [row for row in rows if (row["task"], row["name"]) == (task, name)]
        columns = {f"lag {lag}": _words([row for row in own if row["lag"] == lag]) for lag in lags}
        cost = {"µs_per_time_step": _cost(own, task)}
        table.append({"name": f"{task}: {name}", **columns, **cost})
    return table


def _words(trainings: list[dict[str, Any]]) -> str:
    """What became of the trainings of one kind: the median of those that solved the task, or the least that was left."""
    solved = [row for row in trainings if row["solved"]]
    if solved:
        steps, seconds = (statistics.median(row[key] for row in solved) for key in ("steps", "seconds"))
        share = f" ({len(solved)}/{len(trainings)})" if len(trainings) > 1 else ""
        return f"{steps:,.0f} in {seconds:.0f} s{share}"
    return f"no: {100 * min(row['of_baseline'] for row in trainings):.0f} %" if trainings else ""


def _cost(trainings: list[dict[str, Any]], task: str) -> float:
    """Microseconds of training per step of a batch's sequences, at the longest lag that was tried."""
    longest = max(trainings, key=lambda row: row["lag"])
    length = TASKS[task].draw(1, longest["lag"], torch.Generator())[0].shape[1]
    return 1000 * longest["ms_per_step"] / length
