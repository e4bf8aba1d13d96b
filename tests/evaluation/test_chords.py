"""The chord of a beat, in pieces whose chords have names."""

import math

import numpy as np
import pytest

from lstmusic.evaluation import chords
from lstmusic.score.score import NOTE_DTYPE, Score, Track

QUARTER = 480
MAJOR, MINOR, DIMINISHED = 0, 12, 24
C, D, E, F, G, A, B = 0, 2, 4, 5, 7, 9, 11
TRIADS = {
    "C": (48, 52, 55),
    "F": (53, 57, 60),
    "G": (55, 59, 62),
    "a": (57, 60, 64),
    "d": (50, 53, 57),
}


@pytest.fixture
def progression(score_of):
    """A function: triads by name, a quarter each; `-` is a beat of silence."""

    def build(names, **options):
        rows = [
            (QUARTER * k, QUARTER, pitch, 80, 0)
            for k, name in enumerate(names.split())
            if name != "-"
            for pitch in TRIADS[name]
        ]
        return score_of(rows, **options)

    return build


@pytest.fixture
def chord_of(score_of):
    """A function: the chord of a bar of one beat that holds notes of the given lengths in 16ths and pitches."""

    def build(*notes):
        rows = [(0, 120 * length, pitch, 80, 0) for length, pitch in notes]
        return chords.beat_chords(score_of(rows, meter=(1, 4)))[0]

    return build


def test_triads_by_name(progression):
    found = chords.beat_chords(progression("C F G a d - C")).tolist()
    assert found == [MAJOR + C, MAJOR + F, MAJOR + G, MINOR + A, MINOR + D, -1, MAJOR + C, -1]  # to the end of bar two


@pytest.mark.parametrize(
    ("pitches", "wanted"),
    [
        ((52, 55, 60), MAJOR + C),  # E G C
        ((55, 60, 64), MAJOR + C),  # G C E
        ((50, 53, 59), DIMINISHED + B),  # D F B
        ((55, 59, 62, 65), MAJOR + G),  # G B D F: of G major and B diminished, three notes each, the former
        ((59, 62, 65, 67), MAJOR + G),  # with B in the bass too: major before diminished
        ((57, 60), MINOR + A),  # A C: of A minor and F major the one with its root in the bass
        ((48, 52), MAJOR + C),
        ((48,), MAJOR + C),
    ],
)
def test_inversions_sevenths_and_ties(chord_of, pitches, wanted):
    assert chord_of(*((4, pitch) for pitch in pitches)) == wanted


def test_notes_count_by_how_long_they_sound(chord_of):
    # C E G for a quarter, and an A for an eighth: C major holds 12 of 14 16ths, A minor 10
    assert chord_of((4, 48), (4, 52), (4, 55), (2, 57)) == MAJOR + C
    # the G for a 16th only: A minor holds 4 + 4 + 4 of 13, C major 4 + 4 + 1
    assert chord_of((4, 48), (4, 52), (1, 55), (4, 57)) == MINOR + A


def test_a_note_counts_from_its_onset(score_of):
    # C and E for a quarter, G for three 16ths of it, A for the last: C major holds 4 + 4 + 3 of 12, A minor 4 + 4 + 1
    rows = [(0, 480, 48, 80, 0), (0, 480, 52, 80, 0), (0, 360, 55, 80, 0), (360, 120, 57, 80, 0)]
    assert chords.beat_chords(score_of(rows, meter=(1, 4))).tolist() == [MAJOR + C]


def test_held_notes_count_in_every_beat_and_drums_in_none(score_of):
    kit = (Track(), Track(0, True, "kit"))
    rows = [(0, 960, pitch, 80, 0) for pitch in TRIADS["F"]] + [(0, 1920, 38, 80, 1)]
    assert chords.beat_chords(score_of(rows, tracks=kit)).tolist() == [MAJOR + F, MAJOR + F, -1, -1]


def test_chord_change_rate(progression, score_of):
    assert chords.chord_change_rate(progression("C C F C")) == 2 / 3
    assert chords.chord_change_rate(progression("C C C C")) == 0
    assert chords.chord_change_rate(progression("C - - F")) == 1  # silence is no chord
    assert math.isnan(chords.chord_change_rate(progression("C")))


def test_chord_progression_irregularity(progression):
    # C F G C F G C: trigrams CFG, FGC, GCF, CFG, FGC, of which three differ
    assert chords.chord_progression_irregularity(progression("C F G C F G C")) == 3 / 5
    assert chords.chord_progression_irregularity(progression("C C F F G G - G C F G C")) == 3 / 5
    assert chords.chord_progression_irregularity(progression("C F G a")) == 1
    assert math.isnan(chords.chord_progression_irregularity(progression("C F F")))


@pytest.mark.parametrize("measure", [chords.chord_change_rate, chords.chord_progression_irregularity])
def test_without_notes(measure):
    assert math.isnan(measure(Score(np.zeros(0, NOTE_DTYPE), (Track(),))))
