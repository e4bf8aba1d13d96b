"""Truncated backpropagation through time: what is carried, what is cut, where it is fresh; for every cell, in float64.

The reference is the model written one step at a time, with nothing of windows, spans and lanes: it keeps the state of each
lane in a loop, makes it zero where a piece begins, and detaches it where a window begins.
"""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from lstmusic.models.cells import CELLS
from lstmusic.models.language_model import ILLEGAL, RecurrentLanguageModel, Window
from lstmusic.schema.groups import SCANNED

IDS, GROUP, FEATURES, FLAGS = 9, 2, [3, 2], 2
LANES, STEPS = 3, 14
BORDERS = ((0, 5), (0, 9), (1, 1), (1, 7), (2, 0), (2, 7), (2, 12))  # (lane, step) at which pieces begin
CUTS = ((0, 7, 14), (0, 5, 9, 14), (0, 1, 6, 13, 14), tuple(range(15)))


@pytest.fixture(params=CELLS)
def model(request):
    """A language model of two layers with every cell in turn."""
    return model_of(request.param)


def model_of(cell, **sizes):
    torch.manual_seed(0)
    return (
        RecurrentLanguageModel(
            num_ids=IDS,
            group_size=GROUP,
            feature_sizes=FEATURES,
            num_flags=FLAGS,
            cell=cell,
            **{"embedding_size": 6, "hidden_size": 7, "num_layers": 2, **sizes},
        )
        .double()
        .eval()
    )


@pytest.fixture
def window():
    """Random steps on three lanes; pieces begin at `BORDERS`, the others are going on from the window before."""
    draw = torch.Generator().manual_seed(1)
    shape = (LANES, STEPS, GROUP)
    targets = torch.randint(IDS, shape, generator=draw)
    allowed = (torch.rand(*shape, IDS, generator=draw) < 0.7).scatter(-1, targets[..., None], True)
    reset = torch.zeros(shape[:2], dtype=torch.bool)
    for lane, step in BORDERS:
        reset[lane, step] = True
    return Window(
        previous=torch.randint(IDS, shape, generator=draw),
        targets=targets,
        columns=torch.stack([torch.randint(size, shape, generator=draw) for size in FEATURES], dim=-1),
        flags=torch.rand(*shape, FLAGS, generator=draw) < 0.5,
        allowed=allowed,
        reset=reset,
        weight=torch.ones(shape, dtype=torch.float64),
        scored=torch.ones(shape, dtype=torch.bool),
    )


def part_of(window, start, stop):
    """The steps start..stop-1 of a window."""
    return Window(*(field[:, start:stop] for field in window))


def chunked(model, window, cuts, between=lambda state: tuple(part.detach() for part in state)):
    """The nats of a window that is read in chunks, and the state after it; `between` is done to the state at a cut."""
    parts, state = [], None
    for start, stop in pairwise(cuts):
        nats, state = model(part_of(window, start, stop), state and between(state))
        parts.append(nats)
    return torch.cat(parts, dim=1), state


def unrolled(model, window, cuts=(), state=None):
    """The reference: one step after the other, the state detached at `cuts`."""
    state = model.initial_state(LANES) if state is None else state
    nats = torch.zeros(window.targets.shape, dtype=torch.float64)
    for t in range(window.targets.shape[1]):
        fresh = window.reset[:, t, None]
        state = tuple(torch.where(fresh, torch.zeros_like(part), part) for part in state)
        if t in cuts:
            state = tuple(part.detach() for part in state)
        hidden, state = model.step(window.previous[:, t], window.columns[:, t, 0], window.flags[:, t, 0], state)
        for g in range(GROUP):
            logits = model.member_logits(
                hidden, window.targets[:, t, :g], window.columns[:, t, g], window.flags[:, t, g]
            )
            logits = logits.masked_fill(~window.allowed[:, t, g], ILLEGAL)
            nats[:, t, g] = functional.cross_entropy(logits, window.targets[:, t, g], reduction="none")
    return nats, state


def gradients(model, nats):
    """The gradient of the mean loss with respect to every weight."""
    return torch.autograd.grad(nats.mean(), list(model.parameters()))


def check_equal(ones, others):
    """Every tensor equals its counterpart."""
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


# what is carried


@pytest.mark.parametrize("cuts", CUTS)
def test_chunks_equal_the_whole(model, window, cuts):
    whole, last = model(window)
    nats, state = chunked(model, window, cuts)
    check_equal([nats, nats.mean(), *state], [whole, whole.mean(), *last])


def test_windows_equal_single_steps(model, window):
    (nats, state), (expected, last) = model(window), unrolled(model, window)
    check_equal([nats, *state], [expected, *last])


def test_a_state_that_is_lost_or_of_another_lane_is_noticed(model, window):
    whole, _ = model(window)
    for spoil in (
        lambda state: None,
        lambda state: tuple(part.roll(1, dims=1) for part in state),  # lanes shuffled between two windows
        lambda state: tuple(part.flip(0) for part in state),  # layers exchanged
    ):
        nats, _ = chunked(model, window, (0, 3, STEPS), between=spoil)
        with pytest.raises(AssertionError):
            check_equal([nats], [whole])


