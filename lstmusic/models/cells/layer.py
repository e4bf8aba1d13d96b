"""What every recurrent layer promises: a window at once, one step, what its gates say, and how many weights it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from lstmusic.models.dropout import DrawsMasks, weight_drop

LayerState = tuple[Tensor, ...]
"""What one layer carries, each [B, H]: (h, c) for an LSTM, (h,) for a GRU; the first part is the output."""


class Layer(DrawsMasks, nn.Module, ABC):
    """Base of the recurrent layers. A state of zeros is that of a layer that has read nothing.

    Attributes:
        input_size: I.
        hidden_size: H.
        num_parts: how many tensors [B, H] it carries.
        has_recurrent_matrix: whether a matrix reads the state, so that weight-drop has something to drop.
        weight_drop: the share of that matrix's entries that `window_weights` drops while training.
    """

    input_size: int
    hidden_size: int
    num_parts: ClassVar[int] = 1
    has_recurrent_matrix: ClassVar[bool] = True
    weight_drop: float = 0.0

    @classmethod
    @abstractmethod
    def parameter_count(cls, input_size: int, hidden_size: int) -> int:
        """How many numbers the layer learns."""

    @abstractmethod
    def window_weights(self) -> tuple[Tensor, ...]:
        """The weights for one window; while training, the recurrent matrix with other entries dropped at each call."""

    @abstractmethod
    def forward(
        self, inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, LayerState]:
        """Run over a window.

        Args:
            inputs: float [B, T, I].
            state: each [B, H].
            weights: what `window_weights` handed out, so that several calls of one window share a mask; None draws anew.

        Returns:
            The outputs [B, T, H] and the state after the last step.
        """

    def step(self, inputs: Tensor, state: LayerState) -> LayerState:
        """One step without weight-drop, equal to `forward` over a window of one.

        Args:
            inputs: float [B, I].
            state: each [B, H].

        Returns:
            The new state; its first part is the output [B, H].
        """
        return self.combine(self.gates(inputs, state), state)

    @abstractmethod
    def gates(self, inputs: Tensor, state: LayerState) -> dict[str, Tensor]:
        """What each gate says at one step, each [B, H]; arguments as for `step`."""

    @abstractmethod
    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """The state that follows from what the gates say."""

    def _drop(self, recurrent: Tensor) -> Tensor:
        return weight_drop(recurrent, self.weight_drop, self.generator) if self.training else recurrent
