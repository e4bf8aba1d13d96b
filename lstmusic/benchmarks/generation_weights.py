"""Rows of `table=generation`: what float16 and int8 cost in nats.

A model writes `SONGS` songs itself at temperature 1, with float32 weights and without loop control; then every form of its
weights is told these ids one by one and asked for their nats under the grammar's mask. Since the songs are drawn from the
float32 model, the nats that another form needs more estimate the Kullback-Leibler divergence of the two: what rounding
costs on music as the model knows it. Weights that were stored in float16 lose nothing when they are held so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from lstmusic.benchmarks.song_writing import length
from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.errors import ConfigError
from lstmusic.evaluation.likelihood import piece_nats, to_window
from lstmusic.events.codec import Codec
from lstmusic.models.model import Model
from lstmusic.music_model import MusicModel
from lstmusic.sampling import stepper
from lstmusic.sampling.products import WEIGHTS
from lstmusic.sampling.settings import Repetition
from lstmusic.sampling.songs import BLOCK

SONGS, BARS, SEED = 32, 8, 0


def rows(model: MusicModel, device: torch.device, note: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The model by window, then the stepper with each form of weights: `nats_per_token`, and `nats_more` than by window."""
    codec = model.codec
    note(f"{model.name}: {SONGS} songs to measure nats on")
    how: dict[str, Any] = {"cadence": False, "repetition": Repetition(break_loops=False), **length(codec, BARS)}
    written = model.generate(SONGS, seed=SEED, **how)
    pieces = [song.ids for song in written]
    scored = np.concatenate([codec.scored(ids)[codec.group_size :] for ids in pieces])
    words = f"model {model.name}, {SONGS} songs of its own, {scored.sum():,} ids that count"
    by_window = float(np.concatenate([piece_nats(model.model, codec, ids) for ids in pieces])[scored].mean())
    yield {"name": "nats by window", "weights": "float32", "nats_per_token": by_window, "words": words}
    on_device = model.model.to(device)
    for weights in WEIGHTS:
        note(f"{model.name}: nats with weights of {weights}")
        about = {"name": "nats by stepper", "batch": BLOCK, "weights": weights}
        try:
            nats = float(np.concatenate(stepper_nats(on_device, codec, pieces, weights))[scored].mean())
        except ConfigError as error:  # this machine or this model has no such weights
            yield about | {"words": f"model {model.name}: {error}"}
            continue
        yield about | {"nats_per_token": nats, "nats_more": nats - by_window, "words": words}


def stepper_nats(model: Model, codec: Codec, pieces: list[np.ndarray], weights: str) -> list[np.ndarray]:
    """Nats of each id of each piece after its BOS group, float64 [N - G]: `likelihood.piece_nats` with the stepper.

    Args:
        model: on any device.
        pieces: legal ids int [N] each; blocks of BLOCK are read side by side, as they are written.
        weights: what the matrices are held in.

    Raises:
        ConfigError: the machine or the model has no such weights.
    """
    one = stepper.build(model, BLOCK, weights)
    found: list[np.ndarray] = []
    for first in range(0, len(pieces), BLOCK):
        block = [piece_arrays(codec, ids) for ids in pieces[first : first + BLOCK]]
        one.load(model.initial_state(1))
        nats = _block_nats(one, _side_by_side(block))
        found += [row[: len(piece.targets)].ravel() for row, piece in zip(nats, block, strict=False)]
    return found


def _side_by_side(block: list[Arrays]) -> Arrays:
    """Up to BLOCK pieces as one window; short ones go on with their last step, and rows left over repeat the first."""
    steps = np.arange(max(len(piece.targets) for piece in block))
    block = block + block[:1] * (BLOCK - len(block))
    padded = [[field[np.minimum(steps, len(piece.targets) - 1)] for field in piece] for piece in block]
    return Arrays(*(np.stack(fields) for fields in zip(*padded, strict=True)))


@torch.inference_mode()
def _block_nats(one: stepper.Stepper | stepper.FrameStepper, arrays: Arrays) -> np.ndarray:
    """Nats of every target, float64 [BLOCK, T, G]."""
    window = to_window(arrays, one.device)
    nats = np.zeros(window.targets.shape)
    for t in range(nats.shape[1]):
        targets, columns, flags = window.targets[:, t], window.columns[:, t], window.flags[:, t]
        one.read(window.previous[:, t], columns[:, 0], flags[:, 0])
        for member in range(nats.shape[2]):
            logits = one.logits(targets[:, :member], columns[:, member], flags[:, member]).double().cpu()
            logits.masked_fill_(~window.allowed[:, t, member].cpu(), -torch.inf)
            given = targets[:, member, None].cpu()
            nats[:, t, member] = -torch.log_softmax(logits, dim=-1).gather(1, given)[:, 0].numpy()
    return nats
