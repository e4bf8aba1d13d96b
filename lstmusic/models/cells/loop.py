"""The layers that torch has no kernel for: what reads the inputs is one matmul for the window, then one step after another.

Of three ways to make the loop itself faster none paid on a CPU (16 lanes, 64 steps, 512 units; docs/cells.md): the small
matmuls with the recurrent matrix are nearly all of the time.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.cells.layer import Layer, LayerState


class LoopLayer(Layer):
    """k gates from `weight_ih` [kH, I], `weight_hh` [kH, H] and `bias` [kH], each a block of rows; drawn as torch does."""

    num_gates: ClassVar[int]

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = self.num_gates * hidden_size
        self.weight_ih = self._uniform(rows, input_size)
        self.weight_hh = self._uniform(rows, hidden_size)
        self.bias = self._uniform(rows)

    def _uniform(self, *shape: int) -> nn.Parameter:
        bound = self.hidden_size**-0.5
        return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    @classmethod
    def parameter_count(cls, input_size: int, hidden_size: int) -> int:
        """k H (I + H + 1): two matrices and a bias for each of k gates."""
        return cls.num_gates * hidden_size * (input_size + hidden_size + 1)

    def project(self, inputs: Tensor) -> Tensor:
        """What the inputs alone give to the gates: [..., I] -> [..., kH]."""
        return functional.linear(inputs, self.weight_ih, self.bias)

    def recurrent(self) -> tuple[Tensor, ...]:
        """The matrices that read the state."""
        return (self.weight_hh,)

    @abstractmethod
    def read(self, from_input: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """What the gates say.

        Args:
            from_input: one step of `project`, [B, kH].
            state: each [B, H].
            weights: `recurrent` or `window_weights`.
        """

    def window_weights(self) -> tuple[Tensor, ...]:
        """The matrices that read the state, with entries dropped while training."""
        return tuple(self._drop(matrix) for matrix in self.recurrent())

    def forward(
        self, inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, LayerState]:
        """See `Layer.forward`."""
        weights = self.window_weights() if weights is None else weights
        outputs = []
        for from_input in self.project(inputs).unbind(1):
            state = self.combine(self.read(from_input, state, weights), state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), state

    def step(self, inputs: Tensor, state: LayerState) -> LayerState:
        """See `Layer.step`."""
        return self.combine(self.read(self.project(inputs), state, self.recurrent()), state)

    def gates(self, inputs: Tensor, state: LayerState) -> dict[str, Tensor]:
        """See `Layer.gates`."""
        return self.read(self.project(inputs), state, self.recurrent())
