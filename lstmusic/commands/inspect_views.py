"""The views of `lstmusic inspect`: each measures one thing, draws it and returns its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmusic.commands.inspect_piece import Piece, piece_window
from lstmusic.corpus.store import Corpus
from lstmusic.evaluation.likelihood import piece_nats
from lstmusic.evaluation.surprise import Surprise
from lstmusic.evaluation.surprise import surprise as laid_upon
from lstmusic.insight import gradient_flow, windows
from lstmusic.insight import memory as memory_measures
from lstmusic.listening import curves, figures, palette
from lstmusic.listening.page import PageSong, write_page
from lstmusic.models.model import Model
from lstmusic.music_model import MusicModel
from lstmusic.score import Score, midi
from lstmusic.training import checkpoint

STARTLING = 12  # notes in the report
LAGS, LOSSES = 128, 16  # of the gradient's reach
COMPARED = ("rnn", "gru", "lstm")
HELD_OUT, HELD_OUT_STEPS = 40, 1024  # pieces at most, and of each its beginning
MEMORY_LAGS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
MEMORY_TARGETS = 400
POSITION_BIN = 16  # steps
MIN_GOING = 0.25  # of the pieces, where nats by position are drawn


def surprise(model: MusicModel, piece: Piece, folder: Path) -> tuple[dict[str, Any], Surprise]:
    """surprise.png: how surprising each note and each bar was; the report, and all of it for the page."""
    nats = piece_nats(model.model, model.codec, piece.ids)
    found = laid_upon(model.codec, piece.ids, nats, piece.score)
    title = f"How surprising {piece.title} is to the model"
    figures.draw_surprise(folder / "surprise.png", piece.timeline, found.note_nats, found.bar_nats, title=title)
    scored = model.codec.scored(piece.ids)[model.codec.group_size :]
    report = {
        "nats_per_token": round(float(nats[scored].mean()), 4),
        "bars": [round(value, 3) if np.isfinite(value) else None for value in found.bar_nats.tolist()],
        "notes": _startling(piece.score, found),
    }
    return report, found


def _startling(score: Score, found: Surprise) -> list[dict[str, Any]]:
    """The notes that surprised most."""
    if found.note_nats is None:
        return []
    names, lines, rows = palette.track_names(score), score.bar_ticks(), []
    for k in np.argsort(-np.nan_to_num(found.note_nats))[:STARTLING].tolist():
        note = score.notes[k]
        bar = int(np.searchsorted(lines, note["onset_tick"], side="right")) - 1 + score.first_bar
        pitch = palette.pitch_name(note["pitch"])
        row = {"bar": bar, "voice": names[note["track"]], "pitch": pitch, "nats": round(float(found.note_nats[k]), 3)}
        rows.append(row)
    return rows


def gradient_reach(model: MusicModel, others: Sequence[MusicModel], piece: Piece, folder: Path) -> dict[str, Any]:
    """gradient_reach.png: of the model and others as trained, and of their like untrained, beside the plain cells."""
    trainer = model.folder.facts.get("trainer", {})
    max_grad_norm, bptt_length = trainer.get("max_grad_norm", 1.0), trainer.get("bptt_length", 64)
    drawn, rows = [], []
    for name, network, trained, family in _networks(model, others):
        reach = gradient_flow.piece_reach(network, piece.window, lags=LAGS, losses=LOSSES)
        norms = gradient_flow.window_norms(network, piece.window, bptt_length)
        drawn.append(curves.ReachCurve(name, trained, family, reach.geometric_mean, reach.mean, norms))
        rows.append(_reach_row(name, reach, norms, max_grad_norm))
    title = f"How far back the gradient of a step's loss reaches, {LOSSES} steps along {piece.name}"
    curves.draw_reach(folder / "gradient_reach.png", drawn, max_grad_norm=max_grad_norm, title=title)
    return {"max_grad_norm": max_grad_norm, "bptt_length": bptt_length, "models": rows}


def _networks(model: MusicModel, others: Sequence[MusicModel]) -> list[tuple[str, Model, bool, int]]:
    """What is compared: name, network, whether it is trained, and the number of its family (cell)."""
    cells = list(dict.fromkeys([m.folder.sizes["cell"] for m in (model, *others)] + list(COMPARED)))
    networks = []
    for one in (model, *others):
        cell = one.folder.sizes["cell"]
        networks.append((f"{cell}, trained ({Path(one.name).name})", one.model, True, cells.index(cell)))
    for cell in cells:
        sizes = next((m.folder.sizes for m in (model, *others) if m.folder.sizes["cell"] == cell), model.folder.sizes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            fresh = checkpoint.build_model(model.codec, {**sizes, "cell": cell}).eval()
        networks.append((f"{cell}, untrained", fresh, False, cells.index(cell)))
    return networks


def _reach_row(name: str, reach: gradient_flow.Reach, norms: np.ndarray, max_grad_norm: float) -> dict[str, Any]:
    usual = reach.geometric_mean
    marks = [lag for lag in (1, 4, 16, 64, LAGS) if lag <= len(usual)]
    return {
        "name": name,
        "norm_by_lag": {str(lag): float(f"{usual[lag - 1]:.4g}") for lag in marks},
        "mean_norm_by_lag": {str(lag): float(f"{reach.mean[lag - 1]:.4g}") for lag in marks},
        "half_life_steps": round(gradient_flow.half_life(usual), 3),
        "half_life_fit": f"a straight line through the logarithms at lags 1 to {len(usual)}",
        "window_norms": [float(f"{norm:.4g}") for norm in norms],
        "windows_clipped": int((norms > max_grad_norm).sum()),
    }


def in_words(row: dict[str, Any]) -> str:
    """A row of the gradient's reach as a phrase."""
    by_lag, half = list(row["norm_by_lag"].items()), row["half_life_steps"]
    (near, first), (far, last) = by_lag[0], by_lag[-1]
    pace = f"halves every {half:.2g} steps" if half > 0 else f"doubles every {-half:.2g} steps"
    return f"norm {first:.2g} at {near} step, {last:.2g} at {far} steps (by a straight line through all lags {pace})"


