"""The view of the gates of `lstmusic inspect`: pictures, a table of every unit, and what opens them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstmusic.commands.inspect_piece import Piece
from lstmusic.files import whole
from lstmusic.insight import gates as gate_measures
from lstmusic.insight.gates import LayerTrace, MomentRow, Opening
from lstmusic.listening import curves, figures
from lstmusic.music_model import MusicModel
from lstmusic.score.moments import moments

NOW = ("bar line", "other beat")  # what a step knows of itself; of notes it has read those of the step before


def view(model: MusicModel, piece: Piece, folder: Path) -> dict[str, Any]:
    """gates.png, time_constants.png and gates.csv: what each gate does along a piece, and when."""
    traces = gate_measures.trace(model.model, piece.window)
    scored = piece.window.scored[0].any(dim=-1).numpy()
    found = moments(piece.score, piece.ticks, metrical=not piece.codec.in_seconds)
    heard = {
        name if name in NOW else f"after: {name}": (where if name in NOW else np.r_[False, where[:-1]]) & scored
        for name, where in found.items()
    }
    rows = gate_measures.openings(traces, heard, np.random.default_rng(0))
    heats = [heat for number, trace in enumerate(traces, 1) for heat in _heats(number, trace)]
    title = f"What the gates do along {piece.title}, units sorted by how long they remember"
    unit = "remembers, steps\n(time constant)"
    figures.draw_heats(folder / "gates.png", piece.timeline, heats, title=title, unit=unit)
    constants = [trace.time_constants for trace in traces]
    if np.isfinite(np.concatenate(constants)).any():
        bar = None if piece.codec.in_seconds else float(np.median(np.diff(piece.timeline.at(piece.score.bar_ticks()))))
        title = f"How long the units remember, by their gates along {piece.title}"
        curves.draw_time_constants(folder / "time_constants.png", constants, steps_per_bar=bar, title=title)
    _write_gates(folder / "gates.csv", traces, rows)
    return {
        "layers": [_layer_row(number, model, trace) for number, trace in enumerate(traces, 1)],
        "moments": {name: int(where.sum()) for name, where in heard.items()},
        "by_moment": [_moment_row(row) for row in gate_measures.by_moment(rows)],
    }


def _heats(number: int, trace: LayerTrace) -> list[figures.Heat]:
    """The pictures of a layer: its gates, and what it remembers (the cell, or the state where there is none)."""
    order = trace.order
    scale = trace.time_constants[order]
    memory = "cell" if "cell" in trace.contents else "state"
    pictures = [figures.Heat(f"layer {number}: {name} gate", v[:, order], scale) for name, v in trace.gates.items()]
    return [*pictures, figures.Heat(f"layer {number}: {memory}", trace.contents[memory][:, order], scale, signed=True)]


def _layer_row(number: int, model: MusicModel, trace: LayerTrace) -> dict[str, Any]:
    constants = trace.time_constants
    known = np.isfinite(constants).any()
    return {
        "layer": number,
        "cell": model.folder.sizes.get("cell", trace.cell),
        "mean_gates": {name: round(float(values.mean()), 4) for name, values in trace.gates.items()},
        "median_time_constant": round(float(np.median(constants)), 3) if known else None,
        "longest_tenth": round(float(np.quantile(constants, 0.9)), 3) if known else None,
        "longest": round(float(constants[np.isfinite(constants)].max()), 3) if known else None,
    }


def in_words(layer: dict[str, Any]) -> str:
    """What a layer's gates say of its memory, as a phrase."""
    name, half, tenth = f"layer {layer['layer']}", layer["median_time_constant"], layer["longest_tenth"]
    if half is None:
        return f"{name}: {layer['cell']} has no gate that decides what is kept, so no time constants"
    return f"{name}: half of the units forget all but 1/e within {half:.2g} steps, a tenth takes over {tenth:.2g}"


def _moment_row(row: MomentRow) -> dict[str, Any]:
    """A row of the report: layers count from 1, and the strongest unit is told in short."""
    best = {name: value for name, value in row.strongest._asdict().items() if name not in ("layer", "gate", "moment")}
    return {**_rounded(row._asdict()), "layer": row.layer + 1, "strongest": _rounded(best)}


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def _write_gates(path: Path, traces: Sequence[LayerTrace], rows: Sequence[Opening]) -> None:
    """A line for each unit: how long it remembers, its mean gates, and the moment that moves one of them most."""
    strongest: dict[tuple[int, int], Opening] = {}
    for row in sorted(rows, key=lambda row: abs(row.effect)):
        strongest[row.layer, row.unit] = row
    names = sorted({name for trace in traces for name in trace.gates})
    header = ["layer", "unit", "time_constant_steps", *(f"mean_{name}" for name in names)]
    header += [
        "strongest_gate",
        "strongest_moment",
        "mean_there",
        "mean_elsewhere",
        "effect_size",
        "chance_effect_size",
    ]
    with whole(path) as beside, open(beside, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number, trace in enumerate(traces):
            for unit, constant in enumerate(trace.time_constants.tolist()):
                means = [f"{trace.gates[name][:, unit].mean():.4f}" if name in trace.gates else "" for name in names]
                best = strongest.get((number, unit))
                told_of = (best.gate, best.moment, *(f"{value:.4f}" for value in best[4:])) if best else [""] * 6
                writer.writerow([number + 1, unit, f"{constant:.4g}", *means, *told_of])
