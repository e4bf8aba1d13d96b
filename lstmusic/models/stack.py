"""RecurrentStack: recurrent layers one above the other over a window, their state fresh wherever a piece begins."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from lstmusic.errors import StateShapeError
from lstmusic.models import cells
from lstmusic.models.dropout import DrawsMasks, checked_rate, locked_dropout

State = tuple[Tensor, ...]
"""The carried state: (h, c) for LSTM, (h,) for a GRU, each float [L, B, H].

A model may carry more behind the stack's parts: a `FrameModel` with echoes their memory, float [C, B, K + 1].
"""


class RecurrentStack(DrawsMasks, nn.ModuleList):
    """The layers, from the second on residual: x + layer(dropout(x)). Weights are named by the number of their layer.

    Args:
        cell: one of `cells.CELLS`.
        input_size: I, of the first layer.
        hidden_size: H, of every layer's output.
        num_layers: L.
        input_dropout: rate of the locked dropout on what the first layer reads.
        dropout: rate of the locked dropout between layers and on the outputs.
        weight_drop: the share of the recurrent matrices' entries dropped in each training window.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        weight_drop: float = 0.0,
    ) -> None:
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        super().__init__(cells.build(cell, size, hidden_size, weight_drop=weight_drop) for size in sizes)
        self.hidden_size = hidden_size
        self.input_dropout, self.dropout = checked_rate(input_dropout), checked_rate(dropout)

    def _layers(self) -> list[cells.Layer]:
        return cast("list[cells.Layer]", list(self))

    def initial_state(self, lanes: int) -> State:
        """Zeros for this many lanes."""
        weight = next(self.parameters())
        return tuple(weight.new_zeros(len(self), lanes, self.hidden_size) for _ in range(self._layers()[0].num_parts))

    def forward(self, inputs: Tensor, reset: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a window.

        Args:
            inputs: float [B, T, I].
            reset: bool [B, T], True where a piece begins; on the CPU even of a GPU's window, no step waits for the GPU.
            state: what the window before left, each [L, B, H]; zeros if None.

        Returns:
            The outputs [B, T, H], and the state after the last step, still attached.

        Raises:
            StateShapeError: the state was made for another number of lanes or another stack.
        """
        state = self.initial_state(inputs.shape[0]) if state is None else state
        self._check(state, inputs.shape[0])
        spans = _spans(reset)
        after: list[cells.LayerState] = []
        x = inputs
        for index, layer in enumerate(self._layers()):
            dropped = self._drop(x, self.dropout if index else self.input_dropout)
            y, last = _run_layer(layer, dropped, reset, spans, tuple(part[index] for part in state))
            x = x + y if index else y
            after.append(last)
        return self._drop(x, self.dropout), _stacked(after)

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """One step without dropout, equal to `forward` over a window of one: inputs [B, I] -> [B, H], new state."""
        x = inputs
        after: list[cells.LayerState] = []
        for index, layer in enumerate(self._layers()):
            new = layer.step(x, tuple(part[index] for part in state))
            x = x + new[0] if index else new[0]
            after.append(new)
        return x, _stacked(after)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        return locked_dropout(x, rate, self.generator) if self.training else x

    def _check(self, state: State, lanes: int) -> None:
        expected = [(len(self), lanes, self.hidden_size)] * self._layers()[0].num_parts
        found = [tuple(part.shape) for part in state]
        if found != expected:
            raise StateShapeError(f"state {found}: expected {expected}, each (layers, lanes, hidden_size)")


def _run_layer(
    layer: cells.Layer, x: Tensor, reset: Tensor, spans: list[tuple[int, int]], state: cells.LayerState
) -> tuple[Tensor, cells.LayerState]:
    """A layer over a window, its state zeroed per lane wherever a piece begins (only at the start of a span)."""
    outputs = []
    weights = layer.window_weights()
    for start, stop in spans:
        keep = (~reset[:, start]).to(x.device, x.dtype, non_blocking=True).unsqueeze(-1)
        y, state = layer(x[:, start:stop], tuple(part * keep for part in state), weights)
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


def _spans(reset: Tensor) -> list[tuple[int, int]]:
    """Cut a window wherever any lane begins a piece: (start, stop) of each stretch without a reset inside."""
    cuts = [0, *(reset[:, 1:].any(dim=0).nonzero().flatten() + 1).tolist(), reset.shape[1]]
    return list(pairwise(cuts))


def _stacked(states: list[cells.LayerState]) -> State:
    return tuple(torch.stack(parts) for parts in zip(*states, strict=True))
