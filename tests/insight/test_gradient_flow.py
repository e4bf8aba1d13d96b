"""The gradient's reach: powers of a matrix, autograd of a whole unrolled model, and the norms that training sees."""

import numpy as np
import pytest
import torch

from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events import codec as codecs
from lstmusic.insight import gradient_flow as flow
from lstmusic.insight.windows import between, num_steps, stacked, states_before
from lstmusic.models.cells import CELLS
from lstmusic.models.echoes import CopyGates
from lstmusic.models.frame_model import FrameModel


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.5])
def test_a_linear_recurrence_gives_the_powers_of_its_matrix(radius):
    """h' = A h and loss = v h': the derivative by the state k steps before is v A^k."""
    torch.manual_seed(0)
    matrix = torch.randn(4, 4, dtype=torch.float64)
    matrix *= radius / torch.linalg.eigvals(matrix).abs().max()
    v = torch.randn(4, dtype=torch.float64)

    def step(number, state):
        h = state[0] @ matrix.T
        return (h[0] @ v), (h,)

    found = flow.state_gradients(step, (torch.randn(1, 3, 4, dtype=torch.float64),), 12)
    wanted = [float((v @ torch.linalg.matrix_power(matrix, k)).norm()) for k in range(1, 13)]
    assert found.parts.shape == (3, 12, 1, 1)
    np.testing.assert_allclose(found.norms, np.tile(wanted, (3, 1)), rtol=1e-10)
    np.testing.assert_allclose(found.mean, wanted, rtol=1e-10)
    np.testing.assert_allclose(found.geometric_mean, wanted, rtol=1e-10)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_it_is_autograd_of_the_whole_unrolled_model(network, piece_of, cell):
    """Each state in turn is a leaf of its own, and the window from it on is run in one call."""
    model, piece = network(cell), piece_of(1)
    steps, end = 6, 9
    start = end - steps
    before = states_before(model, piece, [start])
    found = flow.reach(model, between(piece, start, end), before)
    for lag in range(1, steps + 1):
        state = tuple(part.requires_grad_() for part in states_before(model, piece, [end - lag]))
        nats, _ = model(between(piece, end - lag, end), state)
        gradients = torch.autograd.grad(nats[:, -1].sum(), state)
        for part, gradient in enumerate(gradients):
            np.testing.assert_allclose(
                found.parts[0, lag - 1, :, part], gradient.norm(dim=-1)[:, 0].numpy(), rtol=1e-9, atol=1e-300
            )


@pytest.mark.parametrize("output", ["independent", "joint"])
def test_frames_with_echoes_are_differentiated_by_the_stack_alone(output, phrase):
    """The memory of frames goes along, step by step as in one call, and is no part of the state that is measured."""
    codec = codecs.build("frames", frames_per_quarter=2)
    arrays = piece_arrays(codec, codec.encode(phrase(3)))
    piece = to_window(Arrays(*(field[None] for field in arrays)))
    torch.manual_seed(0)
    sizes = {"num_keys": 88, "hidden_size": 6, "num_layers": 2, "embedding_size": 5, "echoes": [4, 8]}
    model = FrameModel(num_ids=6, up_ids=[0, 2], down_ids=[1, 3], output=output, **sizes).double().eval()
    for copy in (module for module in model.modules() if isinstance(module, CopyGates)):
        torch.nn.init.normal_(copy.gates.weight)  # so that what is remembered changes the gradient
    steps, end = 5, 20
    found = flow.reach(model, between(piece, end - steps, end), states_before(model, piece, [end - steps]))
    assert found.parts.shape == (1, steps, 2, 2)
    for lag in range(1, steps + 1):
        *own, memory = states_before(model, piece, [end - lag])
        own = [part.requires_grad_() for part in own]
        nats, _ = model(between(piece, end - lag, end), (*own, memory))
        for part, gradient in enumerate(torch.autograd.grad(nats[:, -1].sum(), own)):
            np.testing.assert_allclose(found.parts[0, lag - 1, :, part], gradient.norm(dim=-1)[:, 0], rtol=1e-6)
    assert (
        flow.piece_reach(model, piece, lags=6, losses=3).norms[:2].all()
    )  # the third is the ending, which costs nothing


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_passes_something_back(network, piece_of, cell):
    found = flow.piece_reach(network(cell), piece_of(1), lags=4, losses=2)
    assert (found.norms > 0).all() and np.isfinite(found.norms).all()
    parts = found.parts.sum(axis=(0, 1, 2)) > 0
    assert parts.tolist() == ([True, True, True, False] if cell == "slstm" else [True] * len(parts))


def test_several_losses_of_a_piece_are_those_of_each_alone(network, piece_of):
    model, piece = network(), piece_of(2)
    found = flow.piece_reach(model, piece, lags=5, losses=3)
    starts = [1, (1 + num_steps(piece) - 5) // 2, num_steps(piece) - 5]
    for row, start in enumerate(starts):
        alone = flow.reach(model, between(piece, start, start + 5), states_before(model, piece, [start]))
        np.testing.assert_allclose(found.parts[row], alone.parts[0], rtol=1e-9)


def test_nothing_passes_the_beginning_of_a_piece(network, piece_of):
    model, piece = network(), piece_of(1)
    found = flow.reach(model, between(piece, 0, 4), model.initial_state(1))
    assert (found.norms[0, :3] > 0).all()
    assert found.norms[0, 3] == 0
    assert flow.piece_reach(model, piece, lags=1000, losses=4).norms.all()


def test_means_over_losses():
    parts = np.array([[[[3.0, 4.0]], [[0.0, 1.0]]], [[[0.0, 5e-4]], [[0.0, 1e-4]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])
    found = flow.Reach(parts)
    np.testing.assert_allclose(found.norms, [[5, 1], [5e-4, 1e-4], [0, 0]])
    np.testing.assert_allclose(found.mean, [5.0005 / 3, 1.0001 / 3])
    np.testing.assert_allclose(found.geometric_mean, [0.05, 0.01])  # the loss that nothing could change is left out


def test_half_life():
    lags = np.arange(1, 40)
    assert flow.half_life(0.5 ** (lags / 7)) == pytest.approx(7)
    assert flow.half_life(2.0 ** (lags / 3)) == pytest.approx(-3)


def test_windows_have_the_norms_of_a_backward_pass(network, piece_of):
    """The same state carried on, the same mean; `.grad` is left alone."""
    model, lanes = network(), stacked([piece_of(2, seed) for seed in (0, 1)])
    found = flow.window_norms(model, lanes, 16)
    assert len(found) == -(-num_steps(lanes) // 16)
    assert all(p.grad is None for p in model.parameters())
    state = None
    for number in range(len(found)):
        window = between(lanes, 16 * number, 16 * number + 16)
        nats, state = model(window, state)
        ((nats * window.weight).sum() / window.weight.sum()).backward()
        squares = sum(float((p.grad**2).sum()) for p in model.parameters() if p.grad is not None)
        assert found[number] == pytest.approx(np.sqrt(squares), rel=1e-9)
        model.zero_grad()
        state = tuple(part.detach() for part in state)
