"""The recurrent layers: torch's own LSTM, GRU and tanh RNN over a sequence, and the same weights one step at a time.

Sources: Elman (1990); Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000); Cho et al. (2014), in
the form that cuDNN computes (the reset gate multiplies after the linear map).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmusic.errors import ConfigError

LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}

LayerState = tuple[Tensor, ...]
"""What one layer carries: (h, c) for an LSTM, (h,) otherwise, each [B, H]."""


def build(cell: str, input_size: int, hidden_size: int) -> nn.RNNBase:
    """One recurrent layer, batch first, its LSTM forget gate opened at the start (Jozefowicz et al. 2015, section 2.2)."""
    if cell not in LAYERS:
        raise ConfigError(f"model.cell={cell}: expected one of {', '.join(LAYERS)}")
    layer = LAYERS[cell](input_size, hidden_size, batch_first=True)
    if cell == "lstm":
        with torch.no_grad():
            _, _, from_input, from_state = layer.all_weights[0]
            from_input[hidden_size : 2 * hidden_size] = 1.0
            from_state[hidden_size : 2 * hidden_size] = 0.0
    return layer


def state_parts(layer: nn.RNNBase) -> int:
    """How many tensors the layer carries: 2 for an LSTM, else 1."""
    return 2 if isinstance(layer, nn.LSTM) else 1


def sequence(layer: nn.RNNBase, inputs: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
    """Run a layer over a window.

    Args:
        inputs: float [B, T, I].
        state: each [B, H].

    Returns:
        The outputs [B, T, H] and the state after the last step.
    """
    carried = tuple(part.unsqueeze(0).contiguous() for part in state)
    if isinstance(layer, nn.LSTM):
        outputs, (h, c) = layer(inputs, (carried[0], carried[1]))
        return outputs, (h[0], c[0])
    outputs, h = layer(inputs, carried[0])
    return outputs, (h[0],)


def step(layer: nn.RNNBase, inputs: Tensor, state: LayerState) -> LayerState:
    """One step of a layer, equal to `sequence` over a window of one.

    Args:
        inputs: float [B, I].
        state: each [B, H].

    Returns:
        The new state; its first part is the output [B, H].
    """
    weight_ih, weight_hh, bias_ih, bias_hh = layer.all_weights[0]
    from_input = functional.linear(inputs, weight_ih, bias_ih)
    from_state = functional.linear(state[0], weight_hh, bias_hh)
    if isinstance(layer, nn.LSTM):
        i, f, g, o = (from_input + from_state).chunk(4, dim=-1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
    if isinstance(layer, nn.GRU):
        (r_in, z_in, n_in), (r_h, z_h, n_h) = from_input.chunk(3, dim=-1), from_state.chunk(3, dim=-1)
        z = torch.sigmoid(z_in + z_h)
        n = torch.tanh(n_in + torch.sigmoid(r_in + r_h) * n_h)
        return ((1 - z) * n + z * state[0],)
    return (torch.tanh(from_input + from_state),)
