"""Relatives of the LSTM that torch has no kernel for: layer normalisation, peepholes, Mogrifier gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.cells.layer import LayerState
from lstmusic.models.cells.loop import LoopLayer

RECURRENT_GAIN = 0.1  # at the start, as Cooijmans et al. (2017), section 4, found: with 1 the layer is chaotic


class LoopLstm(LoopLayer):
    """The LSTM of `torch_cells.Lstm` as a loop, one bias per gate; its forget gate open at the start."""

    num_parts = 2
    num_gates = 4  # rows: input, forget, candidate, output, as in torch

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.ones_(self.bias.data[hidden_size : 2 * hidden_size])

    def read(self, from_input: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """input, forget and output gate, candidate, and the cell that they make."""
        i, f, g, o = (from_input + functional.linear(state[0], weights[0])).chunk(4, dim=-1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        return {"input": i, "forget": f, "output": o, "candidate": g, "cell": f * state[1] + i * g}

    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """(h, c)."""
        return gates["output"] * torch.tanh(gates["cell"]), gates["cell"]


class LstmLn(LoopLstm):
    """i, f, g, o = LN(W x) + LN(U h) + b; h' = sigmoid(o) tanh(LN(c')), each LN with a gain of its own.

    Source: Ba, Kiros and Hinton (2016), supplementary material (the LSTM of their experiments). Their two shifts inside the
    sum of the gates are one with b and are left out; the cell's LN has gain and shift.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.gain_ih = nn.Parameter(torch.ones(4 * hidden_size))
        self.gain_hh = nn.Parameter(torch.full((4 * hidden_size,), RECURRENT_GAIN))
        self.cell_norm = nn.LayerNorm(hidden_size)

    @classmethod
    def parameter_count(cls, input_size: int, hidden_size: int) -> int:
        """4 H (I + H + 3) + 2 H: two gains beside the bias of each gate, gain and shift of the cell."""
        return super().parameter_count(input_size, hidden_size) + 2 * 4 * hidden_size + 2 * hidden_size

    def project(self, inputs: Tensor) -> Tensor:
        """LN(W x) + b."""
        return functional.layer_norm(
            functional.linear(inputs, self.weight_ih), self.bias.shape, self.gain_ih, self.bias
        )

    def read(self, from_input: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """input, forget and output gate, candidate, and the cell that they make."""
        from_state = functional.layer_norm(functional.linear(state[0], weights[0]), self.bias.shape, self.gain_hh)
        i, f, g, o = (from_input + from_state).chunk(4, dim=-1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        return {"input": i, "forget": f, "output": o, "candidate": g, "cell": f * state[1] + i * g}

    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """(h, c)."""
        return gates["output"] * torch.tanh(self.cell_norm(gates["cell"])), gates["cell"]


class LstmPeephole(LoopLstm):
    """i, f = sigmoid(W x + U h + p c + b); c' = f c + i tanh(W x + U h + b); o = sigmoid(W x + U h + p c' + b).

    Source: Gers and Schmidhuber (2000), section 2: each gate also sees its own unit's cell, the output gate the new one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.peephole = self._uniform(3, hidden_size)  # rows: input, forget, output

    @classmethod
    def parameter_count(cls, input_size: int, hidden_size: int) -> int:
        """4 H (I + H + 1) + 3 H: one weight per unit for each of three gates."""
        return super().parameter_count(input_size, hidden_size) + 3 * hidden_size

    def read(self, from_input: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """input, forget and output gate, candidate, and the cell that they make."""
        to_input, to_forget, to_output = self.peephole
        i, f, g, o = (from_input + functional.linear(state[0], weights[0])).chunk(4, dim=-1)
        i, f, g = torch.sigmoid(i + to_input * state[1]), torch.sigmoid(f + to_forget * state[1]), torch.tanh(g)
        cell = f * state[1] + i * g
        return {"input": i, "forget": f, "output": torch.sigmoid(o + to_output * cell), "candidate": g, "cell": cell}


class LstmMogrifier(LoopLstm):
    """x and h gate each other five times in turn, x *= 2 sigmoid(Q h) and h *= 2 sigmoid(R x), before the LSTM reads them.

    Source: Melis, Kočiský and Blunsom (2020), section 2, five rounds, matrices of full rank.
    """

    num_rounds = 5

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        shapes = [(hidden_size, input_size) if k % 2 else (input_size, hidden_size) for k in range(self.num_rounds)]
        self.rounds = nn.ParameterList(self._uniform(*shape) for shape in shapes)  # Q, R, Q, R, Q

    @classmethod
    def parameter_count(cls, input_size: int, hidden_size: int) -> int:
        """4 H (I + H + 1) + 5 I H: a matrix for each round."""
        return super().parameter_count(input_size, hidden_size) + cls.num_rounds * input_size * hidden_size

    def project(self, inputs: Tensor) -> Tensor:
        """The inputs themselves: their gates depend on the state, so nothing can be read ahead."""
        return inputs

    def read(self, from_input: Tensor, state: LayerState, weights: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """input, forget and output gate, candidate, and the cell that they make; `from_input` is x, [B, I]."""
        x, h = from_input, state[0]
        for index, matrix in enumerate(self.rounds):
            if index % 2:
                h = 2 * torch.sigmoid(functional.linear(x, matrix)) * h
            else:
                x = 2 * torch.sigmoid(functional.linear(h, matrix)) * x
        return super().read(super().project(x), (h, state[1]), weights)
