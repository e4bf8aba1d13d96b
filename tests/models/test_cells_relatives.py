"""The relatives one by one: each against its paper's equations written out here, and against the cell it comes from."""

import pytest
import torch
from torch import nn

from lstmusic.models import cells

LANES, STEPS, INPUTS, HIDDEN = 3, 9, 5, 6
DOUBLE = {"dtype": torch.float64}


@pytest.fixture
def made():
    """A function: a layer in float64, inputs [B, T, I], and a state of zeros."""

    def build(cell, steps=STEPS):
        torch.manual_seed(0)
        layer = cells.build(cell, INPUTS, HIDDEN).double()
        inputs = 2 * torch.randn(LANES, steps, INPUTS, **DOUBLE)
        return layer, inputs, tuple(torch.zeros(LANES, HIDDEN, **DOUBLE) for _ in range(layer.num_parts))

    return build


def rows(layer, gate):
    """W, U and b of a gate by the number of its block, from a layer with one bias."""
    block = slice(gate * HIDDEN, (gate + 1) * HIDDEN)
    return layer.weight_ih[block], layer.weight_hh[block], layer.bias[block]


def lstm_of(layer):
    """A layer of torch with the weights of one of ours that has an LSTM's four gates."""
    theirs = nn.LSTM(INPUTS, HIDDEN, batch_first=True).double()
    weights = (layer.weight_ih, layer.weight_hh, layer.bias, torch.zeros_like(layer.bias))
    theirs.load_state_dict(dict(zip(theirs.state_dict(), weights, strict=True)))
    return theirs


def close(mine, theirs):
    """Equal as far as float64 goes."""
    torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=0)


# The GRU of 2014


def gru_of(layer, update_sign):
    """A GRU of torch with the weights of a `gru_v1`, those of the update gate times a sign."""
    sign = torch.ones(3 * HIDDEN, **DOUBLE)
    sign[HIDDEN : 2 * HIDDEN] = update_sign
    theirs = nn.GRU(INPUTS, HIDDEN, batch_first=True).double()
    weights = (
        layer.weight_ih * sign[:, None],
        layer.weight_hh * sign[:, None],
        layer.bias * sign,
        torch.zeros_like(layer.bias),
    )
    theirs.load_state_dict(dict(zip(theirs.state_dict(), weights, strict=True)))
    return theirs


def gap(layer, theirs, inputs, state):
    """How far apart two layers are over a window."""
    return (layer(inputs, state)[0] - theirs(inputs, state[0][None])[0]).abs().max().item()


def test_gru_v1_is_what_the_paper_writes(made):
    layer, inputs, state = made("gru_v1")
    (w_r, u_r, b_r), (w_z, u_z, b_z), (w, u, b) = (rows(layer, gate) for gate in range(3))
    h = state[0]
    for x in inputs.unbind(1):
        r = torch.sigmoid(x @ w_r.T + h @ u_r.T + b_r)
        z = torch.sigmoid(x @ w_z.T + h @ u_z.T + b_z)
        candidate = torch.tanh(x @ w.T + (r * h) @ u.T + b)
        h = (1 - z) * h + z * candidate
    close(layer(inputs, state)[1][0], h)


def test_gru_v1_differs_from_torch_in_its_reset_gate_and_in_its_update_gate(made):
    layer, inputs, state = made("gru_v1")
    same, swapped = gru_of(layer, 1), gru_of(layer, -1)
    assert gap(layer, same, inputs, state) > 0.1
    assert gap(layer, swapped, inputs, state) > 0.001  # the update gate mended, the reset gate is left
    with torch.no_grad():
        layer.bias[:HIDDEN] = 50.0  # a reset gate of 1
    same, swapped = gru_of(layer, 1), gru_of(layer, -1)
    assert gap(layer, same, inputs, state) > 0.1  # the reset gate out of the way, the update gate is left
    assert gap(layer, swapped, inputs, state) < 1e-12


def test_gru_v1_is_the_gru_of_torch_with_a_swapped_update_gate_where_the_candidate_does_not_read_the_state(made):
    layer, inputs, state = made("gru_v1")
    with torch.no_grad():
        layer.weight_hh[2 * HIDDEN :] = 0
    assert gap(layer, gru_of(layer, -1), inputs, state) < 1e-12
    assert gap(layer, gru_of(layer, 1), inputs, state) > 0.1


def test_gru_v1_is_the_gru_of_torch_with_a_swapped_update_gate_where_the_candidate_reads_each_unit_by_itself(made):
    """Where U is diagonal, U (r h) = r (U h): it makes no difference where the reset gate stands."""
    layer, inputs, state = made("gru_v1")
    with torch.no_grad():
        layer.weight_hh[2 * HIDDEN :] = torch.diag(torch.randn(HIDDEN, **DOUBLE))
    assert gap(layer, gru_of(layer, -1), inputs, state) < 1e-12


# Relatives of the LSTM


def test_layer_normalisation_is_what_the_paper_writes(made):
    layer, inputs, (h, c) = made("lstm_ln")
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if "gain" in name or "norm" in name:
                weight.copy_(torch.rand_like(weight) + 0.5)

    def norm(x, gain, shift=0.0):
        mean = x.mean(-1, keepdim=True)
        return gain * (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + 1e-5) + shift

    for x in inputs.unbind(1):
        sums = norm(x @ layer.weight_ih.T, layer.gain_ih) + norm(h @ layer.weight_hh.T, layer.gain_hh) + layer.bias
        i, f, g, o = sums.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(norm(c, layer.cell_norm.weight, layer.cell_norm.bias))
    outputs, last = layer(inputs, made("lstm_ln")[2])
    close(outputs[:, -1], h)
    close(last[1], c)


