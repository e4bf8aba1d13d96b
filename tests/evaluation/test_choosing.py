"""Choices worked out by hand: songs near held-out music, far from each other, and like nothing else too much."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.evaluation.choosing import ALIKE, Costs, Measured, in_sd, without

HELD_OUT = (-1.0, 0.0, 1.0)  # mean 0, standard deviation 1


def of_nats(*nats) -> Measured:
    return measured(nats, np.zeros((len(nats), 0)))


def measured(nats, statistics, bars=None) -> Measured:
    """Songs of one length, unless told otherwise."""
    return Measured(np.array(nats, float), np.ones(len(nats)) if bars is None else np.array(bars), np.array(statistics))


def costs(songs: Measured, held_out: Measured, shared=None, mutual=None, usual_bars=3.0) -> Costs:
    count = len(songs.nats)
    shared = np.zeros(count) if shared is None else np.array(shared, float)
    mutual = np.zeros((count, count)) if mutual is None else mutual
    return Costs(songs, held_out, shared, mutual, usual_bars)


def test_two_songs_are_kept_as_far_apart_as_real_pieces_are():
    # From the held-out pieces 0 is 2/3 on average, 0.1 is 0.7, -1 and 1 are 1. Twice the mean of two, less the mean of the
    # four distances that two songs have from both: -1 and 1 come to 2 - 4/4, 0 and 1 to 5/3 - 2/4, 0 and 0.1, the
    # nearest to all, to 2/3 + 0.7 - 0.2/4.
    found = costs(of_nats(0, -1, 1, 0.1), of_nats(*HELD_OUT))
    assert sorted(found.choose(2)) == [1, 2]
    assert found.of(1, [2]).total == pytest.approx(2 * (1 - 2 / 2))
    assert found.of(0, [2]).total == pytest.approx(2 * (2 / 3 - 1 / 2))


def test_one_song_is_that_nearest_to_all():
    found = costs(of_nats(0.1, -1, 0), of_nats(*HELD_OUT))
    assert found.choose(1) == [2]
    assert found.of(2, []) == pytest.approx((2 * 2 / 3, 0, 0, 0, 0))


def test_shared_bars_beyond_the_usual_cost_as_many():
    # -1 and 1 come to 1, as above, and now (0 + 2) / 2 more; 0 and -1 to 5/3 - 2/4, which is less
    found = costs(of_nats(0, -1, 1), of_nats(*HELD_OUT), shared=[3, 0, 5])
    assert sorted(found.choose(2)) == [0, 1]
    assert found.of(2, [1]).originality == 2
    assert found.of(0, [1]).originality == 0


def test_songs_that_are_alike_are_not_kept_together():
    mutual = np.zeros((3, 3))
    mutual[1, 2] = mutual[2, 1] = 7
    mutual[0, 0] = 99  # a song is like itself
    found = costs(of_nats(0, -1, 1), of_nats(*HELD_OUT), mutual=mutual)
    assert 0 in found.choose(2)
    assert found.of(2, [0, 1]).likeness == pytest.approx((0 + 4) / 3)
    assert found.of(0, [1, 2]).likeness == 0


def test_all_are_kept_where_there_are_no_others():
    assert sorted(costs(of_nats(0, -1, 1), of_nats(*HELD_OUT)).choose(3)) == [0, 1, 2]


def test_the_rival_is_the_kept_song_that_costs_least_more():
    # 0.9 is 2.9/3 from the held-out pieces. Beside -1 it costs 2 (2.9/3 - 1.9/2), and 1 costs nothing: a loss of 0.03.
    # Beside 1 it costs 2 (2.9/3 - 0.1/2), where -1 costs nothing.
    found = costs(of_nats(-1, 1, 0.9), of_nats(*HELD_OUT))
    assert found.rival(2, [0, 1]) == 1
    assert found.of(2, [0]).total == pytest.approx(2 * (2.9 / 3 - 1.9 / 2))


def test_statistics_that_do_not_apply_do_not_count():
    held_out = measured(HELD_OUT, [[-1, math.nan], [0, math.nan], [1, 5]])
    songs = measured([0, 0], [[1.0, 1000.0], [math.nan, 5.0]])
    assert in_sd(songs, held_out).statistics == pytest.approx(np.array([[1, math.nan], [math.nan] * 2]), nan_ok=True)
    found = costs(songs, held_out)
    assert found.of(0, []).statistics == pytest.approx(2 * 1)  # by the first statistic alone
    assert found.of(1, []).statistics == pytest.approx(0)  # by none: as if it lay where all do


def test_nats_that_are_not_known_do_not_count():
    assert sorted(costs(of_nats(0, -1, 1, 0.1), of_nats(*HELD_OUT, math.nan)).choose(2)) == [1, 2]
    found = costs(of_nats(math.nan, 1, 2), of_nats(*HELD_OUT))
    assert found.of(0, []).nats == 0  # as if it lay where all do
    assert found.choose(1) == [0]
    assert sorted(costs(of_nats(math.nan, math.nan), of_nats(math.nan, math.nan)).choose(2)) == [0, 1]


def test_a_choice_ends_where_costs_are_not_numbers():
    found = costs(of_nats(0, -1, 1), of_nats(*HELD_OUT), shared=[math.nan] * 3)
    assert len(set(found.choose(2))) == 2


def test_one_odd_statistic_counts_as_three_standard_deviations():
    held_out = measured(HELD_OUT, [[-1.0], [0.0], [1.0]])
    near, far = (measured([0], [[value]]) for value in (3.0, 40.0))
    assert costs(near, held_out).of(0, []) == costs(far, held_out).of(0, [])
    same = held_out._replace(statistics=np.zeros((3, 1)))  # where all pieces agree, another value is far away
    assert costs(near, same).of(0, []).statistics == pytest.approx(2 * 3)


def set_cost(songs: Measured, held_out: Measured, kept) -> float:
    """What of the energy distance of kept songs from held-out pieces depends on the songs, pair by pair."""

    def distance(one, other):
        squares = [(a - b) ** 2 for a, b in zip(one[2:], other[2:], strict=True)]
        return abs(one[0] - other[0]) + abs(one[1] - other[1]) + math.sqrt(sum(squares) / len(squares))

    def points(songs):
        sd = in_sd(songs, held_out)
        return [[max(-3, min(3, value)) for value in (nats, bars, *row)] for nats, bars, row in zip(*sd, strict=True)]

    own, real = [points(songs)[k] for k in kept], points(held_out)
    pairs = [distance(a, b) for a in own for b in own]
    to_real = [distance(a, b) for a in own for b in real]
    return 2 * sum(to_real) / len(to_real) - sum(pairs) / len(pairs)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_no_exchange_makes_a_choice_better(seed, keep):
    rng = np.random.default_rng(seed)
    songs, held_out = (
        measured(rng.normal(size=n), rng.normal(size=(n, 2)) ** 3, 2 ** rng.normal(size=n)) for n in (8, 5)
    )
    found = costs(songs, held_out)
    kept = found.choose(keep)
    assert len(set(kept)) == keep
    own = [found.of(song, without(song, kept)).total for song in kept]
    assert own == sorted(own)
    total = set_cost(songs, held_out, kept)
    for leaving, coming in itertools.product(kept, set(range(8)) - set(kept)):
        rest = without(leaving, kept)
        other = set_cost(songs, held_out, [*rest, coming])
        assert other >= total - 2 * ALIKE
        loss = found.of(coming, rest).total - found.of(leaving, rest).total
        assert loss / keep == pytest.approx(other - total, abs=1e-9)


def test_the_best_of_many_are_nearer_to_held_out_music_and_not_more_of_a_kind():
    rng = np.random.default_rng(0)
    held_out = measured(rng.normal(size=40), rng.normal(size=(40, 3)))
    kept, plain = [], []
    for _ in range(60):
        songs = measured(rng.normal(0.7, 1.2, 16), rng.normal(0.7, 1.2, (16, 3)))
        kept += [songs.statistics[k] for k in costs(songs, held_out).choose(4)]
        plain += list(songs.statistics[:4])
    real = held_out.statistics.mean(0)
    assert abs(np.mean(kept, 0) - real).sum() < abs(np.mean(plain, 0) - real).sum() / 2
    spread = np.std(kept, 0) / held_out.statistics.std(0)
    assert (spread > 0.9).all()
    assert (spread < 1.3).all()


def test_an_outlier_is_not_kept():
    assert sorted(costs(of_nats(-1, 1, 0.9, 3), of_nats(*HELD_OUT)).choose(2)) == [0, 1]


def test_lengths_count_by_how_many_times_as_long():
    held_out = measured([0, 0], np.zeros((2, 0)), bars=[8, 32])  # mean 2⁴ bars, standard deviation 2^√2 times
    songs = measured([0] * 3, np.zeros((3, 0)), bars=[16, 2, 16 * 2 ** math.sqrt(2)])
    assert in_sd(songs, held_out).bars == pytest.approx([0, -3 / math.sqrt(2), 1])
    assert costs(songs, held_out).choose(1) == [0]
