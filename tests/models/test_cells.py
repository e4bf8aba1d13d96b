"""The recurrent layers: one step, a sequence, and torch's own cells say the same."""

import pytest
import torch
from torch import nn

from lstmusic.errors import ConfigError
from lstmusic.models import cells

CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}
LANES, STEPS, INPUTS, HIDDEN = 3, 7, 5, 6


def layer_and_data(cell):
    """A layer, inputs [B, T, I] and a state that is not zero."""
    torch.manual_seed(0)
    layer = cells.build(cell, INPUTS, HIDDEN)
    state = tuple(torch.randn(LANES, HIDDEN) for _ in range(layer.num_parts))
    return layer, torch.randn(LANES, STEPS, INPUTS), state


@pytest.mark.parametrize("cell", CELLS)
def test_steps_equal_the_sequence(cell):
    layer, inputs, state = layer_and_data(cell)
    outputs, last = layer(inputs, state)
    for t in range(STEPS):
        state = layer.step(inputs[:, t], state)
        torch.testing.assert_close(state[0], outputs[:, t], atol=1e-5, rtol=0)
    for mine, theirs in zip(state, last, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_step_equals_the_cell_of_torch(cell):
    layer, inputs, state = layer_and_data(cell)
    theirs = CELLS[cell](INPUTS, HIDDEN)
    theirs.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    expected = theirs(inputs[:, 0], state if cell == "lstm" else state[0])
    expected = expected if cell == "lstm" else (expected,)
    for mine, other in zip(layer.step(inputs[:, 0], state), expected, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_the_sequence_equals_the_layer_of_torch(cell):
    layer, inputs, state = layer_and_data(cell)
    outputs, _ = layer(inputs, state)
    theirs = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell](INPUTS, HIDDEN, batch_first=True)
    theirs.load_state_dict(layer.state_dict())
    carried = tuple(part[None] for part in state)
    expected, _ = theirs(inputs, carried if cell == "lstm" else carried[0])
    torch.testing.assert_close(outputs, expected)


def test_the_forget_gate_starts_open():
    layer = cells.build("lstm", INPUTS, HIDDEN)
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach()
    assert bias[HIDDEN : 2 * HIDDEN].tolist() == [1.0] * HIDDEN
    assert bias[:HIDDEN].abs().max() < 1


def test_an_unknown_cell_is_named():
    with pytest.raises(ConfigError, match=r"model\.cell=mamba: expected one of lstm, gru, rnn"):
        cells.build("mamba", 2, 2)
