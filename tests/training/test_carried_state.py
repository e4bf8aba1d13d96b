"""The carried state through the real module and the real lanes: windows add up to whole pieces, and no other way."""

import pytest
import torch

from lstmusic.evaluation.likelihood import to_window
from lstmusic.models.language_model import Window


@pytest.fixture
def nats_of(module_of, lanes, batch):
    """A function: nats per token over one epoch of windows, while nothing is learned; `between` is done to the state."""

    def measure(between):
        module = module_of()
        module.learning_rate = 0.0
        assert lanes.num_windows(0) >= 4
        for step in range(lanes.num_windows(0)):
            module.training_step(batch(0, step), step)
            assert not any(part.requires_grad for part in module.state)
            module.state = between(module.state)
        return module.read().per_token

    return measure


@pytest.fixture
def expected(module_of, lanes):
    """Nats per token of the same pieces, each alone and whole."""
    model = module_of().model
    windows = [to_window(lanes.window(0, step)) for step in range(lanes.num_windows(0))]
    whole = Window(*(torch.cat(fields, dim=1) for fields in zip(*windows, strict=True)))
    nats = tokens = 0
    for lane, plan in enumerate(lanes.plan(0)):
        for item in plan:
            here = slice(item.start, item.start + item.steps)
            piece = Window(*(field[lane : lane + 1, here] for field in whole))
            nats += model(piece)[0][piece.scored].sum().item()
            tokens += int(piece.scored.sum())
    return nats / tokens


def test_windows_add_up_to_whole_pieces(nats_of, expected):
    assert nats_of(lambda state: state) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "spoil",
    [lambda state: None, lambda state: tuple(part.flip(1) for part in state)],
    ids=["lost", "lanes shuffled"],
)
def test_a_state_that_is_not_its_lanes_is_noticed(nats_of, expected, spoil):
    assert nats_of(spoil) != pytest.approx(expected, rel=1e-4)
