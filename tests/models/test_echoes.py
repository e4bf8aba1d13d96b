"""Echoes: the frames of some lags, never those of another piece, however the piece is cut into windows."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstmusic.errors import StateShapeError
from lstmusic.models.echoes import AGREEMENT_STEPS, CopyGates, Echoes

KEYS = 4
LAGS = (2, 5, 7)


def lane_of(pieces):
    """The frame before each target of several pieces on a lane, where there is one, and where a piece begins."""
    frames, is_frame, reset = [], [], []
    for piece in pieces:
        frames += [np.zeros((1, KEYS)), piece[:-1]]
        is_frame += [False] + [True] * (len(piece) - 1)
        reset += [True] + [False] * (len(piece) - 1)
    return (
        torch.from_numpy(np.concatenate(frames)).float()[None],
        torch.tensor(is_frame)[None],
        torch.tensor(reset)[None],
    )


def by_definition(piece):
    """Echoes and agreement at each target of a piece [T, K], each from the piece itself."""
    echoes = np.zeros((len(piece), 1 + len(LAGS), KEYS))
    agreement = np.zeros((len(piece), len(LAGS)))
    for t in range(len(piece)):
        for n, lag in enumerate((1, *LAGS)):
            if t >= lag:
                echoes[t, n] = piece[t - lag]
        for n, lag in enumerate(LAGS):
            last = range(max(0, t - AGREEMENT_STEPS), t)
            hits = sum(s >= lag and (piece[s] == piece[s - lag]).all() for s in last)
            agreement[t, n] = hits / AGREEMENT_STEPS
    return echoes, agreement


def heard_in_parts(echoes, lane, cuts):
    frames, is_frame, reset = lane
    memory = echoes.initial_memory(frames, 1)
    parts = []
    for start, stop in pairwise([0, *cuts, frames.shape[1]]):
        part = echoes.hear(frames[:, start:stop], is_frame[:, start:stop], reset[:, start:stop], memory)
        memory = part.memory
        parts.append(part)
    return torch.cat([p.echoes for p in parts], 1)[0].numpy(), torch.cat([p.agreement for p in parts], 1)[0].numpy()


@given(st.lists(st.integers(2, 30), min_size=1, max_size=4), st.sets(st.integers(1, 60)), st.integers(0, 99))
def test_echoes_are_those_of_the_definition_however_windows_are_cut(lengths, cuts, seed):
    rng = np.random.default_rng(seed)
    phrase = rng.random((6, KEYS)) < 0.4
    pieces = [
        np.where(rng.random((n, 1)) < 0.8, np.resize(phrase, (n, KEYS)), rng.random((n, KEYS)) < 0.4) for n in lengths
    ]
    cuts = sorted(cut for cut in cuts if cut < sum(lengths))
    echoes, agreement = heard_in_parts(Echoes(KEYS, LAGS), lane_of(pieces), cuts)
    expected = [by_definition(piece) for piece in pieces]
    np.testing.assert_array_equal(echoes, np.concatenate([e for e, _ in expected]))
    np.testing.assert_allclose(agreement, np.concatenate([a for _, a in expected]), atol=1e-6)


def test_a_frame_that_repeats_after_two_is_heard_and_agrees():
    piece = np.array([[1, 0, 0, 0], [0, 1, 0, 0]] * 8)
    echoes, agreement = heard_in_parts(Echoes(KEYS, (2,)), lane_of([piece]), [])
    assert echoes[6].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert agreement[:, 0].tolist() == [0, 0, 0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1, 1, 1, 1, 1]


def test_a_memory_of_other_lags_is_refused():
    frames = torch.zeros(1, 3, KEYS)
    with pytest.raises(StateShapeError, match=r"expected \(9, 1, 5\)"):
        Echoes(KEYS, (2,)).hear(
            frames, frames[..., 0] > 0, frames[..., 0] > 0, Echoes(KEYS, (3,)).initial_memory(frames, 1)
        )


def test_a_lag_of_one_is_refused():
    with pytest.raises(ValueError, match="expected lags of 2"):
        Echoes(KEYS, (4, 1))


def test_gates_add_one_number_where_a_key_was_down_and_another_where_it_was_up():
    gates = CopyGates(3, 2)
    assert (gates(torch.randn(5, 3), torch.ones(5, 2, KEYS)) == 0).all()  # nothing is copied before it is learned
    with torch.no_grad():
        gates.gates.bias.copy_(torch.tensor([2.0, 5.0, -1.0, 0.0]))
    echoes = torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 1]])
    assert gates(torch.zeros(3), echoes).tolist() == [2, -1, 4, 7]
