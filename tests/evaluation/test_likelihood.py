"""Nats of held-out music: the same figure however the pieces are laid out."""

import numpy as np
import pytest
import torch

from lstmusic.corpus.lanes import Lanes
from lstmusic.evaluation.likelihood import Nats, piece_nats, split_nats


@pytest.fixture
def pieces(codec, phrase):
    """Pieces of different lengths."""
    return [codec.encode(phrase(bars=bars, seed=bars)) for bars in (1, 4, 2, 3, 1)]


def lanes_of(codec, pieces, num_lanes, window_steps):
    steps = np.array([len(ids) // codec.group_size - 1 for ids in pieces])
    return Lanes(read=pieces.__getitem__, steps=steps, codec=codec, num_lanes=num_lanes, window_steps=window_steps)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_split_is_the_sum_of_its_pieces(codec, pieces, tiny_model, cell):
    model = tiny_model(codec, cell=cell)
    by_piece = [piece_nats(model, codec, ids) for ids in pieces]
    scored = [codec.scored(ids)[codec.group_size :] for ids in pieces]
    total = split_nats(model, lanes_of(codec, pieces, 2, 16))
    assert total.tokens == sum(int(s.sum()) for s in scored) > 0
    assert total.nats == pytest.approx(sum(n[s].sum() for n, s in zip(by_piece, scored, strict=True)), rel=1e-5)
    assert total.other_nats == pytest.approx(sum(n[~s].sum() for n, s in zip(by_piece, scored, strict=True)), rel=1e-4)
    assert total.per_token == total.nats / total.tokens


@pytest.mark.parametrize(("num_lanes", "window_steps"), [(1, 7), (1, 1000), (3, 16), (5, 1), (64, 128)])
def test_the_layout_changes_nothing(codec, pieces, tiny_model, num_lanes, window_steps):
    model = tiny_model(codec)
    expected = split_nats(model, lanes_of(codec, pieces, 2, 32))
    total = split_nats(model, lanes_of(codec, pieces, num_lanes, window_steps))
    assert total.tokens == expected.tokens
    assert total.nats == pytest.approx(expected.nats, rel=1e-5)
    assert total.other_nats == pytest.approx(expected.other_nats, rel=1e-5)


def test_evaluation_draws_nothing_and_leaves_the_model_as_it_was(codec, pieces, tiny_model):
    model = tiny_model(codec, dropout=0.5, head_dropout=0.5).train()
    rng = torch.get_rng_state()
    first, second = (split_nats(model, lanes_of(codec, pieces, 2, 16)) for _ in range(2))
    assert first == second
    assert model.training
    assert torch.equal(torch.get_rng_state(), rng)


def test_no_target_is_seen_before_it_is_scored(codec, pieces, tiny_model):
    """The nats of an id are its own: another ending leaves everything before it as it was."""
    model = tiny_model(codec)
    whole = piece_nats(model, codec, pieces[1])
    cut = len(pieces[1]) // 2 // codec.group_size * codec.group_size
    part = piece_nats(model, codec, pieces[1][:cut])
    np.testing.assert_allclose(part, whole[: len(part)], rtol=1e-4, atol=1e-5)


def test_no_tokens_are_no_division_by_zero():
    assert Nats().per_token == 0
