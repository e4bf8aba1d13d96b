"""The sustain pedal folded into durations."""

import numpy as np

from lstmusic.score import Score, Track
from lstmusic.score.pedal import folded
from lstmusic.score.score import NOTE_DTYPE, PEDAL_DTYPE, table


def of(notes, pedals, drum=False):
    return Score(
        np.array([(onset, duration, pitch, 80, 0) for onset, duration, pitch in notes], NOTE_DTYPE),
        (Track(0, drum),),
        pedals=table(PEDAL_DTYPE, [tick for tick, _ in pedals], 0, [down for _, down in pedals]),
    )


def spans(score):
    return [(onset, duration, pitch) for onset, duration, pitch, _, _ in score.notes.tolist()]


def test_a_note_lasts_until_the_pedal_is_lifted():
    score = of([(0, 10, 60), (5, 100, 64), (20, 10, 62), (90, 10, 67)], [(0, True), (50, False)])
    assert spans(folded(score)) == [(0, 50, 60), (5, 100, 64), (20, 30, 62), (90, 10, 67)]
    assert len(folded(score).pedals) == 0


def test_a_note_ends_where_its_pitch_is_struck_again():
    score = of([(0, 10, 60), (30, 10, 60), (35, 1, 61)], [(0, True), (50, False)])
    assert spans(folded(score)) == [(0, 30, 60), (30, 20, 60), (35, 15, 61)]


def test_a_pedal_that_is_never_lifted_ends_with_the_music():
    assert spans(folded(of([(0, 10, 60), (20, 30, 62)], [(5, True)]))) == [(0, 50, 60), (20, 30, 62)]


def test_a_note_that_ends_as_the_pedal_goes_down_is_held():
    assert spans(folded(of([(0, 10, 60), (0, 90, 40)], [(10, True), (40, False)]))) == [(0, 90, 40), (0, 40, 60)]
    assert spans(folded(of([(0, 10, 60), (0, 90, 40)], [(3, True), (10, False)]))) == [(0, 90, 40), (0, 10, 60)]


def test_overlapping_notes_of_a_pitch_are_not_cut():
    assert spans(folded(of([(0, 30, 60), (10, 30, 60)], [(0, True), (100, False)]))) == [(0, 30, 60), (10, 90, 60)]


def test_drums_and_other_tracks_stay():
    score = of([(0, 10, 36)], [(0, True), (50, False)], drum=True)
    assert spans(folded(score)) == [(0, 10, 36)]
    two = Score(
        np.array([(0, 10, 60, 80, 0), (0, 10, 60, 80, 1), (0, 99, 40, 80, 1)], NOTE_DTYPE),
        (Track(), Track()),
        pedals=table(PEDAL_DTYPE, [0, 50], 0, [True, False]),
    )
    assert [row[1] for row in folded(two).notes.tolist()] == [50, 99, 10]