def memory(model: MusicModel, corpus: Corpus, split: str, folder: Path) -> dict[str, Any]:
    """memory.png: nats by the place in the piece, and by how long ago the state was reset, over held-out pieces."""
    chosen = corpus.indices(split)
    chosen = chosen[:: -(-len(chosen) // HELD_OUT)]
    pieces = [windows.between(piece_window(corpus.codec, corpus.ids(k)), 0, HELD_OUT_STEPS) for k in chosen]
    by_position = memory_measures.nats_by_position(model.model, pieces)
    longest = by_position.nats.shape[1]
    edges = np.append(np.arange(0, longest, POSITION_BIN), longest)
    place, spread, going = by_position.binned(edges.tolist())
    kept = max(int((going >= MIN_GOING * len(pieces)).sum()), 1)  # pieces end, so that they grow fewer
    lags = [lag for lag in MEMORY_LAGS if lag < 2 * longest]
    targets = memory_measures.spread_targets(pieces, MEMORY_TARGETS)
    by_memory = memory_measures.nats_by_memory(model.model, pieces, targets, lags)
    gain, error = by_memory.gain
    curves.draw_memory(
        folder / "memory.png",
        edges=edges[: kept + 1],
        by_position=(place[:kept], spread[:kept]),
        lags=by_memory.lags,
        by_memory=by_memory.mean,
        error=error,
        title=f"How much of the past the model uses: {len(pieces)} {split} pieces, {len(targets)} steps of them",
    )
    return {
        "split": split,
        "pieces": len(pieces),
        "by_position": _table(from_step=edges[:-1], nats_per_token=place, standard_error=spread, pieces=going),
        "by_memory": _table(
            steps=by_memory.lags,
            nats_per_token=by_memory.mean,
            above_the_longest=gain,
            standard_error=error,
            share_reached=by_memory.reached.mean(axis=1),
        ),
    }


def _table(**columns: np.ndarray) -> list[dict[str, Any]]:
    """Columns of figures as rows of a report; rows without a number are left out."""
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    rounded = ([round(value, 4) for value in row] for row in rows if np.isfinite(row).all())
    return [dict(zip(columns, row, strict=True)) for row in rounded]


def memory_in_words(found: dict[str, Any]) -> str:
    """The view of memory as a phrase: from where on more memory gains less than a hundredth of a nat."""
    rows = found["by_memory"]
    enough = next(row["steps"] for row in rows if row["above_the_longest"] < 0.01)
    first, last = rows[0]["nats_per_token"], rows[-1]["nats_per_token"]
    return f"memory: {first:.3f} nats per token from one step alone, {last:.3f} from all, nearly so from {enough}"


def page(model: MusicModel, piece: Piece, results: dict[str, Any], told: Surprise, folder: Path) -> Path:
    """index.html: the piece with its surprise, playable offline, and every picture below it."""
    midi.write(piece.score, folder / "piece.mid")
    facts = {"nats per token": f"{results['surprise']['nats_per_token']:.3f}", "notes": str(len(piece.score.notes))}
    words = {
        "surprise.png": "How surprising each note and bar is",
        "gates.png": "The gates along the piece, units sorted by how long they remember",
        "time_constants.png": "How long the units remember",
        "gradient_reach.png": "How far back the gradient reaches, and what the clip does",
        "memory.png": "Nats by the place in the piece, and by memory, over held-out pieces",
    }
    pictures = {text: name for name, text in words.items() if (folder / name).is_file()}
    song = PageSong(piece.name, piece.score, {"mid": "piece.mid"}, facts, *told, pictures)
    settings = {"checkpoint": model.name, "piece": f"{piece.name}, {piece.source}"}
    return write_page(folder, [song], title=f"What {Path(model.name).name} does with {piece.name}", settings=settings)
