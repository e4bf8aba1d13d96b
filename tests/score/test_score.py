"""Score: seconds, bar lines, canonical form, refused values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.score import Score, Track
from lstmusic.score.score import (
    KEY_DTYPE,
    METER_DTYPE,
    NOTE_DTYPE,
    TEMPO_DTYPE,
    settled,
    sorted_notes,
    table,
    unnested_notes,
)

PIANO = (Track(),)


def score_of(*notes, tracks=PIANO, **rest) -> Score:
    """A Score of (onset_tick, duration_tick, pitch, velocity, track) rows."""
    return Score(sorted_notes(np.array(list(notes), NOTE_DTYPE)), tracks, **rest)


def test_seconds_follow_the_tempo_map():
    tempi = table(TEMPO_DTYPE, [0, 480, 1440], [500_000, 1_000_000, 250_000])
    score = score_of((0, 1920, 60, 80, 0), tempi=tempi)
    assert score.seconds(np.array([0, 480, 960, 1440, 1920])).tolist() == [0.0, 0.5, 1.5, 2.5, 2.75]
    assert score.ticks(np.array([0.5, 1.5, 2.75])).tolist() == [480, 960, 1920]
    assert score.length_s == 2.75


def test_tempo_is_120_until_the_first_row():
    score = score_of((0, 960, 60, 80, 0), tempi=table(TEMPO_DTYPE, [480], [1_000_000]))
    assert score.seconds(960) == 1.5


@pytest.mark.parametrize(
    ("meters", "pickup", "end", "lines"),
    [
        ([], 0, 1920, [0, 1920]),
        ([], 0, 1921, [0, 1920, 3840]),
        ([(0, 3, 4)], 480, 3000, [0, 480, 1920, 3360]),
        ([(0, 4, 4), (3840, 6, 8)], 0, 5300, [0, 1920, 3840, 5280, 6720]),
        ([(0, 4, 4), (2000, 3, 4)], 0, 3000, [0, 1920, 2000, 3440]),
        ([(960, 3, 4)], 0, 2000, [0, 960, 2400]),
        ([(0, 4, 4), (99999, 3, 4)], 0, 100, [0, 1920]),
        ([(0, 4, 4)], 480, 100, [0, 480]),
    ],
)
def test_bar_lines(meters, pickup, end, lines):
    score = score_of((0, end, 60, 80, 0), meters=np.array(meters, METER_DTYPE), pickup_tick=pickup)
    assert score.bar_ticks().tolist() == lines


def test_bar_lines_without_notes():
    assert Score(np.zeros(0, NOTE_DTYPE), ()).bar_ticks().tolist() == [0, 1920]


def test_settled_maps_say_nothing_twice():
    rows = np.array([(480, 3, 4), (0, 2, 4), (480, 6, 8), (960, 6, 8)], METER_DTYPE)
    assert settled(rows, 4, 4).tolist() == [(0, 2, 4), (480, 6, 8)]
    assert settled(rows[:1], 4, 4).tolist() == [(0, 4, 4), (480, 3, 4)]
    assert settled(rows[:0]).tolist() == []


def test_canonical_form():
    score = score_of(
        (0, 10, 60, 81, 2),
        (2, 2, 60, 82, 2),
        tracks=(Track(1), Track(2), Track(3, name="half a pair: \ud800")),
        texts=((5, "b"), (0, "a")),
    ).canonical()
    assert score.notes.tolist() == [(0, 4, 60, 81, 0), (2, 8, 60, 82, 0)]
    assert score.tracks == (Track(3, name="half a pair: "),)
    assert score.tempi.tolist() == [(0, 500_000)]
    assert score.meters.tolist() == [(0, 4, 4)]
    assert score.texts == ((0, "a"), (5, "b"))


notes = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 9), st.integers(60, 62), st.integers(1, 127), st.integers(0, 1))
)


@settings(max_examples=100)
@given(notes)
def test_unnesting_keeps_every_onset_and_every_end(rows):
    before = np.array(rows, NOTE_DTYPE)
    after = unnested_notes(before)
    assert sorted(after[["track", "pitch", "onset_tick", "velocity"]].tolist()) == sorted(
        before[["track", "pitch", "onset_tick", "velocity"]].tolist()
    )
    ends = [np.sort(n["onset_tick"] + n["duration_tick"]).tolist() for n in (before, after)]
    assert ends[0] == ends[1]
    assert (after["duration_tick"] > 0).all()
    assert np.array_equal(unnested_notes(after), after)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ticks_per_quarter": 0},
        {"ticks_per_quarter": 40_000},
        {"pickup_tick": -1},
        {"tracks": ()},
        {"notes": np.array([(-1, 1, 60, 80, 0)], NOTE_DTYPE)},
        {"notes": np.array([(0, 0, 60, 80, 0)], NOTE_DTYPE)},
        {"notes": np.array([(0, 1, 128, 80, 0)], NOTE_DTYPE)},
        {"notes": np.array([(0, 1, 60, 0, 0)], NOTE_DTYPE)},
        {"tempi": table(TEMPO_DTYPE, [0], [0])},
        {"meters": table(METER_DTYPE, [0], [0], [4])},
        {"meters": table(METER_DTYPE, [0], [4], [5])},
        {"keys": table(KEY_DTYPE, [0], [12], [False])},
    ],
)
def test_values_no_file_can_hold_are_refused(wrong):
    right = {"notes": np.array([(0, 1, 60, 80, 0)], NOTE_DTYPE), "tracks": (Track(),)}
    with pytest.raises(ValueError, match="expected"):
        Score(**{**right, **wrong})


@pytest.mark.parametrize(("pickup", "number"), [(0, 1), (480, 0)])
def test_an_upbeat_is_bar_0(score_of, pickup, number):
    assert score_of([(0, 480, 60, 80, 0), (480, 1920, 62, 80, 0)], pickup=pickup).first_bar == number
