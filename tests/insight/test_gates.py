"""Gates along a piece: what the layers say, time constants by hand, and moments that a gate was made to mark."""

import numpy as np
import pytest
import torch

from lstmusic.insight import gates
from lstmusic.models.cells import CELLS

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("cell", "names"), [("lstm", {"input", "forget", "output"}), ("gru", {"reset", "update"}), ("rnn", set())]
)
def test_a_trace_is_what_the_layers_say(network, piece_of, cell, names):
    model, piece = network(cell), piece_of(1)
    traces = gates.trace(model, piece)
    hidden, _ = model.hidden(piece.previous, piece.columns[:, :, 0], piece.flags[:, :, 0], piece.reset)
    assert len(traces) == 2
    for layer in traces:
        assert set(layer.gates) == names
        assert all(
            values.shape == (hidden.shape[1], 12) for values in (*layer.gates.values(), *layer.contents.values())
        )
        assert all((values > 0).all() and (values < 1).all() for values in layer.gates.values())
        assert (layer.kept is None) == (cell == "rnn")
    outputs = sum(layer.contents["state"] for layer in traces)  # the second layer is residual
    np.testing.assert_allclose(outputs, hidden[0].detach().numpy(), atol=1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_traced(network, piece_of, cell):
    """What is kept is what is left of a cell that writes nothing, whatever the paper calls its gate."""
    for layer in gates.trace(network(cell), piece_of(1)):
        if cell in ("rnn", "rnn_relu"):
            assert not layer.gates and layer.kept is None
            assert np.isnan(layer.time_constants).all()
            continue
        assert ((layer.kept >= 0) & (layer.kept <= 1)).all()
        said = layer.gates.get("forget", layer.gates.get("update"))
        np.testing.assert_allclose(layer.kept, 1 - said if cell in ("gru_v1", "mingru") else said)
        assert (layer.time_constants > 0).all()


def test_the_model_hears_no_more_of_it(network, piece_of):
    model = network()
    gates.trace(model, piece_of(1))
    assert not any(layer._forward_pre_hooks for layer in model.layers)


def test_time_constants_are_those_of_the_forget_gate(network, piece_of):
    """A gate that its bias alone decides, set to keep exp(-1/tau) of the cell."""
    model, tau = network(layers=1), np.geomspace(0.5, 500, 12)
    share = np.exp(-1 / tau)
    layer = model.layers[0]
    with torch.no_grad():
        for weights in (layer.weight_ih_l0, layer.weight_hh_l0):
            weights[12:24] = 0
        layer.bias_hh_l0[12:24] = 0
        layer.bias_ih_l0[12:24] = torch.tensor(np.log(share / (1 - share)))
    (found,) = gates.trace(model, piece_of(2))
    np.testing.assert_allclose(found.time_constants, tau, rtol=1e-9)
    assert found.order.tolist() == list(range(12))


def layer_of(**values):
    """A trace of hand-made gates, each [T, H]."""
    state = next(iter(values.values()))
    return gates.LayerTrace("Made", dict(values), {"state": state}, values.get("forget"))


def test_a_gate_that_is_always_open_remembers_for_ever():
    trace = layer_of(forget=np.array([[1.0, 0.0, 0.5], [1.0, 0.0, 0.5]]))
    assert trace.time_constants[0] == np.inf
    assert trace.time_constants[1] == pytest.approx(0, abs=0.01)
    assert trace.time_constants[2] == pytest.approx(1 / np.log(2))
    assert trace.order.tolist() == [1, 2, 0]


def test_effect_sizes_by_hand():
    """d = difference over the pooled deviation, as its definition says."""
    values = RNG(0).normal(size=(40, 3))
    where = RNG(1).random((2, 40)) < 0.3
    values[where[0], 1] += 5
    at, elsewhere, effect = gates.effect_sizes(values, where)
    for row, mask in enumerate(where):
        for unit in range(3):
            a, b = values[mask, unit], values[~mask, unit]
            pooled = np.sqrt((a.var() * len(a) + b.var() * len(b)) / (len(a) + len(b) - 2))
            assert at[row, unit] == pytest.approx(a.mean())
            assert elsewhere[row, unit] == pytest.approx(b.mean())
            assert effect[row, unit] == pytest.approx((a.mean() - b.mean()) / pooled)
    assert effect[0, 1] > 3
    assert gates.effect_sizes(np.ones((40, 1)), where)[2].tolist() == [[0.0], [0.0]]
    assert gates.effect_sizes(where[0][:, None] * 1.0, where[:1])[2] == pytest.approx(1000)  # kept apart perfectly


def test_the_unit_that_marks_a_moment_comes_first():
    steps = np.arange(64)
    bars, rare = steps % 16 == 0, steps == 3
    noise = RNG(0).normal(0.5, 0.01, (64, 8))
    closed = noise.copy()
    noise[bars, 5] += 0.3
    closed[bars, 2] -= 0.3
    rows = gates.openings([layer_of(input=noise, forget=closed)], {"bar": bars, "rare": rare}, RNG(0))
    assert [(row.gate, row.unit, row.moment) for row in (rows[0], rows[8])] == [
        ("input", 5, "bar"),
        ("forget", 2, "bar"),
    ]
    assert len(rows) == 16  # a row for each unit and gate; what is rarer than four moments says nothing
    assert rows[0].at - rows[0].elsewhere == pytest.approx(0.3, abs=0.02)
    assert rows[0].effect > 5 > 3 > rows[0].chance > 0.5  # the largest of eight units at four of 64 moments
    assert rows[8].effect < -5


def test_a_gate_that_drifts_marks_nothing():
    """AR(1) gates beside phrases of ten steps: the largest of eight effects passes chance about one time in twenty."""
    passed = 0
    for seed in range(40):
        rng = RNG(seed)
        values = rng.normal(size=(400, 8))
        for t in range(1, 400):
            values[t] += 0.9 * values[t - 1]
        where = np.repeat(rng.random(40) < 0.3, 10)
        rows = gates.openings([layer_of(input=values)], {"phrase": where}, rng)
        passed += abs(rows[0].effect) > rows[0].chance
    assert passed <= 6


def test_a_bar_line_shifted_by_a_bar_is_no_chance():
    steps = np.arange(64)
    assert gates._free_offsets(steps % 16 == 0).tolist() == [k for k in range(64) if k % 16]
    assert set(gates._free_offsets((steps % 4 == 0) & (steps % 16 > 0)) % 4) == {1, 2, 3}
    assert gates._free_offsets(steps % 2 == 0).tolist() == list(range(1, 64, 2))


def test_rows_are_gathered_by_moment():
    units = [(0.9, 0.1, 4.0), (0.5, 0.5, 0.1), (0.1, 0.4, -2.0), (0.5, 0.2, 1.5)]
    rows = [gates.Opening(0, "input", k, "bar", *figures, 1.0) for k, figures in enumerate(units)]
    rows.append(gates.Opening(1, "forget", 0, "bar", 0.3, 0.2, 0.5, 1.0))
    first, second = sorted(gates.by_moment(rows))
    assert first[:3] == (0, "input", "bar")
    np.testing.assert_allclose(first[3:7], [0.5, 0.3, 0.5, 0.25])
    assert first.strongest == rows[0]
    assert second[:3] == (1, "forget", "bar") and second.higher == second.lower == 0
