"""The layers that torch has a kernel for, each one call per window, and the same weights one step at a time.

The weights are torch's: per gate a row block of `weight_ih_l0` [kH, I] and `weight_hh_l0` [kH, H], and two bias vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.models.cells.layer import Layer, LayerState


class TorchLayer(Layer, nn.RNNBase):
    """A layer whose window is one call of a kernel of torch (cuDNN's on a GPU)."""

    kernel_mode: ClassVar[str]
    kernel: ClassVar[Callable]
    num_gates: ClassVar[int]
    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, input_size: int, hidden_size: int) -> None:
        nn.RNNBase.__init__(self, self.kernel_mode, input_size, hidden_size, batch_first=True)

    @classmethod
    def parameter_count(cls, input_size: int, hidden_size: int) -> int:
        """k H (I + H + 2) for k gates: two matrices and two bias vectors each."""
        return cls.num_gates * hidden_size * (input_size + hidden_size + 2)

    def window_weights(self) -> tuple[Tensor, ...]:
        """weight_ih [kH, I], weight_hh [kH, H], bias_ih [kH], bias_hh [kH]."""
        return self.weight_ih_l0, self._drop(self.weight_hh_l0), self.bias_ih_l0, self.bias_hh_l0

    def forward(
        self, inputs: Tensor, state: LayerState, weights: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, LayerState]:
        """One call of the kernel; see `Layer.forward`."""
        weights = self.window_weights() if weights is None else weights
        carried = tuple(part.unsqueeze(0).contiguous() for part in state)
        # has_biases, num_layers, dropout between layers, train, bidirectional, batch_first
        options = (True, 1, 0.0, self.training, False, True)
        outputs, *after = self.kernel(inputs, self._carried(carried), weights, *options)
        return outputs, tuple(part[0] for part in after)

    @staticmethod
    def _carried(state: LayerState) -> Tensor | LayerState:
        """The state in the form that the kernel takes."""
        return state[0]

    def _from_input(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs, self.weight_ih_l0, self.bias_ih_l0)

    def _from_state(self, h: Tensor) -> Tensor:
        return functional.linear(h, self.weight_hh_l0, self.bias_hh_l0)


class Rnn(TorchLayer):
    """h' = tanh(W x + U h + b). Source: Elman (1990)."""

    kernel_mode, kernel, num_gates = "RNN_TANH", staticmethod(torch.rnn_tanh), 1

    squash: ClassVar[Callable] = staticmethod(torch.tanh)

    def gates(self, inputs: Tensor, state: LayerState) -> dict[str, Tensor]:
        """No gate: the candidate is the new state."""
        return {"candidate": self.squash(self._from_input(inputs) + self._from_state(state[0]))}

    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """(h,)."""
        return (gates["candidate"],)


class RnnRelu(Rnn):
    """h' = max(0, W x + U h + b), U the identity at the start, W small, no bias: a unit keeps what it has.

    Source: Le, Jaitly and Hinton (2015), section 2.
    """

    kernel_mode, kernel, squash = "RNN_RELU", staticmethod(torch.rnn_relu), staticmethod(torch.relu)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.normal_(self.weight_ih_l0, std=0.001)
        nn.init.eye_(self.weight_hh_l0)
        nn.init.zeros_(self.bias_ih_l0)
        nn.init.zeros_(self.bias_hh_l0)


class Lstm(TorchLayer):
    """i, f, o = sigmoid(W x + U h + b); g = tanh(…); c' = f c + i g; h' = o tanh(c').

    Source: Hochreiter and Schmidhuber (1997), section 4, with the forget gate of Gers, Schmidhuber and Cummins (2000). The
    forget gate's bias is 1 at the start (Jozefowicz et al. 2015, section 2.2).
    """

    kernel_mode, kernel, num_gates = "LSTM", staticmethod(torch.lstm), 4
    num_parts = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        with torch.no_grad():
            self.bias_ih_l0[hidden_size : 2 * hidden_size] = 1.0
            self.bias_hh_l0[hidden_size : 2 * hidden_size] = 0.0

    @staticmethod
    def _carried(state: LayerState) -> LayerState:
        return state

    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """(h, c)."""
        return gates["output"] * torch.tanh(gates["cell"]), gates["cell"]

    def gates(self, inputs: Tensor, state: LayerState) -> dict[str, Tensor]:
        """input, forget and output gate, candidate, and the cell that they make."""
        i, f, g, o = (self._from_input(inputs) + self._from_state(state[0])).chunk(4, dim=-1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        return {"input": i, "forget": f, "output": o, "candidate": g, "cell": f * state[1] + i * g}


class Gru(TorchLayer):
    """r, z = sigmoid(W x + U h + b); n = tanh(W x + b + r (U h + b')); h' = (1 - z) n + z h.

    Source: Cho et al. (2014), section 2.3, in the form that cuDNN computes: the reset gate multiplies after the linear map.
    """

    kernel_mode, kernel, num_gates = "GRU", staticmethod(torch.gru), 3

    def combine(self, gates: dict[str, Tensor], state: LayerState) -> LayerState:
        """(h,)."""
        return ((1 - gates["update"]) * gates["candidate"] + gates["update"] * state[0],)

    def gates(self, inputs: Tensor, state: LayerState) -> dict[str, Tensor]:
        """reset and update gate (an update of 1 keeps the state) and the candidate."""
        r_in, z_in, n_in = self._from_input(inputs).chunk(3, dim=-1)
        r_h, z_h, n_h = self._from_state(state[0]).chunk(3, dim=-1)
        reset = torch.sigmoid(r_in + r_h)
        return {"reset": reset, "update": torch.sigmoid(z_in + z_h), "candidate": torch.tanh(n_in + reset * n_h)}
