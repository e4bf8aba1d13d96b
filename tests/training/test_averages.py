"""Averages of the weights, beside means that are written out."""

import pytest
import torch

from lstmusic.errors import ConfigError
from lstmusic.training.averages import Averaging


@pytest.fixture
def weights():
    """The weights after each of some steps, float64 [steps, 3]."""
    return torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def means(averaging, weights, figures=None):
    """The mean after each step; `figures` are validations: after which step, and what they gave."""
    mean, found = [torch.zeros(3, dtype=torch.float64)], []
    for step, row in enumerate(weights):
        averaging.update(mean, [row], step)
        found.append(mean[0].clone())
        if figures and step in figures:
            averaging.validated(figures[step])
    return torch.stack(found)


def test_ema_is_the_sum_written_out(weights):
    decays = [min(0.9, (1 + n) / (10 + n)) for n in range(len(weights))]
    found = means(Averaging("ema", 0.9), weights)
    for step in range(len(weights)):
        shares = [(1 - decays[k]) * torch.tensor(decays[k + 1 : step + 1]).double().prod() for k in range(step + 1)]
        expected = sum(share * row for share, row in zip(shares, weights, strict=False))
        torch.testing.assert_close(found[step], expected, atol=1e-6, rtol=1e-6)


def test_none_is_the_weights(weights):
    assert torch.equal(means(Averaging("none"), weights, dict.fromkeys(range(30), 1.0)), weights)


def test_asgd_is_the_plain_mean_from_where_validation_stopped_improving(weights):
    """With n = 2 the check of 4.1 is the first that is worse than the best of those before the last two, 5 and 4."""
    figures = {1: 5.0, 3: 4.0, 5: 4.2, 7: 4.5, 9: 4.1, 11: 3.0}
    averaging = Averaging("asgd", checks=2)
    found = means(averaging, weights, figures)
    assert torch.equal(found[:10], weights[:10])
    for step in range(10, 30):
        torch.testing.assert_close(found[step], weights[9 : step + 1].mean(dim=0))
    assert averaging.taken == 30 - 9


@pytest.mark.parametrize(
    ("figures", "begins"),
    [
        ([3, 3, 3, 3, 3], False),  # no better is not worse
        ([3, 2, 1, 1.5, 1.9], False),  # the best is one of the last two before it
        ([3, 2, 1, 1.5, 1.9, 1.2], True),
        ([3, 9], False),  # too early to tell
        ([1, 2, 3], False),
        ([1, 2, 3, 1.5], True),
    ],
)
def test_when_asgd_begins(figures, begins):
    averaging = Averaging("asgd", checks=2)
    for figure in figures:
        averaging.validated(figure)
    assert bool(averaging.taken) == begins


def test_ema_never_changes_its_ways(weights):
    assert torch.equal(
        means(Averaging("ema", 0.9), weights), means(Averaging("ema", 0.9), weights, {k: float(k) for k in range(30)})
    )


@pytest.mark.parametrize("kind", ["ema", "asgd", "none"])
@pytest.mark.parametrize("stop", [3, 12, 25])
def test_going_on_from_saved_state_changes_nothing(weights, kind, stop):
    figures = {k: float(k) for k in range(0, 30, 2)}
    expected = means(Averaging(kind, 0.9, checks=2), weights, figures)
    first = Averaging(kind, 0.9, checks=2)
    mean = [torch.zeros(3, dtype=torch.float64)]
    averaging = first
    for step, row in enumerate(weights):
        if step == stop:
            averaging = Averaging(kind, 0.9, checks=2)
            averaging.load_state_dict(first.state_dict())
        averaging.update(mean, [row], step)
        assert torch.equal(mean[0], expected[step])
        if step in figures:
            averaging.validated(figures[step])


def test_another_name_is_refused():
    with pytest.raises(ConfigError, match="average=swa: expected one of ema, asgd, none"):
        Averaging("swa")
