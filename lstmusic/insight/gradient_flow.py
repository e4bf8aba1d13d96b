"""How far back the gradient reaches, and what the clip makes of it.

What a model can learn about the past comes through the derivative of a step's loss by the state that stood k steps before:
a product of k Jacobians. Where their singular values lie below 1 it vanishes, above 1 it explodes (Bengio, Simard and
Frasconi 1994; Pascanu, Mikolov and Bengio 2013, section 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lstmusic.insight.windows import between, num_steps, states_before
from lstmusic.models.language_model import Window
from lstmusic.models.model import Model
from lstmusic.models.stack import State

Step = Callable[[int, State], tuple[Tensor, State]]
"""One step of some recurrence: its number and the state before it; the loss of each lane [B] and the state after it."""

SMALLEST = 1e-45  # of float32; a gradient of 0 has no logarithm


@dataclass(frozen=True)
class Reach:
    """Norms of the derivative of N losses by the state that stood k steps before, k = 1..K.

    Attributes:
        parts: float64 [N, K, L, P], of each layer and each part of its state (h, and c of an LSTM) apart.
    """

    parts: np.ndarray

    @property
    def norms(self) -> np.ndarray:
        """Of the whole state, all layers and parts together, float64 [N, K]."""
        return np.sqrt((self.parts**2).sum(axis=(2, 3)))

    @property
    def mean(self) -> np.ndarray:
        """The mean over the losses, float64 [K]: what a few steep moments can dominate."""
        return self.norms.mean(axis=0)

    @property
    def geometric_mean(self) -> np.ndarray:
        """The geometric mean over the losses, float64 [K]: the usual moment. Losses that depend on nothing are left out."""
        norms = self.norms[self.norms[:, 0] > 0]
        return np.exp(np.log(np.maximum(norms, SMALLEST)).mean(axis=0)) if len(norms) else np.zeros(norms.shape[1])


def half_life(norms: np.ndarray) -> float:
    """Steps in which norms [K] halve, by a straight line through their logarithms at all lags; negative where they grow.

    Where the curve bends (fast at first, slow later) that is a mean pace, and not the pace at any one lag.
    """
    reached = np.flatnonzero(norms > 100 * SMALLEST)
    if len(reached) < 2:
        return 0.0
    slope = np.polyfit(reached + 1, np.log2(norms[reached]), 1)[0]
    return float(-1 / slope) if slope else float("inf")


def state_gradients(step: Step, state: State, steps: int) -> Reach:
    """Run a recurrence and differentiate its last loss by the state before each step.

    Args:
        step: of the recurrence; lanes must not know of each other.
        state: before the first step, each part [L, B, H].
        steps: K.

    Returns:
        Norms for each of the B lanes, the nearest state (before the last step, k = 1) first.
    """
    state = tuple(part.detach().requires_grad_() for part in state)
    states = []
    with torch.enable_grad():
        for number in range(steps):
            states.append(state)
            loss, state = step(number, state)
        parts = [k for k, part in enumerate(state) if part.requires_grad]  # not a mere scale, as sLSTM's m is
        flat = [before[k] for before in reversed(states) for k in parts]
        gradients = torch.autograd.grad(loss.sum(), flat, materialize_grads=True)
    norms = torch.stack([gradient.double().norm(dim=-1) for gradient in gradients])  # [K * P, L, B]
    found = np.zeros((norms.shape[2], steps, norms.shape[1], len(state)))
    found[..., parts] = norms.unflatten(0, (steps, -1)).permute(3, 0, 2, 1).numpy()
    return Reach(found)


def reach(model: Model, window: Window, state: State) -> Reach:
    """The reach of the gradient of each lane's last step, through a window [B, K] from the state before it.

    Of the stack's state: the frames that echoes keep beside it come from ids, through which no gradient passes. The model
    should be in evaluation mode.
    """
    own = len(model.layers.initial_state(1))
    memory = state[own:]

    def step(number: int, state: State) -> tuple[Tensor, State]:
        nonlocal memory
        here = between(window, number, number + 1)
        nats, after = model(here, (*state, *memory))
        memory = after[own:]
        return (nats * here.weight).sum(dim=(1, 2)), after[:own]

    return state_gradients(step, state[:own], num_steps(window))


def piece_reach(model: Model, piece: Window, *, lags: int, losses: int) -> Reach:
    """The reach along a piece [1, T]: of so many losses, spread evenly, each `lags` steps back or, in a short piece, fewer.

    Raises:
        ValueError: the piece has fewer than three steps.
    """
    length = num_steps(piece)
    if length < 3:
        raise ValueError(f"{length} steps: expected at least 3")
    lags = min(lags, length - 2)  # the state before the piece's first step is reset: nothing passes it
    starts = np.unique(np.linspace(1, length - lags, losses).astype(int)).tolist()
    rows = torch.tensor(starts)[:, None] + torch.arange(lags)
    lanes = Window(*(field[0][rows] for field in piece))
    return reach(model, lanes, states_before(model, piece, starts))


def window_norms(model: Model, lanes: Window, bptt_length: int) -> np.ndarray:
    """The norm of the whole gradient of each window of lanes [B, T], float64 [windows], as training measures it.

    The loss is the mean over the window's counted targets; the state is carried from window to window, detached. Nothing
    is clipped, and `.grad` of the model stays as it was.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    state: State = model.initial_state(lanes.targets.shape[0])
    norms = []
    for start in range(0, num_steps(lanes), bptt_length):
        here = between(lanes, start, start + bptt_length)
        with torch.enable_grad():
            nats, state = model(here, state)
            loss = (nats * here.weight).sum() / here.weight.sum().clamp(min=1)
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        norms.append(float(torch.nn.utils.get_total_norm([g for g in gradients if g is not None])))
        state = tuple(part.detach() for part in state)
    return np.array(norms)
