"""Where two Scores first differ, in words."""

from dataclasses import replace

import numpy as np
import pytest

from lstmusic.listening.difference import first_difference
from lstmusic.score.score import METER_DTYPE, PEDAL_DTYPE, TEMPO_DTYPE, Track, table

ROWS = [(480 * k, 480, 60 + k, 80, 0) for k in range(12)]  # three bars of quarters
TRACKS = (Track(0, False, "Flute"),)


@pytest.fixture
def score(score_of):
    return score_of(ROWS, tracks=TRACKS).canonical()


def test_equal_scores_do_not_differ(score, score_of):
    assert first_difference(score, score_of(ROWS, tracks=TRACKS).canonical()) == ""


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            (4320, 480, 70, 80, 0),
            "bar 3: A4 of 480 ticks, velocity 80 (Flute), not B♭4 of 480 ticks, velocity 80 (Flute)",
        ),
        (
            (4320, 480, 69, 81, 0),
            "bar 3: A4 of 480 ticks, velocity 80 (Flute), not A4 of 480 ticks, velocity 81 (Flute)",
        ),
        (
            (4320, 240, 69, 80, 0),
            "bar 3: A4 of 480 ticks, velocity 80 (Flute), not A4 of 240 ticks, velocity 80 (Flute)",
        ),
        ((4321, 480, 69, 80, 0), "bar 3: A4 of 480 ticks, velocity 80 (Flute), not nothing"),
    ],
)
def test_a_note_that_was_changed(score, score_of, row, words):
    other = score_of([*ROWS[:9], row, *ROWS[10:]], tracks=TRACKS).canonical()
    assert first_difference(score, other) == words


def test_a_note_that_is_gone_or_new(score, score_of):
    shorter = score_of(ROWS[:-1], tracks=TRACKS).canonical()
    assert first_difference(score, shorter) == "bar 3: B4 of 480 ticks, velocity 80 (Flute), not nothing"
    assert first_difference(shorter, score) == "bar 3: nothing, not B4 of 480 ticks, velocity 80 (Flute)"


def test_only_the_notes_that_differ_are_named(score, score_of):
    chord = score_of([*ROWS, (4320, 480, 50, 80, 0)], tracks=TRACKS).canonical()
    assert first_difference(chord, score) == "bar 3: D3 of 480 ticks, velocity 80 (Flute), not nothing"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"tempi": table(TEMPO_DTYPE, [0, 1920], [500_000, 600_000])},
            "bar 2: tempo (microseconds per quarter) none, not 600000",
        ),
        ({"tempi": table(TEMPO_DTYPE, [0], [600_000])}, "bar 1: tempo (microseconds per quarter) 500000, not 600000"),
        ({"meters": table(METER_DTYPE, [0], [3], [4])}, "bar 1: meter 4, 4, not 3, 4"),
        ({"pedals": table(PEDAL_DTYPE, [3840], [0], [True])}, "bar 3: pedal (track, down) none, not 0, True"),
        ({"tracks": (Track(73, False, "Flute"),)}, "bar 1: tracks ['Flute: program 0'], not ['Flute: program 73']"),
        ({"ticks_per_quarter": 240}, "bar 1: ticks per quarter 480, not 240"),
    ],
)
def test_what_is_not_a_note(score, change, words):
    assert first_difference(score, replace(score, **change)) == words


def test_the_earliest_of_several_is_named(score, score_of):
    other = score_of([*ROWS[:9], (4320, 480, 70, 80, 0), *ROWS[10:]], tracks=TRACKS).canonical()
    slower = replace(other, tempi=table(TEMPO_DTYPE, [0, 1920], [500_000, 600_000]))
    assert first_difference(score, slower).startswith("bar 2: tempo")


def test_an_upbeat_is_bar_0(score_of):
    rows = np.array(ROWS)
    scores = [score_of([(0, 480, pitch, 80, 0), *rows[1:].tolist()], pickup=480).canonical() for pitch in (60, 62)]
    assert first_difference(*scores).startswith("bar 0: C4 ")
