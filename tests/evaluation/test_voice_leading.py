"""Faults that can be seen in a few chords, and the same faults found note by note."""

import math
from itertools import combinations

import music21
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmusic.evaluation import voice_leading
from lstmusic.score.score import NOTE_DTYPE, Score, Track, sorted_notes, table

QUARTER = 480
REST = None
NAMED = tuple(Track(19, False, name) for name in ("Soprano", "Alto", "Tenor", "Bass"))
STILL = (67, 64, 60, 48)  # G4 E4 C4 C3


@pytest.fixture
def chords(score_of):
    """A function: chords of four voices, a quarter each, None for a rest."""

    def build(*columns, tracks=NAMED):
        rows = [
            (QUARTER * k, QUARTER, pitch, 80, voice)
            for k, column in enumerate(columns)
            for voice, pitch in enumerate(column)
            if pitch is not REST
        ]
        return score_of(rows, tracks=tracks)

    return build


def test_parallel_fifths(chords):
    # G4 over C3 goes to A4 over D3: a twelfth to a twelfth, once in two beats. Alto and tenor hold.
    assert voice_leading.parallel_fifths(chords(STILL, (69, 64, 60, 50))) == 100 / 2
    # soprano and tenor C5-F4 to D5-G4, alto and bass A4-D4 to B4-E4: two pairs of voices
    assert voice_leading.parallel_fifths(chords((72, 69, 65, 62), (74, 71, 67, 64))) == 2 * 100 / 2
    assert voice_leading.parallel_octaves(chords(STILL, (69, 64, 60, 50))) == 0


def test_parallel_octaves(chords):
    # tenor C4 and bass C3 go to D4 and D3
    assert voice_leading.parallel_octaves(chords(STILL, (67, 64, 62, 50))) == 100 / 2
    # soprano and alto both E4, then both F4; tenor and bass hold
    assert voice_leading.parallel_octaves(chords((64, 64, 55, 48), (65, 65, 55, 48))) == 100 / 2
    assert voice_leading.parallel_fifths(chords(STILL, (67, 64, 62, 50))) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(STILL, STILL, id="struck again"),
        pytest.param(STILL, (67, 65, 62, 48), id="the fifth holds"),
        pytest.param((67, 64, 60, 48), (62, 64, 60, 55), id="contrary: G4-C3 to D4-G3"),
        pytest.param((67, 64, 60, 48), (79, 64, 60, 60), id="both leap an octave"),
        pytest.param((66, 63, 60, 48), (69, 64, 60, 50), id="tritone to fifth"),
        pytest.param((67, 64, 60, REST), (69, 65, 60, 50), id="the bass was silent"),
        pytest.param((67, 64, 60, 48), (REST, 65, 60, 50), id="the soprano falls silent"),
    ],
)
def test_what_is_no_parallel(chords, before, after):
    score = chords(before, after, STILL)  # everybody sings at the end
    alone = chords(STILL, STILL, STILL)
    assert voice_leading.parallel_fifths(alone) == 0
    pitch = voice_leading.sounding_pitches(voice_leading.voices(score))[:, :2]
    assert voice_leading._parallels(pitch, voice_leading.FIFTH) == 0
    assert voice_leading._parallels(pitch, voice_leading.OCTAVE) == 0


def test_voices_that_move_one_after_the_other_are_not_parallel(score_of):
    rows = [(0, 480, 67, 80, 0), (480, 480, 69, 80, 0), (0, 240, 48, 80, 3), (240, 720, 50, 80, 3)]
    rows += [(0, 960, 64, 80, 1), (0, 960, 60, 80, 2)]
    assert voice_leading.parallel_fifths(score_of(rows, tracks=NAMED)) == 0


def test_crossed_voices(chords):
    # the tenor rises above the alto for two beats, comes back, and does it again: twice in five beats
    crossed, plain = (67, 60, 64, 48), STILL
    assert voice_leading.crossed_voices(chords(plain, crossed, crossed, plain, crossed)) == 2 * 100 / 5
    assert voice_leading.crossed_voices(chords(plain, (64, 64, 60, 48))) == 0  # a unison is not a crossing
    # soprano under alto, tenor under bass, at once and from the beginning
    assert voice_leading.crossed_voices(chords((62, 64, 48, 50))) == 2 * 100
    # a voice that is silent is not crossed
    assert voice_leading.crossed_voices(chords(plain, (REST, 64, 60, 48))) == 0


def test_out_of_range(chords):
    low = (60, 55, 48, 40)  # the lowest note of each voice
    high = (79, 74, 67, 62)
    assert voice_leading.out_of_range(chords(low, high)) == 0
    assert voice_leading.out_of_range(chords(low, (59, 54, 47, 39))) == 4 * 100 / 2
    assert voice_leading.out_of_range(chords(high, (80, 74, 68, 62))) == 2 * 100 / 2


def test_beats_are_those_of_the_meter(score_of):
    rows = [(0, 1920, pitch, 80, voice) for voice, pitch in enumerate((80, 64, 60, 48))]
    assert voice_leading.num_beats(score_of(rows, meter=(4, 4))) == 4
    assert voice_leading.num_beats(score_of(rows, meter=(2, 2))) == 2
    assert voice_leading.num_beats(score_of(rows, meter=(4, 8))) == 8
    assert voice_leading.out_of_range(score_of(rows, meter=(2, 2))) == 100 / 2


