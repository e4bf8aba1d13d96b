"""Parts of windows."""

import torch

from lstmusic.insight.windows import between, num_steps, stacked, states_before


def test_padding_changes_nothing(network, piece_of):
    model, pieces = network(), [piece_of(1), piece_of(3, seed=1), piece_of(2, seed=2)]
    window = stacked(pieces)
    nats, _ = model(window)
    for lane, piece in enumerate(pieces):
        here = num_steps(piece)
        torch.testing.assert_close(nats[lane, :here], model(piece)[0][0])
        assert not window.weight[lane, here:].any() and not window.scored[lane, here:].any()
    assert torch.isfinite(nats).all()


def test_states_are_those_of_the_piece_read_up_to_there(network, piece_of):
    model, piece = network(), piece_of(2)
    found = states_before(model, piece, [0, 3, 3, 20])
    for lane, step in enumerate([0, 3, 3, 20]):
        wanted = model(between(piece, 0, step))[1] if step else model.initial_state(1)
        for part, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(part[:, lane : lane + 1], other)
