"""What stands for all that lies beyond what is given: drawn more often, and weighed by as much less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmusic.events.given import NONE
from lstmusic.sampling.beyond import Beyond


@st.composite
def draws(draw):
    """Log chances of five ids, which of them are legal and may come, and the one that stands for the others or NONE."""
    nats = np.array(draw(st.lists(st.floats(-6, 2), min_size=5, max_size=5)))
    kinds = draw(st.lists(st.sampled_from(["may come", "beyond", "illegal"]), min_size=5, max_size=5))
    may_come = np.array([kind == "may come" for kind in kinds])
    may_come[draw(st.integers(0, 4))] = True
    beyond = np.array([kind == "beyond" for kind in kinds]) & ~may_come
    latest = draw(st.sampled_from([NONE, *np.flatnonzero(may_come).tolist()]))
    return nats, may_come, beyond, latest


def worked_out(nats, may_come, beyond, latest):
    """The chance by which each id is drawn, and its weight where it is."""
    one = Beyond(beyond[None], np.array([latest]))
    logits, mask = one.proposed(nats[None], may_come[None])
    chances = np.where(mask[0], np.exp(logits[0]), 0.0)
    kept = np.log(np.exp(nats[may_come]).sum())
    weights = [float(np.exp(one.log_weight(nats[None], np.array([kept]), np.array([k]))[0])) for k in range(5)]
    return chances / chances.sum(), np.array(weights)


@given(draws())
def test_chance_times_weight_is_the_target(case):
    nats, may_come, *_ = case
    chances, weights = worked_out(*case)
    target = np.where(may_come, np.exp(nats), 0.0)
    assert (chances * weights)[may_come] == pytest.approx(target[may_come])
    assert chances[~may_come].sum() == 0


def test_a_shift_waits():
    # Shifts of 1, 2 and 3 steps and a note; the given note comes after one step
    nats = np.log([0.1, 0.2, 0.3, 0.4])
    one = Beyond(np.array([[False, True, True, False]]), np.array([0]))
    logits, mask = one.proposed(nats[None], np.array([[True, False, False, True]]))
    assert np.exp(logits[0])[mask[0]] == pytest.approx([0.6, 0.4])
    kept = np.log([0.5])
    assert np.exp(one.log_weight(nats[None], kept, np.array([3]))) == pytest.approx([1.0])
    assert np.exp(one.log_weight(nats[None], kept, np.array([0]))) == pytest.approx([1 / 6])


def test_what_a_control_forbids_can_come_if_it_is_given():
    one = Beyond(np.array([[False, False, True]]), np.array([1]))
    _, mask = one.proposed(np.zeros((1, 3)), np.array([[True, False, False]]))
    assert mask.tolist() == [[True, True, False]]


def test_nothing_stands_for_the_others():
    nats, kept = np.log([[0.2, 0.3, 0.5]]), np.log([0.5])
    one = Beyond(np.array([[False, False, True]]), np.array([NONE]))
    logits, mask = one.proposed(nats, np.array([[True, True, False]]))
    assert np.array_equal(logits, nats)
    assert mask.tolist() == [[True, True, False]]
    assert one.log_weight(nats, kept, np.array([0])).tolist() == kept.tolist()