# what is fresh


def alone(model, window):
    """The nats of each piece on its own, where it stands in the window; of what goes on from before, too."""
    nats = torch.zeros(window.targets.shape, dtype=torch.float64)
    for lane in range(LANES):
        begins = sorted({0, *(step for where, step in BORDERS if where == lane)})
        for start, stop in pairwise([*begins, STEPS]):
            piece = Window(*(field[lane : lane + 1, start:stop] for field in window))
            nats[lane, start:stop] = model(piece)[0][0]
    return nats


def test_a_piece_in_a_lane_is_the_piece_on_its_own(model, window):
    check_equal([model(window)[0]], [alone(model, window)])


@pytest.mark.parametrize("by", [-1, 1])
def test_a_reset_one_step_off_is_noticed(model, window, by):
    early_or_late = window._replace(reset=window.reset.roll(by, dims=1))
    with pytest.raises(AssertionError):
        check_equal([model(early_or_late)[0]], [alone(model, window)])


def test_a_reset_is_of_its_lane_only(model, window):
    for lane, step in BORDERS:
        reset = window.reset.clone()
        reset[lane, step] = False
        touched = ((model(window._replace(reset=reset))[0] - model(window)[0]).abs() > 1e-10).any(-1)
        expected = torch.zeros_like(touched)
        until = min([b for where, b in BORDERS if where == lane and b > step], default=STEPS)
        expected[lane, step:until] = step > 0  # at the window's first step the state is zero anyway
        assert torch.equal(touched, expected)


# what is cut


def test_gradients_are_those_of_single_steps(model, window):
    """All weights, through 14 steps of two layers, cut where pieces begin."""
    check_equal(gradients(model, model(window)[0]), gradients(model, unrolled(model, window)[0]))


@pytest.mark.parametrize("cuts", CUTS)
def test_gradients_of_windows_are_cut_at_their_borders_and_nowhere_else(model, window, cuts):
    found = gradients(model, chunked(model, window, cuts)[0])
    check_equal(found, gradients(model, unrolled(model, window, cuts)[0]))
    with pytest.raises(AssertionError):  # the borders matter: without a cut, and with one more, it is another gradient
        check_equal(found, gradients(model, unrolled(model, window)[0]))
    with pytest.raises(AssertionError):
        check_equal(found, gradients(model, unrolled(model, window, (*cuts, 4) if len(cuts) < 15 else ())[0]))


def test_the_gradient_ends_at_the_windows_border(model, window):
    """The loss of a window reaches the state that was handed in, but nothing of the window that made it."""
    first, second = part_of(window, 0, 4), part_of(window, 4, STEPS)
    read = []
    embed = model._embed_step
    model._embed_step = lambda *arguments: read.append(embed(*arguments)) or read[-1]
    _, state = model(first)
    carried = tuple(part.detach().requires_grad_() for part in state)
    nats, _ = model(second, carried)
    to_state = torch.autograd.grad(nats[:, 0].sum(), carried, retain_graph=True)
    assert all((part.abs().amax(-1) > 0).all() for part in to_state[:1])  # the outputs of every layer, in every lane
    before, here = torch.autograd.grad(nats.sum(), read, allow_unused=True)
    assert before is None
    assert (here.abs().amax(-1) > 0).all()
    read.clear()
    _, state = model(first)
    (through,) = torch.autograd.grad(model(second, state)[0].sum(), read[:1])
    assert (through[0].abs().amax(-1) > 0).all()  # lane 0, whose piece goes on: `detach` cuts, and nothing else


def test_within_a_window_every_step_is_reached_up_to_its_piece(model, window):
    read = []
    embed = model._embed_step
    model._embed_step = lambda *arguments: read.append(embed(*arguments)) or read[-1]
    nats, _ = model(window)
    for t in (0, 6, 8, STEPS - 1):
        (gradient,) = torch.autograd.grad(nats[:, t].sum(), read, retain_graph=True)
        reached = gradient.abs().amax(-1) > 0
        for lane in range(LANES):
            begin = max([step for where, step in BORDERS if where == lane and step <= t], default=0)
            assert reached[lane].tolist() == [begin <= step <= t for step in range(STEPS)]


# what is dropped


@pytest.mark.parametrize("cell", sorted(set(CELLS) - set(SCANNED)))
def test_a_window_drops_the_same_weights_from_its_first_step_to_its_last(cell, window):
    """A piece that stands twice in a window costs the same both times, and something else in the next window."""
    plain = {"input_dropout": 0.0, "dropout": 0.0, "head_dropout": 0.0}
    model = model_of(cell, weight_drop=0.4, **plain).train()
    begins = torch.zeros_like(window.reset).index_fill(1, torch.tensor([0]), True)
    once = window._replace(reset=begins)
    twice = Window(*(torch.cat([field, field], dim=1) for field in once))
    torch.manual_seed(2)
    nats, _ = model(twice)
    check_equal([nats[:, :STEPS]], [nats[:, STEPS:]])
    for other in (model(once)[0], model.eval()(once)[0]):
        with pytest.raises(AssertionError):
            check_equal([nats[:, :STEPS]], [other])
