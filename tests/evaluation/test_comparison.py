"""Two sets of values beside each other: by hand where that can be done, against slower ways, and over many draws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import gaussian_kde, norm

from lstmusic.evaluation import comparison
from lstmusic.evaluation.comparison import auc, compared, two_sample

MOST_NATS = -math.log(comparison.FLOOR)


def values_of(*values):
    return np.array(values, float)


def test_means_and_spreads():
    found = compared(values_of(1, 3, math.nan), values_of(2, 4, 6))
    assert (found.held_out_pieces, found.pieces) == (2, 3)
    assert (found.held_out_mean, found.mean) == (2, 4)
    assert found.held_out_sd == pytest.approx(math.sqrt(2))
    assert found.sd == 2


@pytest.mark.parametrize(
    ("held_out", "others", "overlap", "kl"),
    [
        pytest.param((3,) * 5, (3, 3), 1, 0, id="all the same"),
        pytest.param((3,) * 5, (5, 5), 0, MOST_NATS, id="two other values"),
        pytest.param((3,) * 5, (3, 5), 1 / 2, math.log(2), id="half of the distances are 0"),
        pytest.param((0.1,) * 5, (0.3 - 0.2, 0.1), 1, 0, id="but for rounding"),
    ],
)
def test_distances_without_a_density(held_out, others, overlap, kl):
    found = compared(values_of(*held_out), values_of(*others))
    assert found.overlap == pytest.approx(overlap)
    assert found.kl == pytest.approx(kl)


def test_one_set_of_distances_without_a_density():
    # within: 0 ten times. Between: 0 five times and 2 five times
    assert compared(values_of(1, 1, 1, 1, 1), values_of(1, 3)).overlap == 1 / 2
    # within: 0 six times, 1 four times. Between, all held-out against 0.5: 0.5 five times
    assert compared(values_of(0, 0, 0, 0, 1), values_of(0.5)).overlap == 0


def test_few_held_out_pieces_have_no_distribution_of_distances():
    others = np.arange(20.0)
    few = compared(values_of(1, 2, 4, 8, math.nan), others)
    assert (few.held_out_pieces, few.held_out_mean) == (4, 3.75)
    assert math.isnan(few.overlap) and math.isnan(few.kl)
    assert 0 < compared(values_of(1, 2, 4, 8, 16), others).overlap < 1


def test_densities_as_scipy_smooths_them():
    rng = np.random.default_rng(0)
    held_out, others = rng.normal(size=30), rng.normal(1, 2, 40)
    intra = np.array([abs(a - b) for k, a in enumerate(held_out) for b in held_out[:k]])
    inter = np.array([abs(a - b) for a in held_out for b in others])
    grid = np.linspace(-5, 15, 4000)
    p, q = gaussian_kde(intra)(grid), gaussian_kde(inter)(grid)
    step = grid[1] - grid[0]
    assert p.sum() * step == pytest.approx(1, abs=1e-3)
    found = compared(held_out, others)
    assert found.overlap == pytest.approx(np.minimum(p, q).sum() * step, abs=1e-3)
    kl = np.where(p > 1e-12, p * np.log(np.maximum(p, 1e-300) / np.maximum(q, 1e-300)), 0).sum() * step
    assert found.kl == pytest.approx(kl, abs=2e-3)


def test_likeness_has_its_order():
    rng = np.random.default_rng(1)
    held_out = rng.normal(size=200)
    near, farther, far = (compared(held_out, rng.normal(shift, 1, 200)) for shift in (0, 1, 4))
    assert near.overlap > 0.97 and near.kl < 0.01
    assert near.overlap > farther.overlap > far.overlap
    assert near.kl < farther.kl < far.kl


@given(st.floats(0.01, 1000), st.floats(-1000, 1000))
@settings(max_examples=20)
def test_units_do_not_matter(scale, shift):
    rng = np.random.default_rng(2)
    held_out, others = rng.normal(size=20), rng.normal(0.5, 1, 30)
    found, wanted = compared(scale * held_out + shift, scale * others + shift), compared(held_out, others)
    assert found.overlap == pytest.approx(wanted.overlap, abs=1e-6)
    assert found.kl == pytest.approx(wanted.kl, abs=1e-6)


@given(
    st.lists(st.sampled_from((0.0, 0.0, 1.0, 2.5, 1e6, math.nan)), max_size=8),
    st.lists(st.sampled_from((0.0, 0.0, 1.0, 1e-9, math.inf)), max_size=8),
)
def test_any_values_give_an_answer(held_out, others):
    found = compared(values_of(*held_out), values_of(*others))
    if found.held_out_pieces < 5 or not found.pieces:
        assert math.isnan(found.overlap) and math.isnan(found.kl)
    else:
        assert -1e-9 <= found.overlap <= 1 + 1e-9
        assert 0 <= found.kl <= MOST_NATS + 1e-9


def test_auc_by_hand():
    # pairs (1,2) (1,3) (2,3) are in order, (2,2) is a tie
    assert auc(values_of(1, 2), values_of(2, 3)) == 3.5 / 4
    assert auc(values_of(2, 3), values_of(1, 2)) == 0.5 / 4
    assert auc(values_of(1, 1), values_of(1)) == 0.5


def test_logistic_regression_is_at_its_minimum():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 3))
    y = x[:, 0] + rng.normal(size=40) > 0.3

    def loss(weights):
        margin = (x @ weights[:-1] + weights[-1]) * np.where(y, 1, -1)
        return np.logaddexp(0, -margin).sum() + 0.5 * 2.0 * (weights[:-1] ** 2).sum()

    assert comparison.logistic(x, y, penalty=2.0) == pytest.approx(minimize(loss, np.zeros(4)).x, abs=1e-4)


def test_the_interval_solves_its_equation():
    # 50 and 50, AUC 0.8: the ends are those A that 0.8 is 1.96 standard errors from, at twice Hanley and McNeil's variance
    for end in comparison._interval(0.8, 50, 50):
        variance = end * (1 - end) * (1 + 49 * (1 - end) / (2 - end) + 49 * end / (1 + end)) / 2500
        assert abs(0.8 - end) == pytest.approx(1.96 * math.sqrt(2 * variance), abs=2e-4)
    low, high = comparison._interval(1.0, 10, 10)
    assert 0.5 < low < 0.95 and high == 1  # ten of each that are told apart do not prove that all can be
    assert comparison._interval(0.0, 10, 10)[0] == 0


def test_the_interval_holds_a_half_where_nothing_differs():
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found.append(two_sample(rng.normal(size=(25, 6)), rng.normal(size=(50, 6)), seed=seed))
    inside = np.mean([one.low <= 0.5 <= one.high for one in found])
    assert 0.93 <= inside < 1
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.02)  # its standard error is 0.008


def test_a_shift_by_a_standard_deviation():
    rng = np.random.default_rng(4)
    found = two_sample(rng.normal(size=(500, 3)), rng.normal((1, 0, 0), 1, size=(500, 3)))
    assert found.value == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.03)  # 0.760
    assert found.low < 0.76 < found.high and found.high - found.low < 0.1


def test_sets_that_have_nothing_in_common():
    rng = np.random.default_rng(5)
    found = two_sample(rng.normal(size=(20, 2)), rng.normal(100, 1, size=(30, 2)))
    assert found.value == 1 and found.high == 1 and 0.7 < found.low < 0.99


def test_what_is_missing():
    rng = np.random.default_rng(6)
    real, others = rng.normal(size=(30, 3)), rng.normal(size=(30, 3))
    nothing = np.full((30, 1), math.nan)
    assert two_sample(np.c_[real, nothing], np.c_[others, nothing]) == two_sample(real, others)
    assert two_sample(np.c_[real, real[:, 0]], np.c_[others, nothing]).value == 1  # told by what is missing alone
    assert two_sample(nothing, nothing).value == 0.5
    rare = real.copy()
    rare[0, 0] = math.nan
    assert two_sample(rare, others).value == pytest.approx(two_sample(real, others).value, abs=0.1)


def test_units_and_constant_columns_do_not_matter():
    rng = np.random.default_rng(7)
    real, others = rng.normal(size=(20, 3)), rng.normal(0.5, 1, size=(30, 3))
    wanted = two_sample(real, others)
    assert two_sample(1000 * real + 7, 1000 * others + 7).value == pytest.approx(wanted.value)
    assert two_sample(np.c_[real, np.full(20, 0.1)], np.c_[others, np.full(30, 0.1)]).value == pytest.approx(
        wanted.value
    )
    assert two_sample(real, others) == wanted  # the same seed, the same folds
    assert two_sample(real, others, seed=1) != wanted


def test_too_few_pieces():
    assert all(math.isnan(value) for value in two_sample(np.ones((1, 2)), np.ones((5, 2))))
    assert two_sample(np.ones((2, 2)), np.ones((2, 2))).value == 0.5
