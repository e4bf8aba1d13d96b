"""A model that has learned ten chorales by heart, on purpose: for the table that shows that it is found out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from lstmusic.corpus.lanes import Lanes
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events.codec import Codec
from lstmusic.models.model import Model
from lstmusic.music_model import MusicModel
from lstmusic.training.checkpoint import ModelFolder, build_model

SIZES = {"cell": "lstm", "embedding_size": 64, "hidden_size": 256, "num_layers": 1}
NO_DROPOUT = {"input_dropout": 0.0, "dropout": 0.0, "head_dropout": 0.0}
EPOCHS = 100  # a minute or two of one core; then 0.008 nats per token are left
WINDOW_STEPS = 64
LEARNING_RATE = 8e-3  # at the top of the one-cycle schedule
MAX_GRAD_NORM = 1.0


def overfitted(
    codec: Codec,
    pieces: Sequence[np.ndarray],
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    note: Callable[[str], None] = lambda words: None,
) -> MusicModel:
    """A small model that was trained on nothing but these pieces, without dropout and without transposing them.

    Args:
        pieces: ids of each.
        note: told how far it is.
    """
    lanes = Lanes(
        read=lambda k: pieces[k],
        steps=np.array([len(ids) // codec.group_size - 1 for ids in pieces]),
        codec=codec,
        num_lanes=len(pieces),
        window_steps=WINDOW_STEPS,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(codec, SIZES | NO_DROPOUT)
        _train(model, lanes, epochs, note)
    return MusicModel(ModelFolder(model.eval(), codec, None), name="overfitted")


def _train(model: Model, lanes: Lanes, epochs: int, note: Callable[[str], None]) -> None:
    windows = [to_window(lanes.window(0, k)) for k in range(lanes.num_windows(0))]
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=epochs * len(windows))
    model.train()
    for epoch in range(epochs):
        note(f"learning by heart, {epoch} of {epochs} epochs")
        state = None
        for window in windows:
            nats, state = model(window, state)
            optimizer.zero_grad()
            ((nats * window.weight).sum() / window.weight.sum()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
            optimizer.step()
            schedule.step()
            state = tuple(part.detach() for part in state)
