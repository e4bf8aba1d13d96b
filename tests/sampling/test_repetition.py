"""Circles: against a reference that looks at whole songs, and what becomes of the temperature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.sampling.repetition import LEAST_GROUPS, LoopWatch, group_hashes, loop_share

SONGS = st.lists(st.integers(0, 2), min_size=1, max_size=12).flatmap(
    lambda loop: st.tuples(
        st.lists(st.integers(0, 2), max_size=40),
        st.integers(0, 150).map(lambda n: (loop * n)[:n]),
        st.lists(st.integers(0, 2), max_size=40),
    ).map(lambda parts: [x for part in parts for x in part])
)


def loops(song, most, missing=0):
    """The spans (first group, group after the last) of a song that go round, found one by one; rounds may be missing."""
    for length in range(1, most + 1):
        rounds = 4 if length <= 16 else 5
        whole = max(rounds * length, LEAST_GROUPS) * (rounds - missing) // rounds
        first = 0
        while first + length < len(song):
            after = first + length
            while after < len(song) and song[after] == song[after - length]:
                after += 1
            if after - first >= whole:
                yield first, after
            first += max(1, after - first - length)


def share(song, most):
    inside = np.zeros(len(song), bool)
    for first, after in loops(song, most):
        inside[first:after] = True
    return inside.mean() if len(song) else 0.0


def grouped(song):
    """A song of numbers as groups of two ids [N, 2]."""
    return np.stack([np.asarray(song, np.int64), 7 * np.asarray(song, np.int64)], axis=-1).reshape(-1, 2)


@settings(max_examples=200, deadline=None)
@given(song=SONGS, most=st.integers(1, 24))
def test_the_share_in_circles_is_that_of_a_plain_search(song, most):
    assert loop_share(grouped(song), most) == share(song, most)


@settings(max_examples=60, deadline=None)
@given(songs=st.lists(SONGS, min_size=1, max_size=4), most=st.integers(1, 24))
def test_the_temperature_rises_exactly_from_a_round_before_a_circle(songs, most):
    watch = LoopWatch(len(songs), most)
    for heard in range(1, max(map(len, songs), default=0) + 1):
        watch.hear(np.array([grouped(song)[heard - 1] if heard <= len(song) else [heard, -1] for song in songs]))
        for song, factor in zip(songs, watch.factor(), strict=True):
            if heard <= len(song):
                rounds = any(after == heard for _, after in loops(song[:heard], most, missing=1))
                assert (factor > 1) == rounds


def heats(song, **options):
    watch, out = LoopWatch(1, **options), []
    for group in song:
        watch.hear(np.array([[group]]))
        out.append(float(watch.factor()[0]))
    return out


def test_a_passage_of_twelve_groups_heats_up_when_it_has_come_three_times():
    factors = heats([*range(12)] * 12)
    assert factors[:35] == [1.0] * 35
    assert factors[35:39] == [1.3] * 4
    assert factors[39] == pytest.approx(1.69)
    assert factors[35 + 16 :] == [pytest.approx(min(1.3**5, 3.0))] * (144 - 35 - 16)


def test_a_passage_of_twenty_groups_may_come_four_times():
    assert heats([*range(20)] * 4) == [1.0] * 79 + [1.3]


def test_a_chord_may_be_held_for_a_long_while():
    factors = heats([5] * 28)
    assert factors == [1.0] * 23 + [1.3] * 4 + [pytest.approx(1.69)]


def test_a_broken_circle_is_none_at_once():
    assert heats([*range(8)] * 8 + [9])[-2:] == [3.0, 1.0]


def test_circles_longer_than_asked_for_are_not_looked_for():
    song = [*range(20)] * 8
    assert max(heats(song, most_groups=19)) == 1.0 < max(heats(song, most_groups=20))
    assert loop_share(np.array(song)[:, None], 19) == 0.0
    assert loop_share(np.array(song)[:, None], 20) == 1.0


def test_the_share_of_a_song_that_ends_in_a_circle():
    song = [*range(100, 136), *([1, 2, 3] * 12)]
    assert loop_share(np.array(song)[:, None]) == 0.5
    assert loop_share(np.zeros((0, 4), np.int64)) == 0.0


def test_songs_fork():
    watch = LoopWatch(2)
    for k in range(40):
        watch.hear(np.array([[k], [7]]))
    watch.take(np.array([1, 0, 1]))
    assert (watch.factor() > 1).tolist() == [True, False, True]
    watch.hear(np.array([[7], [7], [8]]))
    assert (watch.factor() > 1).tolist() == [True, False, False]


@given(
    groups=st.lists(
        st.lists(st.integers(0, 2**16), min_size=5, max_size=5).map(tuple), min_size=2, max_size=9, unique=True
    )
)
def test_different_groups_have_different_hashes(groups):
    hashes = group_hashes(np.array(groups))
    assert len(set(hashes.tolist())) == len(groups)
    assert (hashes >= 0).all()