def test_which_voices_are_four_parts(chords, score_of):
    plain = tuple(Track(19, False, f"part {k}") for k in range(4))
    upside_down = [column[::-1] for column in (STILL, (69, 64, 60, 50))]  # the bass on the first track
    assert voice_leading.parallel_fifths(chords(*upside_down, tracks=plain)) == 100 / 2
    assert [part["pitch"].max() for part in voice_leading.voices(chords(*upside_down, tracks=plain))] == [
        69,
        64,
        60,
        50,
    ]
    # by name, whatever the order, the case, and whatever else plays
    shuffled = (
        *(Track(19, False, name) for name in ("BASS", "tenor", " Alto", "Soprano")),
        Track(48, False, "strings"),
    )
    parts = voice_leading.voices(chords((*STILL[::-1], 90), tracks=shuffled))
    assert [part["pitch"][0] for part in parts] == list(STILL)


@pytest.mark.parametrize(
    "measure",
    [
        voice_leading.parallel_fifths,
        voice_leading.parallel_octaves,
        voice_leading.crossed_voices,
        voice_leading.out_of_range,
    ],
)
def test_not_a_number_without_four_voices(measure, chords, score_of):
    assert math.isnan(measure(chords(STILL[:3], tracks=NAMED[:3])))
    assert math.isnan(measure(chords((*STILL, 40), tracks=tuple(Track() for _ in range(5)))))
    assert math.isnan(measure(chords((67, 64, 60, REST))))  # the bass never sings
    assert math.isnan(measure(Score(np.zeros(0, NOTE_DTYPE), NAMED)))
    drums = (*(Track() for _ in range(3)), Track(0, True, "kit"))
    assert math.isnan(measure(chords(STILL, tracks=drums)))
    overlapping = [(0, 480, pitch, 80, voice) for voice, pitch in enumerate(STILL)] + [(240, 480, 72, 80, 0)]
    assert math.isnan(measure(score_of(overlapping, tracks=NAMED)))


def test_as_music21_finds_them_in_bach():
    """BWV 40.8 ends four phrases with an anticipation in the soprano, a fifth above the tenor."""
    chorale = music21.corpus.parse("bach/bwv40.8")
    parts = [part.flatten().stripTies().notes.stream() for part in chorale.parts]
    begin = [{note.offset: note for note in part} for part in parts]
    end = [{note.offset + note.quarterLength: note for note in part} for part in parts]
    fifths = octaves = 0
    for upper, lower in combinations(range(4), 2):
        for moment in set(begin[upper]) & set(begin[lower]) & set(end[upper]) & set(end[lower]):
            notes = (end[upper], begin[upper], end[lower], begin[lower])
            quartet = music21.voiceLeading.VoiceLeadingQuartet(*(part[moment] for part in notes))
            fifths += quartet.similarMotion() and quartet.parallelFifth()
            octaves += quartet.similarMotion() and (quartet.parallelOctave() or quartet.parallelUnison())
    score = Score.read(music21.corpus.getWork("bach/bwv40.8"))
    per = 100 / voice_leading.num_beats(score)
    assert fifths == 4
    assert voice_leading.parallel_fifths(score) == pytest.approx(fifths * per)
    assert voice_leading.parallel_octaves(score) == pytest.approx(octaves * per)


def four_voices():
    """Scores of four named voices, each a row of notes and rests of 1 to 3 eighths."""
    step = st.tuples(st.integers(1, 3), st.integers(0, 14), st.booleans())
    voice = st.lists(step, min_size=3, max_size=12)

    def build(voices):
        rows = []
        for number, steps in enumerate(voices):
            tick = 0
            for length, height, rests in steps:
                if not rests or height % 3:
                    rows.append((tick, 240 * length, 70 - 6 * number + height, 80, number))
                tick += 240 * length
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        return Score(sorted_notes(table(NOTE_DTYPE, *columns)), NAMED)

    return st.lists(voice, min_size=4, max_size=4).map(build)


def slowly(score):
    """Parallel fifths, octaves and crossings of a score with four voices, counted eighth by eighth with plain loops."""
    step = 240
    grid = [[None] * (score.end_tick // step) for _ in range(4)]
    for onset, length, pitch, _, track in score.notes.tolist():
        for tick in range(onset, onset + length, step):
            grid[track][tick // step] = pitch
    found = {7: 0, 0: 0, "crossed": 0}
    for now in range(len(grid[0])):
        for upper, lower in combinations(range(4), 2):
            a, b = grid[upper][now], grid[lower][now]
            c, d = (grid[upper][now - 1], grid[lower][now - 1]) if now else (None, None)
            if lower == upper + 1 and None not in (a, b) and b > a and (None in (c, d) or d <= c):
                found["crossed"] += 1
            if None in (a, b, c, d) or (a - c) % 12 == 0 or (a - c) * (b - d) <= 0:
                continue
            if abs(a - b) % 12 == abs(c - d) % 12 and abs(a - b) % 12 in found:
                found[abs(a - b) % 12] += 1
    return found


@given(four_voices())
def test_as_counted_eighth_by_eighth(score):
    wanted = slowly(score)
    per = 100 / voice_leading.num_beats(score)
    if voice_leading.voices(score) is None:
        return
    assert voice_leading.parallel_fifths(score) == pytest.approx(wanted[7] * per)
    assert voice_leading.parallel_octaves(score) == pytest.approx(wanted[0] * per)
    assert voice_leading.crossed_voices(score) == pytest.approx(wanted["crossed"] * per)
