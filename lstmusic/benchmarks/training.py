"""table=training: how many tokens per second are trained on, and what share of the machine's arithmetic that is.

Three GRU layers of 512, windows of 200 steps, 64 lanes, events of the `performance` encoding. Contenders take turns on the
same tokens, so that a slower minute of the machine hits all of them; the first step of each turn is not counted. Ours is
the real thing: the module, the Trainer and the thread that makes windows, with everything on, and then without one part
after the other. Pieces are made up: how fast a step is hardly depends on what it says.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from lstmusic.benchmarks import arithmetic
from lstmusic.benchmarks.bare_models import BareModel, BareTraining
from lstmusic.benchmarks.own_training import NOTHING, PARTS, OwnTraining, Workload, made_up_workload
from lstmusic.training.products import fast_products

PACKAGES = ("lstmusic", "torch", "lightning", "numpy")
TURNS = 3
STEPS = 2  # of a turn that are counted
AS_OURS = ", products as ours"
COLUMNS = (
    *("name", "cell", "hidden", "dtype", "ms_per_step", "tokens_per_second", "times_loop", "times_bare"),
    *("times_bare_same_products", "mflop_per_token", "gflop_per_second", "of_matmul"),
)
WORTH_IT = 1.5  # bf16 is measured where its products are so many times as fast as those of float32
DTYPE_NAMES = {torch.float32: "float32", torch.bfloat16: "bf16"}


class Sizes(NamedTuple):
    """What is trained: L layers of H units, windows of T steps, B lanes."""

    layers: int = 3
    hidden: int = 512
    steps: int = 200
    lanes: int = 64


@dataclass
class Contender:
    """One row.

    Attributes:
        turn: takes some steps, the first of which is not counted, and says how many seconds the others took.
        flops: per token.
        as_ours: whether float32 products on a CPU are done as `training.products` has them done.
        seconds: per step, one entry for each turn.
    """

    name: str
    cell: str
    sizes: Sizes
    dtype: torch.dtype
    turn: Callable[[int], float]
    flops: int
    as_ours: bool = False
    seconds: list[float] = field(default_factory=list)


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    sizes: Sizes | None = None,
    turns: int = TURNS,
    steps: int = STEPS,
) -> Iterator[dict[str, Any]]:
    """Train with every contender in turns.

    Args:
        note: told what is being measured.
        sizes: 3 layers of 512, and on a GPU also 3 of 1024, unless given.

    Yields:
        A row for each contender: `name`, `cell`, `hidden`, `dtype`, `ms_per_step`, `tokens_per_second`, `times_loop` and
        `times_bare` (tokens per second beside the loop over steps and beside the bare model of the same cell and dtype, as
        torch comes, the median of turns), `times_bare_same_products` (beside that bare model with products done as the
        row's own are: like for like), `mflop_per_token`, `gflop_per_second`, and `of_matmul`, the share of the rate of
        large matrix products with the same dtype and as many threads. Those products come first: as torch does them, and as
        `training.products` has them done.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    note("matrix products")
    plain = arithmetic.matmul_rate(device, torch.float32)
    with fast_products(nn.Linear(512, 512), device):
        rates = {dtype: arithmetic.matmul_rate(device, dtype) for dtype in DTYPE_NAMES}
    yield _product_row("one large product", torch.float32, plain, rates)
    for dtype, rate in rates.items():
        yield _product_row(f"one large product{AS_OURS}", dtype, rate, rates)
    dtypes = [torch.float32]
    if rates[torch.bfloat16] > WORTH_IT * rates[torch.float32]:
        dtypes.append(torch.bfloat16)
    for own in [sizes] if sizes else [Sizes()] if device.type == "cpu" else [Sizes(), Sizes(hidden=1024)]:
        everyone = contenders(own, dtypes, device)
        for number in range(turns):
            for contender in everyone:
                note(f"turn {number + 1} of {turns}: {contender.name}")
                contender.seconds.append(contender.turn(1 + steps) / steps)
        for contender in everyone:
            yield _row(contender, everyone, rates[contender.dtype])


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the screen shows: all of it."""
    return rows


def contenders(sizes: Sizes, dtypes: list[torch.dtype], device: torch.device) -> list[Contender]:
    """Everyone who takes part, those that are compared one after the other."""
    work = made_up_workload(lanes=sizes.lanes, window_steps=sizes.steps)
    everyone = [_bare("gru", sizes, torch.float32, device, work, loop=True)]
    if device.type == "cpu":
        everyone.append(_bare("gru", sizes, torch.float32, device, work, loop=True, as_ours=True))
    for dtype in dtypes:
        for cell in ("gru", "lstm"):
            if device.type == "cpu" and dtype == torch.float32:
                everyone.append(_bare(cell, sizes, dtype, device, work, as_ours=True))
            everyone += [_bare(cell, sizes, dtype, device, work), _own(cell, sizes, dtype, device, work)]
    dtype = torch.float32 if device.type == "cpu" else dtypes[-1]
    parts = [{part} for part in PARTS] + [set(PARTS)]
    return everyone + [_own("gru", sizes, dtype, device, work, without=frozenset(part)) for part in parts]


def _bare(
    cell: str,
    sizes: Sizes,
    dtype: torch.dtype,
    device: torch.device,
    work: Workload,
    *,
    loop: bool = False,
    as_ours: bool = False,
) -> Contender:
    model = BareModel(cell, work.num_ids, sizes.hidden, sizes.layers, loop=loop)
    training = BareTraining(model, device, dtype)
    windows = [(w.previous[..., 0].to(device), w.targets[..., 0].to(device)) for _, w in work.windows()]

    def turn(steps: int) -> float:
        started = 0.0
        with fast_products(model, device) if as_ours else nullcontext():
            for step in range(steps):
                training.step(*windows[step % len(windows)])
                if step == 0:
                    arithmetic.wait_for(device)
                    started = time.perf_counter()
            arithmetic.wait_for(device)
        return time.perf_counter() - started

    name = f"nn.{cell.upper()}, " + ("one call per step" if loop else "nothing else") + (AS_OURS if as_ours else "")
    return Contender(name, cell, sizes, dtype, turn, arithmetic.bare_flops(model), as_ours)


def _own(
    cell: str,
    sizes: Sizes,
    dtype: torch.dtype,
    device: torch.device,
    work: Workload,
    *,
    without: frozenset[str] = NOTHING,
) -> Contender:
    training = OwnTraining(cell, sizes.hidden, sizes.layers, work, device, dtype, without=without)
    words = [PARTS[part] for part in without] if len(without) == 1 else ["any of these"]
    name = f"lstmusic without {words[0]}" if without else "lstmusic with everything"
    return Contender(name, cell, sizes, dtype, training.turn, training.flops, as_ours=True)


def _product_row(name: str, dtype: torch.dtype, rate: float, rates: dict[torch.dtype, float]) -> dict[str, Any]:
    measured = {
        "name": name,
        "dtype": DTYPE_NAMES[dtype],
        "gflop_per_second": rate / 1e9,
        "of_matmul": rate / rates[dtype],
    }
    return dict.fromkeys(COLUMNS) | measured


def _row(own: Contender, everyone: list[Contender], matmul_rate: float) -> dict[str, Any]:
    seconds = statistics.median(own.seconds)
    rate = own.sizes.lanes * own.sizes.steps / seconds
    same = {c.name: c for c in everyone if (c.cell, c.dtype) == (own.cell, own.dtype)}
    bare_name = f"nn.{own.cell.upper()}, nothing else"
    loop, bare = same.get(f"nn.{own.cell.upper()}, one call per step"), same[bare_name]
    same_products = same.get(bare_name + AS_OURS, bare) if own.as_ours else bare  # only in float32 on a CPU they differ
    values = (
        *(own.name, own.cell, own.sizes.hidden, DTYPE_NAMES[own.dtype], 1000 * seconds, rate),
        *(None if loop is None else _ratio(loop, own), _ratio(bare, own), _ratio(same_products, own)),
        *(own.flops / 1e6, own.flops * rate / 1e9, own.flops * rate / matmul_rate),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _ratio(slow: Contender, own: Contender) -> float:
    """How many times as fast one is as another: the median of their turns, each beside the other's."""
    return statistics.median(other / mine for other, mine in zip(slow.seconds, own.seconds, strict=True))
