"""What holds for every recurrent layer: window and steps agree, in values and gradients; counts; weight-drop."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lstmusic.errors import ConfigError
from lstmusic.models import cells
from lstmusic.models.cells import CELLS
from lstmusic.schema import groups

KERNELS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN, "rnn_relu": nn.RNN}
TORCH_CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell, "rnn_relu": nn.RNNCell}
WITHOUT_RECURRENT_MATRIX = ("mingru", "minlstm")
WITH_RECURRENT_MATRIX = [cell for cell in CELLS if cell not in WITHOUT_RECURRENT_MATRIX]
LANES, STEPS, INPUTS, HIDDEN = 3, 7, 5, 6


def build(cell, inputs=INPUTS, hidden=HIDDEN, seed=0, **options):
    """A layer whose weights are all of a size that matters; those of `rnn_relu` begin near 0."""
    torch.manual_seed(seed)
    layer = cells.build(cell, inputs, hidden, **options)
    if cell == "rnn_relu":
        for weight in layer.parameters():
            nn.init.uniform_(weight, -0.5, 0.5)
    return layer


def data(layer, lanes=LANES, steps=STEPS, dtype=torch.float32):
    """Inputs [B, T, I], and the state after some others."""
    inputs = 2 * torch.randn(lanes, steps + 2, layer.input_size, dtype=dtype)
    state = tuple(torch.zeros(lanes, layer.hidden_size, dtype=dtype) for _ in range(layer.num_parts))
    for t in range(2):
        state = layer.step(inputs[:, t], state)
    return inputs[:, 2:], tuple(part.detach() for part in state)


def by_steps(layer, inputs, state):
    """What `forward` does, one step at a time."""
    outputs = []
    for t in range(inputs.shape[1]):
        state = layer.step(inputs[:, t], state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1), state


def assert_near(mine, theirs, atol=1e-5):
    """Equal to so much, part by part."""
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=15, deadline=None)
@given(
    lanes=st.integers(1, 4),
    steps=st.integers(1, 40),
    inputs=st.integers(1, 7),
    hidden=st.integers(5, 10),  # a norm over two or three units magnifies rounding without bound
    seed=st.integers(0, 99),
)
def test_steps_equal_the_sequence(cell, lanes, steps, inputs, hidden, seed):
    layer = build(cell, inputs, hidden, seed)
    x, state = data(layer, lanes, steps)
    outputs, last = layer(x, state)
    assert outputs.shape == (lanes, steps, hidden)
    assert [part.shape for part in last] == [(lanes, hidden)] * layer.num_parts
    expected, after = by_steps(layer, x, state)
    assert_near((outputs, *last), (expected, *after))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("cuts", [(0, 5, 21), (0, 1, 2, 20, 21)])
def test_chunked_equals_whole(cell, cuts):
    layer = build(cell)
    x, state = data(layer, steps=21)
    outputs, last = layer(x, state)
    parts = []
    for start, stop in pairwise(cuts):
        part, state = layer(x[:, start:stop], state)
        parts.append(part)
    assert_near((torch.cat(parts, dim=1), *state), (outputs, *last))


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_the_sequence_are_those_of_the_steps(cell):
    layer = build(cell).double()
    x, state = data(layer, steps=19, dtype=torch.float64)
    leaves = [x.requires_grad_(), *(part.requires_grad_() for part in state), *layer.parameters()]
    weight = torch.randn(LANES, 19, HIDDEN, dtype=torch.float64)
    gradients = []
    for run in (layer, lambda *args: by_steps(layer, *args)):
        outputs, last = run(x, state)
        loss = (outputs * weight).sum() + last[0].square().sum()
        gradients.append(torch.autograd.grad(loss, leaves, materialize_grads=True))
    assert_near(*gradients, atol=1e-10)
    assert all(gradient.abs().max() > 0 for gradient in gradients[0])


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_those_of_differences(cell):
    layer = build(cell, 2, 3).double()
    x, state = data(layer, lanes=2, steps=11, dtype=torch.float64)
    names, weights = zip(*layer.named_parameters(), strict=True)

    def run(x, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x, state))[0]

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *weights), fast_mode=True)


@pytest.mark.parametrize("cell", CELLS)
def test_lanes_do_not_touch_each_other(cell):
    layer = build(cell)
    x, state = data(layer)
    outputs, _ = layer(x, state)
    alone, _ = layer(x[1:2], tuple(part[1:2] for part in state))
    assert_near(alone, outputs[1:2])


@pytest.mark.parametrize("cell", CELLS)
def test_the_output_depends_on_the_past_alone(cell):
    layer = build(cell)
    x, state = data(layer)
    outputs, _ = layer(x.requires_grad_(), state)
    (gradient,) = torch.autograd.grad(outputs[:, 4].sum(), x)
    reached = gradient.abs().amax(dim=(0, 2)) > 0
    assert reached.tolist() == [True] * 5 + [False] * 2


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("inputs", "hidden"), [(5, 6), (1, 1), (88, 36)])
def test_the_formula_counts_the_parameters(cell, inputs, hidden):
    layer = cells.build(cell, inputs, hidden)
    assert sum(weight.numel() for weight in layer.parameters()) == cells.parameter_count(cell, inputs, hidden)


def test_counts_by_hand():
    """With I = 3, H = 2: per gate a 2×3 and a 2×2 matrix, and one bias of 2 or (torch) two."""
    counts = {cell: cells.parameter_count(cell, 3, 2) for cell in CELLS}
    assert counts == {
        "lstm": 4 * (6 + 4 + 2 + 2),
        "gru": 3 * (6 + 4 + 2 + 2),
        "rnn": 6 + 4 + 2 + 2,
        "rnn_relu": 6 + 4 + 2 + 2,
        "gru_v1": 3 * (6 + 4 + 2),
        "lstm_ln": 4 * (6 + 4 + 2) + 8 + 8 + 2 + 2,
        "lstm_peephole": 4 * (6 + 4 + 2) + 3 * 2,
        "lstm_mogrifier": 4 * (6 + 4 + 2) + 5 * 6,
        "mingru": 2 * (6 + 2),
        "minlstm": 3 * (6 + 2),
        "slstm": 4 * (6 + 4 + 2),
    }


@pytest.mark.parametrize("cell", CELLS)
def test_gates_are_of_one_size_and_in_their_range(cell):
    layer = build(cell)
    x, state = data(layer)
    says = layer.gates(x[:, 0], state)
    assert {part.shape for part in says.values()} == {(LANES, HIDDEN)}
    for name in {"input", "forget", "output", "reset", "update"} & set(says):
        assert ((says[name] > 0) & (says[name] < 1)).all(), name


@pytest.mark.parametrize("cell", ["lstm", "lstm_peephole", "lstm_mogrifier"])
def test_the_state_of_an_lstm_is_what_its_gates_make(cell):
    layer = build(cell)
    x, state = data(layer)
    says = layer.gates(x[:, 0], state)
    h, c = layer.step(x[:, 0], state)
    assert_near((c, h), (says["forget"] * state[1] + says["input"] * says["candidate"], says["output"] * c.tanh()))


@pytest.mark.parametrize("cell", KERNELS)
def test_the_layer_of_torch_says_the_same(cell):
    layer = build(cell)
    x, state = data(layer)
    options = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    theirs = KERNELS[cell](INPUTS, HIDDEN, batch_first=True, **options)
    theirs.load_state_dict(layer.state_dict())
    carried = tuple(part[None] for part in state)
    outputs, last = layer(x, state)
    expected, after = theirs(x, carried if cell == "lstm" else carried[0])
    assert torch.equal(outputs, expected)
    assert_near(last, (part[0] for part in (after if cell == "lstm" else (after,))), atol=0)


@pytest.mark.parametrize("cell", KERNELS)
def test_the_cell_of_torch_says_the_same(cell):
    layer = build(cell)
    x, state = data(layer)
    options = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    theirs = TORCH_CELLS[cell](INPUTS, HIDDEN, **options)
    theirs.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    expected = theirs(x[:, 0], state if cell == "lstm" else state[0])
    assert_near(layer.step(x[:, 0], state), expected if cell == "lstm" else (expected,), atol=1e-6)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if "lstm" in cell and cell != "lstm"])
def test_the_forget_gate_starts_open(cell):
    bias = cells.build(cell, INPUTS, HIDDEN).bias.detach()
    assert bias[HIDDEN : 2 * HIDDEN].tolist() == [1.0] * HIDDEN
    assert bias[:HIDDEN].abs().max() < 1


def test_the_forget_gate_of_the_lstm_starts_open():
    layer = cells.build("lstm", INPUTS, HIDDEN)
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach()
    assert bias[HIDDEN : 2 * HIDDEN].tolist() == [1.0] * HIDDEN
    assert bias[:HIDDEN].abs().max() < 1


def test_a_rectified_unit_keeps_what_it_has_at_the_start():
    layer = cells.build("rnn_relu", INPUTS, HIDDEN)
    state = (torch.rand(LANES, HIDDEN),)
    _, last = layer(torch.zeros(LANES, 100, INPUTS), state)
    assert torch.equal(last[0], state[0])


@pytest.mark.parametrize("cell", WITH_RECURRENT_MATRIX)
def test_weight_drop_draws_one_mask_for_a_window(cell):
    layer = build(cell, weight_drop=0.5).train()
    x, state = data(layer)
    weights = layer.window_weights()
    whole, _ = layer(x, state, weights)
    first, between = layer(x[:, :3], state, weights)
    second, _ = layer(x[:, 3:], between, weights)
    assert_near(torch.cat([first, second], dim=1), whole)
    assert not torch.equal(layer(x, state)[0], layer(x, state)[0])  # without weights handed over, each call draws anew


@pytest.mark.parametrize("cell", WITH_RECURRENT_MATRIX)
def test_weight_drop_drops_so_many_entries_of_the_recurrent_matrix_and_scales_the_rest(cell):
    layer = build(cell, 4, 100, weight_drop=0.3).train()
    torch.manual_seed(1)
    whole = dict(layer.named_parameters())["weight_hh_l0" if cell in KERNELS else "weight_hh"]
    matrices = [matrix for matrix in layer.window_weights() if matrix.ndim == 2 and matrix.shape[1] == 100]
    dropped = torch.cat(matrices)
    assert dropped.shape == whole.shape
    zero = (dropped == 0) & (whole != 0)
    assert zero.float().sum() / (whole != 0).sum() == pytest.approx(0.3, abs=0.1 if cell == "rnn_relu" else 0.02)
    torch.testing.assert_close(dropped[~zero], whole[~zero] / 0.7)
    dropped.sum().backward()
    assert torch.equal(whole.grad[whole != 0] == 0, zero[whole != 0])


@pytest.mark.parametrize("cell", WITH_RECURRENT_MATRIX)
def test_nothing_is_dropped_in_evaluation_in_a_step_or_at_rate_0(cell):
    plain, dropping = build(cell), build(cell, weight_drop=0.5)
    x, state = data(plain)
    expected, _ = plain.train()(x, state)
    assert torch.equal(dropping.eval()(x, state)[0], expected)
    assert_near(by_steps(dropping.train(), x, state)[0], expected)


@pytest.mark.parametrize("cell", KERNELS)
def test_a_kernel_with_dropped_weights_is_the_layer_of_torch_with_these_weights(cell):
    layer = build(cell, weight_drop=0.5).train()
    x, state = data(layer)
    weights = layer.window_weights()
    options = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    theirs = KERNELS[cell](INPUTS, HIDDEN, batch_first=True, **options)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    theirs.load_state_dict(dict(zip(names, weights, strict=True)))
    carried = tuple(part[None] for part in state)
    expected, _ = theirs(x, carried if cell == "lstm" else carried[0])
    torch.testing.assert_close(layer(x, state, weights)[0], expected)


@pytest.mark.parametrize("cell", WITHOUT_RECURRENT_MATRIX)
def test_without_a_recurrent_matrix_there_is_no_weight_drop(cell):
    with pytest.raises(ConfigError, match=rf"model\.weight_drop=0\.2: expected 0, model\.cell={cell} has no recurrent"):
        cells.build(cell, 2, 2, weight_drop=0.2)
    assert cells.build(cell, 2, 2).window_weights() == ()


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_out_of_range_is_named(rate):
    with pytest.raises(ConfigError, match=r"model\.weight_drop=.*expected 0 <= weight_drop < 1"):
        cells.build("lstm", 2, 2, weight_drop=rate)


def test_an_unknown_cell_is_named():
    for ask in (cells.build, cells.parameter_count):
        with pytest.raises(ConfigError, match=r"model\.cell=mamba: expected one of lstm, gru, rnn, rnn_relu"):
            ask("mamba", 2, 2)


def test_the_schema_and_conf_know_the_same_cells():
    assert groups.CELLS == CELLS
    folder = Path(__file__).parents[2] / "conf" / "model"
    keys = None
    for cell in CELLS:
        values = yaml.safe_load((folder / f"{cell}.yaml").read_text())
        assert values.pop("cell") == cell
        keys = keys or values
        assert values == keys, cell


def test_torch_models_keep_their_names():
    assert list(cells.build("lstm", 2, 2).state_dict()) == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]


@pytest.mark.parametrize("cell", CELLS)
def test_mixed_precision_is_near_and_learns(cell):
    layer = build(cell)
    x, state = data(layer)
    expected, _ = layer(x, state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first, between = layer(x[:, :3], state)
        second, _ = layer(x[:, 3:], between)
    outputs = torch.cat([first, second], dim=1).float()
    torch.testing.assert_close(outputs, expected, atol=0.05, rtol=0.05)
    outputs.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in layer.parameters())


def test_the_page_counts_the_parameters():
    """Its table of all cells: the formula in words of I and H, and the number at I = H = 512."""
    page = (Path(__file__).parents[2] / "docs" / "cells.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \| ([IH0-9 ()+]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    assert sorted(cell for cell, _, _ in rows) == sorted(CELLS)
    for cell, formula, number in rows:
        product = re.sub(r"(?<=[\dIH)]) (?=[IH(])", "*", formula)
        assert (
            eval(product, {"I": 512, "H": 512}) == cells.parameter_count(cell, 512, 512) == int(number.replace(",", ""))
        )
        assert eval(product, {"I": 88, "H": 36}) == cells.parameter_count(cell, 88, 36)
