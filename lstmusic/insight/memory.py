"""How much of the past the model uses: nats by the place in the piece, and by how long ago the state was last reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from lstmusic.insight.windows import between, num_steps, stacked
from lstmusic.models.language_model import Window
from lstmusic.models.model import Model

STEPS_AT_ONCE = 8192  # of all lanes together: a step's logits take some thousand numbers


@dataclass(frozen=True)
class ByPosition:
    """Nats at each place in each of P pieces.

    Attributes:
        nats: float64 [P, T], of the scored ids at each step since the piece began.
        tokens: int64 [P, T], how many those are; 0 where a piece has ended.
    """

    nats: np.ndarray
    tokens: np.ndarray

    def binned(self, edges: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """From each edge to the next: nats per token, its standard error over pieces, and how many pieces, [edges - 1].

        Not a number where nothing is scored; the error is that of a ratio of sums.
        """
        columns = []
        for first, last in pairwise(edges):
            nats, tokens = self.nats[:, first:last].sum(axis=1), self.tokens[:, first:last].sum(axis=1)
            going = tokens > 0
            pieces, total = int(going.sum()), max(int(tokens.sum()), 1)
            mean = nats.sum() / total
            squares = ((nats - mean * tokens)[going] ** 2).sum() * pieces / max(pieces - 1, 1)
            columns.append((mean, np.sqrt(squares) / total, pieces) if pieces else (np.nan, np.nan, 0))
        means, errors, counts = np.array(columns).T
        return means, errors, counts.astype(np.int64)


@dataclass(frozen=True)
class ByMemory:
    """Nats of the same steps, the state reset ever longer before them.

    Attributes:
        lags: int64 [K]: the model has read so many steps, the scored one included, when it is asked.
        nats: float64 [K, N], per scored id, of N steps.
        reached: bool [K, N]: the piece has so many steps before this one; else the model has read it from its beginning.
    """

    lags: np.ndarray
    nats: np.ndarray
    reached: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Nats per token by lag, float64 [K]; the steps weigh alike."""
        return self.nats.mean(axis=1)

    @property
    def gain(self) -> tuple[np.ndarray, np.ndarray]:
        """What the longest memory gains over each lag, nats per token, and its standard error, float64 [K] each."""
        gains = self.nats - self.nats[-1]
        return gains.mean(axis=1), gains.std(axis=1, ddof=1) / np.sqrt(gains.shape[1])


@torch.no_grad()
def nats_by_position(model: Model, pieces: Sequence[Window]) -> ByPosition:
    """Nats of whole pieces, each one lane [1, T_i], by the number of steps since the piece began.

    The model should be in evaluation mode.
    """
    longest = max(num_steps(piece) for piece in pieces)
    nats, tokens = np.zeros((len(pieces), longest)), np.zeros((len(pieces), longest), np.int64)
    lanes = max(1, STEPS_AT_ONCE // longest)
    for first in range(0, len(pieces), lanes):
        window = stacked(pieces[first : first + lanes])
        found, _ = model(window)
        here = slice(first, first + lanes), slice(0, num_steps(window))
        nats[here] = (found.double() * window.scored).sum(dim=2).numpy()
        tokens[here] = window.scored.sum(dim=2).numpy()
    return ByPosition(nats, tokens)


def spread_targets(pieces: Sequence[Window], count: int, first: int = 1) -> list[tuple[int, int]]:
    """Steps to ask about, as (piece, step): at most `count`, evenly spread over the scored steps from `first` on."""
    steps = [
        (number, step)
        for number, piece in enumerate(pieces)
        for step in piece.scored[0].any(dim=-1).nonzero().flatten().tolist()
        if step >= first
    ]
    count = min(count, len(steps))
    return [steps[(2 * k + 1) * len(steps) // (2 * count)] for k in range(count)]


@torch.no_grad()
def nats_by_memory(
    model: Model, pieces: Sequence[Window], targets: Sequence[tuple[int, int]], lags: Sequence[int]
) -> ByMemory:
    """Nats of steps when the model has read only the last k steps up to each, from a zero state.

    Args:
        pieces: each one lane [1, T_i].
        targets: (piece, step) each.
        lags: k, rising; 1 is the step alone, which still sees the ids before it and the grammar's features.
    """
    nats = np.zeros((len(lags), len(targets)))
    reached = np.array([[step + 1 >= lag for _, step in targets] for lag in lags])
    for row, lag in enumerate(lags):
        missing = np.ones(len(targets), bool)
        if row:  # what has read its piece from the beginning has nothing more to read
            missing = np.array([step + 1 > lags[row - 1] for _, step in targets])
            nats[row] = nats[row - 1]
        chosen, side_by_side = np.flatnonzero(missing), max(1, STEPS_AT_ONCE // lag)
        for first in range(0, len(chosen), side_by_side):
            lanes = chosen[first : first + side_by_side]
            nats[row, lanes] = _last_nats(model, [_until(pieces, targets[lane], lag) for lane in lanes.tolist()])
    return ByMemory(np.array(lags), nats, reached)


def _until(pieces: Sequence[Window], target: tuple[int, int], lag: int) -> Window:
    """The last `lag` steps of a piece up to a target, or as many as there are, as a piece of its own."""
    piece, step = target
    return between(pieces[piece], max(step + 1 - lag, 0), step + 1)


def _last_nats(model: Model, windows: Sequence[Window]) -> np.ndarray:
    """Nats per scored id of the last step of each window [1, T_i], read from a zero state, float64 [B]."""
    lengths = torch.tensor([num_steps(window) for window in windows])
    window = stacked(windows)
    found, _ = model(window)
    lanes = torch.arange(len(windows))
    scored = window.scored[lanes, lengths - 1]
    last = found[lanes, lengths - 1].double()
    return ((last * scored).sum(dim=-1) / scored.sum(dim=-1).clamp(min=1)).numpy()
