"""Temperature, top-k, top-p, min-p against distributions written down by hand, and the draw."""

import math

import numpy as np
import pytest
import torch

from lstmusic.sampling import filters

P = (0.4, 0.3, 0.2, 0.1)
LOGITS = torch.tensor([P]).log()
ALL = torch.ones(1, 4, dtype=torch.bool)


def kept(**settings):
    """The probabilities that are left of 0.4, 0.3, 0.2, 0.1."""
    return filters.probabilities(LOGITS, ALL, **settings)[0].tolist()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, P),
        ({"temperature": 0.5}, [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        ({"temperature": 2.0}, [math.sqrt(p) / sum(math.sqrt(q) for q in P) for p in P]),
        ({"temperature": 1e-300}, [1, 0, 0, 0]),
        ({"temperature": 1e300}, [0.25] * 4),
        ({"top_k": 1}, [1, 0, 0, 0]),
        ({"top_k": 2}, [4 / 7, 3 / 7, 0, 0]),
        ({"top_k": 9}, P),
        ({"top_p": 0.3}, [1, 0, 0, 0]),
        ({"top_p": 0.5}, [4 / 7, 3 / 7, 0, 0]),
        ({"top_p": 0.85}, [4 / 9, 3 / 9, 2 / 9, 0]),
        ({"top_p": 0.999}, P),
        ({"min_p": 0.26}, [4 / 9, 3 / 9, 2 / 9, 0]),
        ({"min_p": 0.6}, [4 / 7, 3 / 7, 0, 0]),
        ({"min_p": 0.99}, [1, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.5, "min_p": 0.3}, [4 / 7, 3 / 7, 0, 0]),
    ],
)
def test_literal_distributions(settings, expected):
    assert kept(**settings) == pytest.approx(expected, abs=1e-6)


def test_forbidden_ids_do_not_count_towards_any_filter():
    allowed = torch.tensor([[False, True, True, True]])
    for settings, expected in (
        ({}, [0, 3 / 6, 2 / 6, 1 / 6]),
        ({"top_k": 1}, [0, 1, 0, 0]),
        ({"top_p": 0.45}, [0, 1, 0, 0]),
        ({"min_p": 0.6}, [0, 3 / 5, 2 / 5, 0]),
    ):
        assert filters.probabilities(LOGITS, allowed, **settings)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_rows_are_filtered_on_their_own():
    logits = torch.cat([LOGITS, LOGITS.flip(-1)])
    out = filters.probabilities(logits, ALL.expand(2, 4), top_p=0.5)
    assert torch.equal(out[0], out[1].flip(-1))


def test_probabilities_sum_to_one_whatever_the_logits():
    torch.manual_seed(0)
    logits = torch.randn(50, 300) * 30
    allowed = torch.rand(50, 300) < 0.2
    allowed[:, 7] = True
    p = filters.probabilities(logits, allowed, temperature=0.3, top_k=20, top_p=0.9, min_p=0.01)
    torch.testing.assert_close(p.sum(-1), torch.ones(50, dtype=torch.float64))
    assert (p[~allowed] == 0).all()


def test_each_song_has_its_temperature():
    out = filters.probabilities(LOGITS.expand(2, 4), ALL.expand(2, 4), temperature=torch.tensor([0.5, 2.0]).double())
    assert out[0].tolist() == pytest.approx(kept(temperature=0.5))
    assert out[1].tolist() == pytest.approx(kept(temperature=2.0))


REST = (torch.tensor([2, 3]), 1.0)


def test_a_kind_has_its_own_temperature_and_stays_as_likely_as_it_was():
    kinds = [(torch.tensor([0, 1]), 2.0), REST]
    cold, warm = math.sqrt(0.4), math.sqrt(0.3)
    expected = [0.7 * cold / (cold + warm), 0.7 * warm / (cold + warm), 0.2, 0.1]
    assert kept(kinds=kinds) == pytest.approx(expected)
    squares = [p**2 for p in P]  # all at temperature 1/2; the first two chosen among themselves at 1
    both = (squares[0] + squares[1]) / sum(squares)
    expected = [both * 4 / 7, both * 3 / 7, squares[2] / sum(squares), squares[3] / sum(squares)]
    assert kept(kinds=kinds, temperature=0.5) == pytest.approx(expected)


def test_the_choice_between_kinds_has_its_own_temperature():
    kinds = [(torch.tensor([0, 1]), 1.0), REST]
    first, second = 0.7**2 / (0.7**2 + 0.3**2), 0.3**2 / (0.7**2 + 0.3**2)
    expected = [first * 4 / 7, first * 3 / 7, second * 2 / 3, second / 3]
    assert kept(kinds=kinds, between=0.5) == pytest.approx(expected)


def test_a_kind_that_is_not_allowed_at_all_stays_out():
    allowed = torch.tensor([[False, False, True, True]])
    out = filters.probabilities(LOGITS, allowed, kinds=[(torch.tensor([0, 1]), 2.0), (torch.tensor([2, 3]), 1e-9)])
    assert out[0].tolist() == [0, 0, 1, 0]


def test_draws_come_as_often_as_their_probability():
    rng = np.random.default_rng(0)
    draws = 20_000
    p = torch.tensor([[0.0, 0.5, 0.0, 0.3, 0.2, 0.0]], dtype=torch.float64).expand(draws, 6)
    ids = filters.draw(p, torch.from_numpy(rng.random(draws)))
    frequency = torch.bincount(ids, minlength=6) / draws
    torch.testing.assert_close(frequency.double(), p[0], atol=0.015, rtol=0)
    assert frequency[[0, 2, 5]].sum() == 0


@pytest.mark.parametrize(
    ("uniform", "expected"), [(0.0, 1), (0.4999, 1), (0.5, 3), (0.7999, 3), (0.8001, 4), (1 - 2**-53, 4)]
)
def test_the_edges_of_a_draw(uniform, expected):
    p = torch.tensor([[0.0, 0.5, 0.0, 0.3, 0.2, 0.0]], dtype=torch.float64)
    assert filters.draw(p, torch.tensor([uniform], dtype=torch.float64)).tolist() == [expected]
