"""Each measure on a score of a few notes, against a value that can be counted by hand."""

import math

import numpy as np
import pytest

from lstmusic.evaluation import song_measures as measures
from lstmusic.score.score import Score, Track

QUARTER = 480
BAR = 4 * QUARTER
C_MAJOR = (0, 2, 4, 5, 7, 9, 11)


@pytest.fixture
def tune(score_of):
    """A function: quarters of the given pitches, one after another, on one track."""
    return lambda *pitches, **options: score_of(
        [(QUARTER * k, QUARTER, pitch, 80, 0) for k, pitch in enumerate(pitches)], **options
    )


@pytest.fixture
def silence(tune):
    """A score without notes."""
    return Score(tune(60).notes[:0], (Track(),))


@pytest.fixture
def with_drums(score_of):
    """A C, and a snare of number 38."""
    return score_of([(0, 480, 60, 80, 0), (0, 480, 38, 80, 1)], tracks=(Track(0, False, "a"), Track(0, True, "kit")))


def test_share_in_key(tune, silence, with_drums):
    assert measures.share_in_key(tune(60, 61, 62, 71), C_MAJOR) == 3 / 4
    assert measures.share_in_key(with_drums, (0,)) == 1  # 38 would be a D
    assert math.isnan(measures.share_in_key(silence, C_MAJOR))


def test_share_in_range(score_of, silence, with_drums):
    tracks = (Track(19, False, "Soprano"), Track(19, False, "Bass"))
    rows = [
        (0, 480, 72, 80, 0),
        (480, 480, 77, 80, 0),
        (0, 480, 48, 80, 1),
        (480, 480, 53, 80, 1),
        (960, 480, 47, 80, 1),
    ]
    score = score_of(rows, tracks=tracks)
    assert measures.share_in_range(score, {"Soprano": (60, 76)}) == 1 / 2
    assert measures.share_in_range(score, {"Soprano": (72, 77), "Bass": (48, 52)}) == 3 / 5
    assert measures.share_in_range(score, {"all": (48, 72)}) == 3 / 5
    assert measures.share_in_range(with_drums, {"all": (60, 60)}) == 1
    assert math.isnan(measures.share_in_range(silence, {"all": (0, 127)}))


def test_pitch_class_histogram(tune, silence, with_drums):
    histogram = measures.pitch_class_histogram(tune(60, 72, 67, 61))
    assert histogram.tolist() == [0.5, 0.25, 0, 0, 0, 0, 0, 0.25, 0, 0, 0, 0]
    assert measures.pitch_class_histogram(with_drums)[0] == 1
    assert not measures.pitch_class_histogram(silence).any()


def test_distance(tune):
    assert measures.distance(np.array([0.5, 0.5, 0]), np.array([0.5, 0.5, 0])) == 0
    assert measures.distance(np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])) == 1
    assert measures.distance(np.array([0.5, 0.5, 0]), np.array([0.25, 0.25, 0.5])) == 0.5
    asked = np.eye(12)[0]
    assert measures.distance_from(asked, tune(60, 62, 64, 48)) == 0.5


def test_entropy(tune, score_of, silence):
    assert measures.entropy(np.array([3, 3, 3])) == 0
    assert measures.entropy(np.array([1, 2, 3, 4])) == pytest.approx(math.log(4))
    assert measures.entropy(np.array([5, 5, 6, 6])) == pytest.approx(math.log(2))
    assert measures.pitch_entropy(tune(60, 60, 62, 62)) == pytest.approx(math.log(2))
    assert measures.pitch_entropy(silence) == 0
    rows = [(0, 480, 60, 80, 0), (480, 240, 60, 80, 0), (720, 120, 60, 80, 0)]
    assert measures.duration_entropy(score_of(rows)) == pytest.approx(math.log(3))


def test_velocity_spread(score_of, silence):
    assert measures.velocity_spread(score_of([(0, 480, 60, 70, 0), (480, 480, 60, 90, 0)])) == 10
    assert measures.velocity_spread(silence) == 0


def test_most_at_once(score_of, silence, with_drums):
    rows = [(0, 960, 60, 80, 0), (480, 480, 64, 80, 0), (480, 240, 67, 80, 1), (720, 240, 69, 80, 1)]
    assert measures.most_at_once(score_of(rows)) == 3  # the third ends where the fourth begins
    assert measures.most_at_once(with_drums) == 1
    assert measures.most_at_once(silence) == 0


def test_length_bars(tune, score_of, silence):
    assert measures.length_bars(tune(*[60] * 6)) == 1.5
    assert measures.length_bars(tune(*[60] * 6, meter=(3, 4))) == 2
    assert measures.length_bars(tune(*[60] * 5, pickup=QUARTER)) == 1.25  # an upbeat of a quarter and a bar
    assert measures.length_bars(silence) == 0


@pytest.mark.parametrize(
    ("quarters", "pickup", "bars", "expected"),
    [
        (8, 0, 2, True),
        (8, 0, 1, False),
        (7, 0, 2, False),
        (9, 0, 2, False),
        (9, QUARTER, 2, True),  # the upbeat and two whole bars
        (8, QUARTER, 2, True),  # the upbeat completes the last bar
        (7, QUARTER, 2, False),
    ],
)
def test_lasts(tune, quarters, pickup, bars, expected):
    assert measures.lasts(tune(*[60] * quarters, pickup=pickup), bars) is expected


