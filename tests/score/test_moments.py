"""Moments by name, in phrases where each is known."""

import numpy as np
import pytest

from lstmusic.score.moments import beat_ticks, cadence_ticks, moments, sounding

FINAL = (67, 64, 60, 48)  # C major, C in the bass


@pytest.fixture
def closing(score_of):
    """Two bars of 4/4 in four voices: eighths, then a long C major chord that a G in the bass leads to."""
    rows = [(240 * k, 240, pitch, 80, voice) for k in range(12) for voice, pitch in enumerate((67, 62, 59, 55))]
    rows += [(12 * 240, 960, pitch, 80, voice) for voice, pitch in enumerate(FINAL)]
    return score_of(rows)


def steps_of(score, step=120):
    return np.arange(0, score.end_tick, step)


def where(score, name, **options):
    """The ticks of the 16ths of which something is said."""
    ticks = steps_of(score)
    return ticks[moments(score, ticks, **options)[name]].tolist()


def test_places_in_the_bar(closing):
    assert where(closing, "bar line") == [0, 1920]
    assert where(closing, "other beat") == [480, 960, 1440, 2400, 2880, 3360]


def test_notes_begin_and_end(closing, score_of):
    assert where(closing, "onset") == list(range(0, 12 * 240 + 1, 240))
    assert where(closing, "onset off the beat") == list(range(240, 12 * 240, 480))
    gap = score_of([(0, 240, 60, 80, 0), (480, 480, 62, 80, 0), (0, 960, 48, 80, 1)])
    assert where(gap, "end without an onset") == [240]
    assert where(gap, "rest of a voice") == [240, 360]
    assert sounding(gap, np.array([0, 240, 480, 960])).tolist() == [2, 1, 2, 0]


@pytest.mark.parametrize(("meter", "pickup", "wanted"), [((3, 4), 0, 480), ((6, 8), 0, 240), ((3, 4), 600, 480)])
def test_beats_are_the_meters_and_an_upbeat_ends_with_whole_ones(score_of, meter, pickup, wanted):
    score = score_of([(0, 4000, 60, 80, 0)], meter=meter, pickup=pickup)
    beats = beat_ticks(score)
    assert set(score.bar_ticks().tolist()) <= set(beats.tolist())
    assert set(np.diff(beats[beats >= pickup]).tolist()) == {wanted}
    assert beats[beats < pickup].tolist() == ([0, 120] if pickup else [])


def test_a_cadence(closing, score_of):
    assert cadence_ticks(closing).tolist() == [2880]
    assert where(closing, "cadence") == [2880]
    quarters = [(480 * k, 480, p, 80, v) for k in range(3) for v, p in enumerate((67, 62, 59, 55))]
    leap, step = (
        [(1440, 480, p, 80, v) for v, p in enumerate(FINAL)],
        [(1440, 480, p + 9, 80, v) for v, p in enumerate(FINAL)],
    )
    assert cadence_ticks(score_of(quarters + leap)).tolist() == [1440]
    assert cadence_ticks(score_of(quarters + step)).tolist() == []  # the bass moves by a step, and the chord is short
    assert cadence_ticks(score_of(quarters + [(on, 960, *rest) for on, _, *rest in step])).tolist() == [1440]
    sixth = [(1440, 960, p, 80, v) for v, p in enumerate((72, 67, 60, 52))]
    assert cadence_ticks(score_of(quarters + sixth)).tolist() == []  # not in root position


def test_without_bars_nothing_is_said_of_them(closing):
    found = moments(closing, steps_of(closing), metrical=False)
    assert set(found) == {"onset", "end without an onset", "rest of a voice"}