def test_layer_normalisation_does_not_see_the_scale_of_its_matrices(made):
    layer, inputs, state = made("lstm_ln", steps=4)
    before, _ = layer(100 * inputs, state)
    with torch.no_grad():
        layer.weight_ih *= 7
    torch.testing.assert_close(layer(100 * inputs, state)[0], before, atol=1e-6, rtol=0)


def test_peepholes_are_what_the_paper_writes(made):
    layer, inputs, state = made("lstm_peephole")
    (w_i, u_i, b_i), (w_f, u_f, b_f), (w_g, u_g, b_g), (w_o, u_o, b_o) = (rows(layer, gate) for gate in range(4))
    (p_i, p_f, p_o), (h, c) = layer.peephole, state
    for x in inputs.unbind(1):
        i = torch.sigmoid(x @ w_i.T + h @ u_i.T + p_i * c + b_i)
        f = torch.sigmoid(x @ w_f.T + h @ u_f.T + p_f * c + b_f)
        c = f * c + i * torch.tanh(x @ w_g.T + h @ u_g.T + b_g)
        o = torch.sigmoid(x @ w_o.T + h @ u_o.T + p_o * c + b_o)
        h = o * torch.tanh(c)
    outputs, last = layer(inputs, state)
    close(outputs[:, -1], h)
    close(last[1], c)


def test_without_peepholes_it_is_the_lstm(made):
    layer, inputs, state = made("lstm_peephole")
    nn.init.zeros_(layer.peephole)
    close(layer(inputs, state)[0], lstm_of(layer)(inputs)[0])


def test_mogrifier_gates_are_what_the_paper_writes(made):
    layer, inputs, (h, c) = made("lstm_mogrifier")
    q1, r2, q3, r4, q5 = layer.rounds
    theirs = lstm_of(layer)
    for x in inputs.unbind(1):
        x1 = 2 * torch.sigmoid(h @ q1.T) * x
        h2 = 2 * torch.sigmoid(x1 @ r2.T) * h
        x3 = 2 * torch.sigmoid(h2 @ q3.T) * x1
        h4 = 2 * torch.sigmoid(x3 @ r4.T) * h2
        x5 = 2 * torch.sigmoid(h4 @ q5.T) * x3
        _, (h, c) = theirs(x5[:, None], (h4[None], c[None]))
        h, c = h[0], c[0]
    outputs, last = layer(inputs, made("lstm_mogrifier")[2])
    close(outputs[:, -1], h)
    close(last[1], c)


def test_with_mogrifier_matrices_of_zero_it_is_the_lstm(made):
    layer, inputs, state = made("lstm_mogrifier")
    for matrix in layer.rounds:
        nn.init.zeros_(matrix)
    close(layer(inputs, state)[0], lstm_of(layer)(inputs)[0])


# sLSTM


def test_slstm_is_what_the_paper_writes_without_a_stabiliser(made):
    layer, inputs, state = made("slstm")
    (w_i, u_i, b_i), (w_f, u_f, b_f), (w_z, u_z, b_z), (w_o, u_o, b_o) = (rows(layer, gate) for gate in range(4))
    h, c, n, _ = state
    for x in inputs.unbind(1):
        i = torch.exp(x @ w_i.T + h @ u_i.T + b_i)
        f = torch.sigmoid(x @ w_f.T + h @ u_f.T + b_f)
        c = f * c + i * torch.tanh(x @ w_z.T + h @ u_z.T + b_z)
        n = f * n + i
        h = torch.sigmoid(x @ w_o.T + h @ u_o.T + b_o) * c / n
    outputs, last = layer(inputs, state)
    close(outputs[:, -1], h)
    close(last[1] * last[3].exp(), c)  # c and n are held divided by exp(m)
    close(last[2] * last[3].exp(), n)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_slstm_stays_finite_over_ten_thousand_steps(scale):
    torch.manual_seed(0)
    layer = cells.build("slstm", 2, 4)
    state = tuple(torch.zeros(2, 4) for _ in range(4))
    with torch.no_grad():
        outputs, last = layer(scale * torch.randn(2, 10_000, 2), state)
    assert outputs.isfinite().all()
    assert outputs.abs().max() <= 1
    assert all(part.isfinite().all() for part in last)
    assert (last[2] >= 1).all()


@pytest.mark.parametrize("bias", [-1e4, -200.0, 200.0, 1e4])
@pytest.mark.parametrize("gate", [0, 1], ids=["input", "forget"])
def test_slstm_takes_extreme_gates_and_so_do_its_gradients(made, bias, gate):
    layer, inputs, state = made("slstm", steps=50)
    layer = layer.float()
    with torch.no_grad():
        layer.bias[gate * HIDDEN : (gate + 1) * HIDDEN] = bias
    outputs, last = layer(inputs.float(), tuple(part.float() for part in state))
    assert all(part.isfinite().all() for part in (outputs, *last))
    outputs.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in layer.parameters())


def test_what_slstm_says_of_its_gates_are_shares_of_an_average(made):
    layer, inputs, state = made("slstm")
    fresh = layer.gates(inputs[:, 0], state)
    close(fresh["forget"], torch.zeros_like(fresh["forget"]))  # nothing read so far: all of it is the candidate
    close(fresh["cell"], fresh["candidate"])
    state = layer.step(inputs[:, 0], state)
    says = layer.gates(inputs[:, 1], state)
    after = layer.step(inputs[:, 1], state)
    close(says["input"] + says["forget"], torch.ones_like(says["input"]))
    close(says["cell"], says["forget"] * state[1] / state[2] + says["input"] * says["candidate"])
    close(after[0], says["output"] * says["cell"])