def test_lasts_without_notes(silence):
    assert not measures.lasts(silence, 2)


def test_bars_begun(tune, silence, score_of):
    assert measures.bars_begun(tune(*[60] * 4)) == 1
    assert measures.bars_begun(tune(*[60] * 5)) == 2
    assert measures.bars_begun(tune(*[60] * 5, pickup=QUARTER)) == 1
    assert measures.bars_begun(score_of([(0, 5 * BAR, 60, 80, 0)])) == 1  # however long it sounds
    assert measures.bars_begun(silence) == 0


def test_notes_per_bar(tune, with_drums, silence):
    assert measures.notes_per_bar(tune(*[60] * 6)) == 4
    assert measures.notes_per_bar(with_drums) == 4  # one note in a quarter
    assert measures.notes_per_bar(silence) == 0


def test_repeated_bars(tune, score_of, silence):
    once = (60, 62, 64, 65)
    assert measures.repeated_bars(tune(*once)) == 0
    assert measures.repeated_bars(tune(*once, *once)) == 1 / 2
    five = [(0, k, 60 + k) for k in range(5)]
    for same, expected in ((5, 1 / 2), (4, 1 / 2), (3, 0)):
        changed = [(BAR, k, pitch + 12 * (k >= same)) for _, k, pitch in five]
        rows = [(start + 240 * k, 240, pitch, 80, 0) for start, k, pitch in five + changed]
        assert measures.repeated_bars(score_of(rows)) == expected
    assert measures.repeated_bars(tune(*once, 60, 62, 64, 67, *once, *once)) == 2 / 4
    assert measures.repeated_bars(tune(*once, 60, 62, 64, *once)) == 0  # a quarter too early
    quiet = [(BAR * bar + 480 * k, 480, 60 + k, 80 - bar, 0) for bar in (0, 3) for k in range(4)]
    assert measures.repeated_bars(score_of(quiet)) == 1 / 2  # bars of silence do not count, nor do velocities
    longer = [(0, 480, 60, 80, 0), (BAR, 240, 60, 80, 0)]
    assert measures.repeated_bars(score_of(longer)) == 1 / 2  # a note's length may differ
    other_track = [(0, 480, 60, 80, 0), (BAR, 480, 60, 80, 1)]
    assert measures.repeated_bars(score_of(other_track)) == 0
    assert measures.repeated_bars(silence) == 0


def test_like_bars(tune, score_of, silence):
    one, two = (60, 62, 64, 65), (67, 65, 64, 62)
    same = [[True, False, True], [False, True, False], [True, False, True]]
    assert measures.like_bars(tune(*one, *two, *one)).tolist() == same
    assert measures.like_bars(score_of([(0, 480, 60, 80, 0), (2 * BAR, 480, 60, 80, 0)])).tolist() == [
        [True, False, True],
        [False, False, False],
        [True, False, True],
    ]
    assert not measures.like_bars(silence).any()


def test_longest_repetition(tune, silence):
    a, b, c, d = ((60 + 12 * k, 62, 64, 65 + k) for k in range(4))
    assert measures.longest_repetition(tune(*a, *b, *c, *d)) == 0
    assert measures.longest_repetition(tune(*a, *b, *c, *d, *b)) == 1
    assert measures.longest_repetition(tune(*a, *b, *c, *d, *a, *b, *c)) == 3
    assert measures.longest_repetition(tune(*a, *b, *c, *a, *b, *d, *c)) == 2  # c is elsewhere
    assert measures.longest_repetition(tune(*a * 5)) == 2  # a passage does not overlap its repetition
    assert measures.longest_repetition(tune(*a)) == 0
    assert measures.longest_repetition(silence) == 0


def test_most_rounds(tune, silence):
    one, two = (60, 62, 64, 65), (67, 65, 64, 62)
    assert measures.most_rounds(tune(*one)) == 1
    assert measures.most_rounds(tune(*one, *two)) == 1
    assert measures.most_rounds(tune(*two, *one * 3, *two)) == 3
    assert measures.most_rounds(tune(*(one + two) * 4)) == 4
    assert measures.most_rounds(tune(*(one + two) * 2, *one)) == 2  # the third time only half of it
    assert measures.most_rounds(tune(*(one + one + two + two) * 3)) == 3  # four bars
    assert measures.most_rounds(tune(*(one + two + (72, 74, 76, 77)) * 5)) == 1  # of three bars it knows nothing
    assert measures.most_rounds(silence) == 0


def test_silent_bars_are_no_rounds(score_of):
    assert measures.most_rounds(score_of([(0, 480, 60, 80, 0), (6 * BAR, 480, 62, 80, 0)])) == 1


def test_the_last_chord(score_of, tune, silence):
    rows = [(0, 1920, 48, 80, 1), (0, 960, 64, 80, 0), (960, 960, 60, 80, 0)]
    score = score_of(rows, key=(0, False))
    assert measures.last_chord(score)["pitch"].tolist() == [48, 60]
    assert measures.ends_on_tonic(score) == 1
    assert measures.ends_on_tonic(score_of(rows, key=(7, False))) == 0
    assert math.isnan(measures.ends_on_tonic(score_of(rows)))
    assert measures.last_note_quarters(score) == 4
    assert measures.last_note_quarters(tune(60, 62)) == 1
    assert measures.last_note_quarters(silence) == 0
