"""Endings: chosen by how likely the model finds an end there."""

import numpy as np
import pytest

from lstmusic.sampling import ending


def test_ways_are_chosen_in_proportion_to_their_likelihood():
    nats = -np.log([0.1, 0.3, 0.6]) + 700.0  # far beyond what exp can hold
    uniform = (np.arange(1000) + 0.5) / 1000
    chosen = np.bincount([ending.choose(nats, u) for u in uniform], minlength=3)
    assert chosen.tolist() == [100, 300, 600]


def test_the_last_number_below_one_is_still_a_way():
    assert ending.choose(np.zeros(16), np.nextafter(1.0, 0.0)) == 15


@pytest.mark.parametrize(
    ("bars", "seconds", "near"), [(2.0, np.inf, True), (2.1, np.inf, False), (np.inf, 4.0, True), (9.0, 9.0, False)]
)
def test_the_last_bars_begin_two_bars_or_four_seconds_before_the_end(bars, seconds, near):
    assert ending.is_near(np.array([bars]), np.array([seconds])).tolist() == [near]
