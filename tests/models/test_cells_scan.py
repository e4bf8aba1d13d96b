"""The scan against the recurrence as it is written; minGRU and minLSTM against their paper's equations."""

from math import exp, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.models import cells
from lstmusic.models.cells.scan import BLOCK, LinearRecurrence, scan

LANES, STEPS, INPUTS, HIDDEN = 3, 9, 5, 6
DOUBLE = {"dtype": torch.float64}


@pytest.fixture
def made():
    """A function: a layer in float64 and inputs [B, T, I]."""

    def build(cell):
        torch.manual_seed(0)
        return cells.build(cell, INPUTS, HIDDEN).double(), 2 * torch.randn(LANES, STEPS, INPUTS, **DOUBLE)

    return build


def close(mine, theirs):
    """Equal as far as float64 goes."""
    torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=0)


def naive(keep, write):
    """The recurrence as it is written, step by step."""
    h, outputs = torch.zeros_like(write[:, 0]), []
    for k, w in zip(keep.unbind(1), write.unbind(1), strict=True):
        h = k * h + w
        outputs.append(h)
    return torch.stack(outputs, dim=1)


@settings(max_examples=40, deadline=None)
@given(lanes=st.integers(1, 3), steps=st.integers(1, 5 * BLOCK * BLOCK), seed=st.integers(0, 99))
def test_a_scan_is_the_recurrence(lanes, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand(lanes, steps, 3, generator=generator).round(decimals=1)  # 0 and 1 among them
    write = torch.randn(lanes, steps, 3, generator=generator)
    before = keep.clone(), write.clone()
    torch.testing.assert_close(scan(keep, write), naive(keep, write), atol=1e-5, rtol=1e-5)
    assert torch.equal(keep, before[0]) and torch.equal(write, before[1])


@pytest.mark.parametrize("keep", [0.0, 1e-30, 1.0])
def test_a_scan_takes_a_keep_of_nothing_and_of_all(keep):
    write = torch.randn(1, 1000, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(scan(torch.full_like(write, keep), write), write.cumsum(1) if keep == 1 else write)


@pytest.mark.parametrize("steps", [1, 2, BLOCK, BLOCK + 1, 100])
def test_the_gradient_of_a_scan_is_that_of_the_recurrence(steps):
    torch.manual_seed(0)
    leaves = [
        torch.rand(2, steps, 3, **DOUBLE, requires_grad=True),
        torch.randn(2, steps, 3, **DOUBLE, requires_grad=True),
    ]
    weight = torch.randn(2, steps, 3, **DOUBLE)
    mine, theirs = (
        torch.autograd.grad((run(*leaves) * weight).sum(), leaves) for run in (LinearRecurrence.apply, naive)
    )
    for one, other in zip(mine, theirs, strict=True):
        close(one, other)


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_a_thousand_steps_at_once_equal_a_thousand_steps(cell):
    torch.manual_seed(0)
    layer = cells.build(cell, 4, 8)
    inputs, state = 2 * torch.randn(2, 1000, 4), (torch.randn(2, 8),)
    with torch.no_grad():
        outputs, last = layer(inputs, state)
        for t in range(1000):
            state = layer.step(inputs[:, t], state)
            torch.testing.assert_close(outputs[:, t], state[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(last[0], state[0], atol=1e-5, rtol=0)


def test_mingru_is_what_the_paper_writes(made):
    layer, inputs = made("mingru")
    h = torch.zeros(LANES, HIDDEN, **DOUBLE)
    (w_z, w_n), (b_z, b_n) = layer.weight_ih.chunk(2), layer.bias.chunk(2)
    for x in inputs.unbind(1):
        z = torch.sigmoid(x @ w_z.T + b_z)
        h = (1 - z) * h + z * (x @ w_n.T + b_n)
    close(layer(inputs, (torch.zeros_like(h),))[1][0], h)


def test_minlstm_is_what_the_paper_writes(made):
    layer, inputs = made("minlstm")
    h = torch.zeros(LANES, HIDDEN, **DOUBLE)
    (w_i, w_f, w_g), (b_i, b_f, b_g) = layer.weight_ih.chunk(3), layer.bias.chunk(3)
    for x in inputs.unbind(1):
        i, f = torch.sigmoid(x @ w_i.T + b_i), torch.sigmoid(x @ w_f.T + b_f)
        h = f / (f + i) * h + i / (f + i) * (x @ w_g.T + b_g)
    close(layer(inputs, (torch.zeros_like(h),))[1][0], h)


def test_minlstm_divides_by_a_sum_of_gates_that_are_both_shut(made):
    layer, inputs = made("minlstm")
    with torch.no_grad():
        layer.bias[: 2 * HIDDEN] -= 1000.0
    outputs, _ = layer.float()(inputs.float(), (torch.zeros(LANES, HIDDEN),))
    assert outputs.isfinite().all()


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_a_unit_that_keeps_nearly_all_does_so_under_bf16(cell):
    """bf16 has nothing between 0.996 and 1: 1,000 steps of keeping 0.999 leave exp(-1), not all and not a fiftieth."""
    layer = cells.build(cell, 2, 1)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        layer.weight_ih.zero_()
        # update 0.001; or forget gate 1 and input gate 1/999, of which the forget gate's share is 0.999
        layer.bias.copy_(torch.tensor([-log(999), 0.0] if cell == "mingru" else [-log(998), 20.0, 0.0]))
        outputs, last = layer(torch.ones(1, 1000, 2), (torch.ones(1, 1),))
    assert outputs.dtype == torch.float32
    assert last[0].item() == pytest.approx(exp(-1), rel=0.05)
