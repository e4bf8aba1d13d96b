"""What a training leaves to look at: its curves, and the model's card."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lstmusic.corpus.store import Corpus


def draw_curves(folder: Path) -> None:
    """Draw metrics.csv of a run as curves.png: nats of both splits, gradient norm, learning rate."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    nats, norm, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
    nats.plot(columns["step"], columns["train_nats_per_token"], label="train, with dropout")
    nats.plot(columns["step"], columns["valid_nats_per_token"], label="valid, averaged weights")
    nats.set_ylabel("nats per token")
    nats.legend()
    norm.plot(columns["step"], columns["grad_norm"])
    norm.set_ylabel("largest\ngradient norm")
    norm.set_yscale("log")
    rate.plot(columns["step"], columns["learning_rate"])
    rate.set_ylabel("learning rate")
    rate.set_xlabel("step")
    for axes in (nats, norm, rate):
        axes.grid(alpha=0.3)
    figure.savefig(folder / "curves.png", dpi=110)


def write_card(facts: dict[str, Any], corpus: Corpus, overrides: list[str]) -> str:
    """The model's card in Markdown: data, split, command, time, figures beside baselines, limits."""
    data, results = facts["data"], facts["results"]
    pieces = ", ".join(f"{count} {name}" for name, count in facts["pieces"].items())
    own = (
        "the data set's own"
        if all(piece.own_split for piece in corpus.pieces)
        else f"seeded ({facts['seed']}), by piece"
    )
    skipped = len(corpus.manifest["skipped"])
    command = " ".join(["lstmusic train", *(o for o in overrides if not o.startswith("hydra."))])
    lines = [
        f"# A model of {data['name']}",
        "",
        f"- Data: {data['name']}, encoding `{corpus.codec.name}`; {skipped} files skipped. {data['citation']}".rstrip(),
        f"- Licence of the data: {data['licence']}",
        f"- Split: {pieces} pieces; {own}; copies of a piece in other keys stay on one side (`split.json`).",
        f"- Made with: `{command}`",
    ]
    if "baselines" in results:
        lines += [
            f"- Time: {results['minutes']:.1f} minutes on {results['device']}, best at step {results['step']}.",
            "",
            f"| {results['split']} split | nats per token |",
            "|---|---|",
            f"| this model | {results['nll_per_token']:.4f} |",
            *(f"| {name} | {value:.4f} |" for name, value in sorted(results["baselines"].items(), key=lambda x: x[1])),
            "",
            f"{results['verdict']} Per note: {results['nll_per_note']:.3f} nats.",
        ]
        if "test_nll_per_token" in results:
            lines.append(
                f"Test split, by which nothing was chosen: {results['test_nll_per_token']:.4f} nats per token."
            )
    else:
        lines.append(
            f"- So far {results['valid_nats_per_token']:.4f} nats per held-out token, at step {results['step']}."
        )
    lines += [
        "",
        "Limits: it knows only music like its data; beyond some bars it keeps the style but not a plan; it can repeat",
        "phrases of its training pieces. Loading it runs no code.",
    ]
    return "\n".join(lines) + "\n"
