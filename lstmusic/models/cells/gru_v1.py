"""The gated recurrent unit as the papers of 2014 write it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lstmusic.models.cells.layer import LayerState
from lstmusic.models.cells.loop import LoopLayer


class GruV1(LoopLayer):
    """r, z = sigmoid(W x + U h + b); n = tanh(W x + U (r h) + b); h' = (1 - z) h + z n.

    Source: Chung et al. (2014), section 3.2. Two things differ from what torch and cuDNN compute: the reset gate multiplies
    the state before the linear map (Cho et al. 2014, equation 8, does so too), and an update gate of 1 replaces the state
    (in Cho et al. 2014, equation 7, as in torch, it keeps it).
    """

    num_gates = 3  # rows: reset, update, candidate

    def recurrent(self) -> tuple[Tensor, ...]:
        """The rows of both gates [2H, H], which read the state, and the candidate's [H, H], which reads what r leaves."""
        return self.weight_hh.split([2 * self.hidden_size, self.hidden_size])

    def read(self, from_input: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """reset and update gate (an update of 1 replaces the state) and the candidate."""
        both_in, candidate_in = from_input.split([2 * self.hidden_size, self.hidden_size], dim=-1)
        reset, update = torch.sigmoid(both_in + functional.linear(state[0], weights[0])).chunk(2, dim=-1)
        candidate = torch.tanh(candidate_in + functional.linear(reset * state[0], weights[1]))
        return {"reset": reset, "update": update, "candidate": candidate}

    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """(h,)."""
        return (state[0] + gates["update"] * (gates["candidate"] - state[0]),)
