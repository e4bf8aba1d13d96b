"""The recurrent layers of a model laid out for one step after another; each carries its own state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.cells.layer import Layer, LayerState
from lstmusic.models.cells.lstm_variants import LstmMogrifier
from lstmusic.models.cells.torch_cells import Lstm
from lstmusic.sampling.products import LaidOut, product


class StepLayer(ABC):
    """One layer.

    Attributes:
        parts: its state, each [rows, H], in buffers that stay where they are.
    """

    parts: LayerState

    @abstractmethod
    def run(self, x: Tensor) -> Tensor:
        """One step: float [rows, I], or for a first layer what `from_input` makes of it -> the output [rows, H]."""


def step_layer(layer: Layer, rows: int, weights: str, *, first: bool) -> StepLayer:
    """A layer; a first one is given what `from_input` makes of its input."""
    return (
        FusedLstm(layer, rows, weights, first=first)
        if isinstance(layer, Lstm)
        else OwnStep(layer, rows, weights, first=first)
    )


def from_input(layer: Layer, tables: Tensor) -> Tensor:
    """What a first layer is given: its input matrix times each row that its inputs are sums of, [N, I] -> [N, kH].

    The product of a sum is the sum of the products, so the step itself is left without one. A Mogrifier changes its input
    before the matrix reads it and takes it as it is.
    """
    if isinstance(layer, LstmMogrifier):
        return tables
    if isinstance(layer, Lstm):
        return functional.linear(tables, _sigmoids_first(layer.weight_ih_l0))
    return functional.linear(tables, cast("Tensor", getattr(layer, _input_name(layer))))


def _input_name(layer: Layer) -> str:
    return "weight_ih_l0" if isinstance(layer, nn.RNNBase) else "weight_ih"


def _sigmoids_first(rows: Tensor) -> Tensor:
    """The row blocks of gates i, f, g, o as i, f, o, g, so that one call squashes three of them."""
    i, f, g, o = rows.chunk(4)
    return torch.cat([i, f, o, g])


class FusedLstm(StepLayer):
    """An LSTM layer: one product reads the input and the state, from one buffer, and the rest happens in place."""

    def __init__(self, layer: Lstm, rows: int, weights: str, *, first: bool) -> None:
        self.size, bias = layer.hidden_size, _sigmoids_first(layer.bias_ih_l0 + layer.bias_hh_l0)
        matrices = [layer.weight_hh_l0] if first else [layer.weight_ih_l0, layer.weight_hh_l0]
        matrix = torch.cat([_sigmoids_first(part) for part in matrices], dim=1)
        self.product = product(matrix, bias, rows, weights)
        self.read = matrix.new_zeros(rows, matrix.shape[1])  # x and h, or h alone
        self.x = None if first else self.read[:, : layer.input_size]
        self.h, self.c = self.read[:, -self.size :], matrix.new_zeros(rows, self.size)
        self.parts = (self.h, self.c)

    def run(self, x: Tensor) -> Tensor:
        """See `StepLayer.run`."""
        if self.x is None:
            gates = self.product(self.read).add_(x)
        else:
            self.x.copy_(x)
            gates = self.product(self.read)
        i, f, o = gates[:, : 3 * self.size].sigmoid_().chunk(3, dim=1)
        self.c.mul_(f).addcmul_(i, gates[:, 3 * self.size :].tanh_())
        return torch.tanh(self.c, out=self.h).mul_(o)


class OwnStep(StepLayer):
    """Any layer by its own `step`, its matrices laid out."""

    def __init__(self, layer: Layer, rows: int, weights: str, *, first: bool) -> None:
        self.layer = _with_matrices_laid_out(layer, rows, weights)
        if first and not isinstance(layer, LstmMogrifier):
            vars(self.layer)[_input_name(layer)] = Applied()
        like = next(layer.parameters())
        self.parts = tuple(like.new_zeros(rows, layer.hidden_size) for _ in range(layer.num_parts))

    def run(self, x: Tensor) -> Tensor:
        """See `StepLayer.run`."""
        for part, new in zip(self.parts, self.layer.step(x, self.parts), strict=True):
            part.copy_(new)
        return self.parts[0]


class Applied(LaidOut):
    """Stands for an input matrix that has been applied already: `functional.linear` with it adds the bias."""

    def __init__(self) -> None:
        """Nothing is laid out."""

    def linear(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """X + b."""
        return x if bias is None else x + bias


def _with_matrices_laid_out(layer: Layer, rows: int, weights: str) -> Layer:
    """The same layer, none of its weights copied, with a `LaidOut` in the place of each matrix that reads x or h."""
    twin = object.__new__(type(layer))
    vars(twin).update(vars(layer))
    for name, weight in layer.named_parameters(recurse=False):
        if name.startswith("weight_"):
            vars(twin)[name] = LaidOut(weight.detach(), rows, weights)  # found before the parameter of this name
    if isinstance(layer, LstmMogrifier):
        vars(twin)["rounds"] = [LaidOut(matrix.detach(), rows, weights) for matrix in layer.rounds]
    return twin
