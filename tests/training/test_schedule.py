"""The one-cycle schedule and the budget that shapes it."""

from itertools import pairwise

import pytest

from lstmusic.training.schedule import FIRST_SHARE, LAST_SHARE, WARM_UP, Budget, one_cycle


def test_the_shape_of_one_cycle():
    assert one_cycle(0) == pytest.approx(FIRST_SHARE)
    assert one_cycle(WARM_UP) == pytest.approx(1)
    assert one_cycle(1) == pytest.approx(LAST_SHARE)
    assert one_cycle(-1) == one_cycle(0)
    assert one_cycle(2) == one_cycle(1)
    rates = [one_cycle(k / 1000) for k in range(1001)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(abs(a - b) for a, b in pairwise(rates)) < 0.01  # no jump at the top


@pytest.mark.parametrize(
    ("budget", "elapsed_s", "step", "expected"),
    [
        (Budget(max_minutes=2), 60, 10**6, 0.5),
        (Budget(max_steps=200), 10**6, 50, 0.25),
        (Budget(max_minutes=2, max_steps=200), 60, 50, 0.5),
        (Budget(max_minutes=2, max_steps=200), 12, 150, 0.75),
        (Budget(max_minutes=1), 90, 0, 1.5),
        (Budget(), 90, 9, 0.0),
    ],
)
def test_progress_is_the_larger_share(budget, elapsed_s, step, expected):
    assert budget.progress(elapsed_s, step) == expected
