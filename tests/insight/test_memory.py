"""Nats by place and by memory: against whole pieces, and a model that provably knows the last step alone."""

import numpy as np
import pytest
import torch

from lstmusic.insight import memory
from lstmusic.insight.windows import between, num_steps


def test_by_position_is_each_piece_alone(network, piece_of):
    model, pieces = network(), [piece_of(bars, seed=bars) for bars in (1, 3, 2)]
    found = memory.nats_by_position(model, pieces)
    assert found.nats.shape == found.tokens.shape == (3, num_steps(pieces[1]))
    for row, piece in enumerate(pieces):
        nats = (model(piece)[0] * piece.scored).sum(dim=2)[0].detach().numpy()
        np.testing.assert_allclose(found.nats[row, : len(nats)], nats, rtol=1e-6)
        assert found.tokens[row, : len(nats)].tolist() == piece.scored[0].sum(dim=1).tolist()
        assert not found.tokens[row, len(nats) :].any()


def test_bins():
    """Two pieces, one of which ends: nats over tokens, both summed first; the error of a ratio of sums."""
    found = memory.ByPosition(np.array([[1.0, 2, 3, 0], [3, 2, 0, 0]]), np.array([[1, 1, 2, 0], [1, 1, 0, 0]]))
    means, errors, pieces = found.binned([0, 2, 3, 4])
    np.testing.assert_allclose(means, [2, 1.5, np.nan])
    np.testing.assert_allclose(errors, [np.sqrt((1 + 1) * 2) / 4, 0, np.nan])
    assert pieces.tolist() == [2, 1, 0]


def test_by_memory_reads_just_so_many_steps(network, piece_of):
    """Each figure against the steps up to the target as a window of their own, from a zero state."""
    model, pieces = network(), [piece_of(1), piece_of(2, seed=1)]
    targets, lags = [(0, 4), (1, 30), (1, 7)], [1, 2, 4, 8, 64]
    found = memory.nats_by_memory(model, pieces, targets, lags)
    for row, lag in enumerate(lags):
        for column, (piece, step) in enumerate(targets):
            window = between(pieces[piece], max(step + 1 - lag, 0), step + 1)
            wanted = model(window)[0][0, -1].mean().item()
            assert found.nats[row, column] == pytest.approx(wanted, rel=1e-6)
            assert found.reached[row, column] == (lag <= step + 1)
    np.testing.assert_allclose(found.mean, found.nats.mean(axis=1))


def test_a_model_without_memory_gains_nothing(network, piece_of):
    """With no weight from state to state an Elman layer's output follows from the present step alone."""
    model, pieces = network("rnn"), [piece_of(3)]
    targets = memory.spread_targets(pieces, 10)
    remembering = memory.nats_by_memory(model, pieces, targets, [1, 2, 4, 8])
    assert abs(remembering.gain[0][0]) > 1e-5
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "weight_hh" in name:
                weights.zero_()
    found = memory.nats_by_memory(model, pieces, targets, [1, 2, 4, 8])
    np.testing.assert_allclose(found.gain[0], 0, atol=1e-6)
    assert found.gain[1].shape == (4,)


def test_targets_are_scored_and_spread(piece_of):
    pieces = [piece_of(1), piece_of(4, seed=1)]
    targets = memory.spread_targets(pieces, 20)
    assert len(set(targets)) == 20
    assert all(pieces[piece].scored[0, step].any() for piece, step in targets)
    assert {piece for piece, _ in targets} == {0, 1}
    everything = sum(int(piece.scored[0, 1:].any(dim=-1).sum()) for piece in pieces)
    assert len(memory.spread_targets(pieces, 10_000)) == everything
