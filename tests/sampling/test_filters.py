"""Temperature, top-k, top-p, min-p against distributions written down by hand, and the draw."""

import math

import numpy as np
import pytest
import torch

from lstmusic.errors import ConfigError
from lstmusic.sampling import filters
from lstmusic.sampling.sampler import SamplingSettings

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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0: expected a positive number .*greedy=true"),
        ({"temperature": -1.0}, "temperature=-1.0: expected a positive number"),
        ({"temperature": math.nan}, "temperature=nan"),
        ({"temperature": math.inf}, "temperature=inf"),
        ({"top_k": -1}, r"sampling.top_k=-1: expected 0 \(off\) or a positive number"),
        ({"top_p": 0.0}, "sampling.top_p=0.0: expected 0 < top_p <= 1"),
        ({"top_p": 1.1}, "sampling.top_p=1.1"),
        ({"top_p": math.nan}, "sampling.top_p=nan"),
        ({"min_p": 1.0}, "sampling.min_p=1.0: expected 0 <= min_p < 1"),
        ({"min_p": -0.1}, "sampling.min_p=-0.1"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SamplingSettings(**settings)


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
