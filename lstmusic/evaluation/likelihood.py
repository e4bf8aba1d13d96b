"""Nats of held-out music: summed over counted ids, divided once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lstmusic.corpus.lanes import Arrays, Lanes, piece_arrays
from lstmusic.events.codec import Codec
from lstmusic.models.language_model import Window
from lstmusic.models.model import Model


@dataclass
class Nats:
    """Sums over a split; the ratios are taken once, at the end.

    Attributes:
        nats: of the scored ids (music), tokens: how many there are.
        other_nats: of headers and endings, which are predicted too but do not count as music.
    """

    nats: float = 0.0
    tokens: int = 0
    other_nats: float = 0.0

    @property
    def per_token(self) -> float:
        """Nats per scored id."""
        return self.nats / max(self.tokens, 1)


def to_window(arrays: Arrays, device: torch.device | str = "cpu") -> Window:
    """NumPy arrays of a window as tensors on a device; the feature columns become int64."""
    tensors = (torch.from_numpy(np.ascontiguousarray(f)) for f in arrays)
    window = Window(*(t.to(device, non_blocking=True) for t in tensors))
    return window._replace(columns=window.columns.long())


@torch.no_grad()
def split_nats(model: Model, lanes: Lanes, device: torch.device | str = "cpu") -> Nats:
    """Nats of every piece of a split, each from its first id to its last, the state carried along its whole length.

    The model is put into evaluation mode for the time being; lanes must have no augmentation.
    """
    total, state = Nats(), None
    was_training = model.training
    model.eval()
    for step in range(lanes.num_windows(0)):
        window = to_window(lanes.window(0, step), device)
        nats, state = model(window, state)
        nats, scored = nats.cpu().double(), window.scored.cpu()  # not every device knows float64
        total.nats += float(nats[scored].sum())
        total.tokens += int(scored.sum())
        total.other_nats += float((nats * window.weight.cpu())[~scored].sum())
    model.train(was_training)
    return total


@torch.no_grad()
def nats_per_piece(model: Model, lanes: Lanes) -> np.ndarray:
    """Nats per token of each piece of a split, float64 [pieces]: as `split_nats` counts them, piece by piece.

    The model is in evaluation mode; lanes must have no augmentation.
    """
    nats, scored, state = [], [], None
    for step in range(lanes.num_windows(0)):
        arrays = lanes.window(0, step)
        window_nats, state = model(to_window(arrays), state)
        nats.append(window_nats.double().numpy())
        scored.append(arrays.scored)
    all_nats, counted = np.concatenate(nats, axis=1), np.concatenate(scored, axis=1)  # [B, steps, G]
    rates = np.zeros(len(lanes.steps))
    for lane, pieces in enumerate(lanes.plan(0)):
        for item in pieces:
            here = (lane, slice(item.start, item.start + item.steps))
            rates[item.piece] = all_nats[here][counted[here]].sum() / max(counted[here].sum(), 1)
    return rates


@torch.no_grad()
def piece_nats(model: Model, codec: Codec, ids: np.ndarray) -> np.ndarray:
    """Nats of each id of one piece, float64 [N - G]: everything after its BOS group."""
    arrays = piece_arrays(codec, ids)
    window = to_window(Arrays(*(f[None] for f in arrays)))
    nats, _ = model.eval()(window)
    return nats.double().flatten().numpy()
