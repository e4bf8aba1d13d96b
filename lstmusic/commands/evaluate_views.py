"""How `lstmusic evaluate` shows what it measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from lstmusic.commands.evaluate_songs import OTHERS, SETS
from lstmusic.evaluation.comparison import MIN_HELD_OUT

NOTHING = "-"


def show_nats(results: dict[str, Any], console: Console) -> None:
    """Print the nats as a table."""
    table = Table(
        title=f"{results['data']}, {results['split']}: {results['pieces']} pieces, {results['tokens']:,} tokens"
    )
    table.add_column("")
    table.add_column("nats per token", justify="right")
    table.add_row("this model", f"{results['nll_per_token']:.4f}", style="bold")
    for name, value in sorted(results["baselines"].items(), key=lambda item: item[1]):
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    per = {name: results[f"nll_per_{name}"] for name in ("note", "onset", "step", "second")}
    console.print("nats per " + ", ".join(f"{name} {value:.3f}" for name, value in per.items() if np.isfinite(value)))
    console.print(results["verdict"])


def show_songs(found: dict[str, Any], console: Console) -> None:
    """Print what was found of songs: a row for each statistic, then what a classifier tells and what is shared."""
    pieces, names = found["pieces"], _names(found)
    of_what = "all that the model was not trained on" if found["own_split"] else "other data than the model's own"
    table = Table(
        title=f"{pieces['model']} songs, {pieces['markov']} of a Markov chain and {pieces['real']} {names['real']} beside "
        f"{pieces['held_out']} held-out pieces\n(of {of_what}: valid and test together)",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("statistic")
    table.add_column("held-out\nmean±sd", justify="right", no_wrap=True)
    for name in OTHERS:
        style = "bold" if name == "model" else None
        table.add_column(f"{names[name]}\nmean  OA  KL", justify="right", no_wrap=True, style=style)
    for row in found["statistics"]:
        if row["held_out"]["pieces"]:
            own = f"{_number(row['held_out']['mean'])}±{_number(row['held_out']['sd'])}"
            table.add_row(row["words"], own, *(_cell(row[name]) for name in OTHERS))
    console.print(table)
    console.print(
        "OA: overlapping area of the distances within held-out pieces and to them, 1 is best; KL: divergence, 0 is best",
        highlight=False,
    )
    if any(0 < row["held_out"]["pieces"] < MIN_HELD_OUT for row in found["statistics"]):
        words = f"{NOTHING}: fewer than {MIN_HELD_OUT} held-out pieces that a statistic applies to"
        console.print(words, highlight=False)
    _show_whole(found, console)


def _names(found: dict[str, Any]) -> dict[str, str]:
    """What to call each set: of data that is not the model's own, no piece is one of its training."""
    return SETS if found["own_split"] else SETS | {"real": "other pieces"}


def _show_whole(found: dict[str, Any], console: Console) -> None:
    """Print what is said of whole songs."""
    shared = found["shared_with_training"]
    names = _names(found)
    table = Table(title="whole pieces", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("told from held-out ones:\nAUC, 0.5 is not at all", justify="right", no_wrap=True)
    if shared:
        table.add_column("bars shared with a piece of\ntraining: median, 95 %, most", justify="right", no_wrap=True)
    for name in SETS:
        told = found["two_sample"].get(name)
        own = (shared or {}).get(name)
        auc = NOTHING if told is None or told["value"] is None else _auc(**told)
        bars = ", ".join(f"{own[f'bars_{which}']:.1f}" for which in ("median", "95", "most")) if own else NOTHING
        table.add_row(names[name], auc, *([bars] if shared else []), style="bold" if name == "model" else None)
    console.print(table)
    if not shared:
        console.print("the model has no index of its training pieces: what songs share with them is not known")


def _auc(value: float, low: float, high: float) -> str:
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _cell(figures: dict[str, Any]) -> str:
    return f"{_number(figures['mean'])} {_number(figures['overlap'], 2):>3} {_number(figures['kl'], 2):>3}"


def _number(value: float | None, decimals: int = 3) -> str:
    """A number in as many digits, .969 or 2.97 or 61.4: a row must fit a line; nothing for what is not known."""
    if value is None:
        return NOTHING
    fewer = sum(abs(value) >= border for border in (1, 10, 100))
    return f"{value:.{max(decimals - fewer, 0)}f}".removeprefix("0")
