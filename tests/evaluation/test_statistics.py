"""Each statistic on a piece whose value can be counted by hand; what changes nothing; and definitions spelt out slowly."""

import math
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from lstmusic.evaluation import statistics
from lstmusic.evaluation.statistics import STATISTICS, measured
from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes, table

QUARTER = 480
BAR = 4 * QUARTER
DRUMS = (Track(0, False, "a"), Track(0, True, "kit"))


@pytest.fixture
def tune(score_of):
    """A function: quarters of the given pitches, one after another, on one track."""
    return lambda *pitches, **options: score_of(
        [(QUARTER * k, QUARTER, pitch, 80, 0) for k, pitch in enumerate(pitches)], **options
    )


@pytest.fixture
def silence():
    """A score without notes."""
    return Score(np.zeros(0, NOTE_DTYPE), (Track(),))


@pytest.fixture
def drums_alone(score_of):
    """A bar of a snare."""
    return score_of([(QUARTER * k, 240, 38, 80, 1) for k in range(4)], tracks=DRUMS)


def test_pitch_class_entropy(tune, drums_alone):
    assert statistics.pitch_class_entropy(tune(60, 72, 48)) == 0
    assert statistics.pitch_class_entropy(tune(60, 62, 64, 65)) == pytest.approx(2)  # log2 of 4
    assert statistics.pitch_class_entropy(tune(60, 60, 62, 64)) == pytest.approx(1.5)  # 1/2 x 1 + 1/4 x 2 + 1/4 x 2
    assert statistics.pitch_class_entropy(tune(*range(60, 72))) == pytest.approx(math.log2(12))
    assert math.isnan(statistics.pitch_class_entropy(drums_alone))


def test_windowed_entropy(score_of, tune):
    # one note a bar, C C C C D: bars 1-4 hold C alone (0 bits), bars 2-5 three C and a D
    score = score_of([(BAR * k, BAR, pitch, 80, 0) for k, pitch in enumerate((60, 60, 60, 60, 62))])
    assert statistics.windowed_entropy(score) == pytest.approx((0 + entropy([3, 1], base=2)) / 2)
    assert statistics.windowed_entropy(tune(60, 62)) == pytest.approx(1)  # shorter than four bars
    # C in bar 1, D in bar 9: of the windows 1-4 ... 6-9 the first and the last hold notes, of one pitch class each
    apart = score_of([(0, BAR, 60, 80, 0), (8 * BAR, BAR, 62, 80, 0)])
    assert statistics.windowed_entropy(apart) == 0


def test_scale_consistency(tune, drums_alone):
    assert statistics.scale_consistency(tune(62, 64, 66, 67, 69, 71, 73)) == pytest.approx(1)  # D major
    assert statistics.scale_consistency(tune(60, 62, 64, 65, 67, 69, 71, 66)) == pytest.approx(
        7 / 8
    )  # C major, F sharp
    # A harmonic minor has no scale of its own here: its G sharp stands alone
    assert statistics.scale_consistency(tune(69, 71, 72, 74, 76, 77, 80)) == pytest.approx(6 / 7)
    assert statistics.scale_consistency(tune(*range(60, 72))) == pytest.approx(7 / 12)
    assert math.isnan(statistics.scale_consistency(drums_alone))


def test_groove_similarity(score_of, tune):
    rows = [(BAR * bar + QUARTER * beat, 240, 60, 80, 0) for bar in range(3) for beat in range(4)]
    assert statistics.groove_similarity(score_of(rows)) == 1
    # bars 1 and 2 have onsets on four beats, bar 3 on one: pairs differ at 0, 3 and 3 of 64 positions
    assert statistics.groove_similarity(score_of(rows[:9])) == pytest.approx(1 - (0 + 3 + 3) / 3 / 64)
    # a chord is one onset, whatever its notes; bar 2 is struck a 64th late
    late = [(0, 240, 60, 80, 0), (0, 240, 64, 80, 0), (BAR + 30, BAR - 30, 60, 80, 0)]
    assert statistics.groove_similarity(score_of(late)) == pytest.approx(1 - 2 / 64)
    # an upbeat of a quarter is no bar, though a note begins in it
    upbeat = [(0, 480, 60, 80, 0), (480, BAR, 60, 80, 0), (480 + BAR, BAR, 60, 80, 0)]
    assert statistics.groove_similarity(score_of(upbeat, pickup=480)) == 1
    assert math.isnan(statistics.groove_similarity(tune(60, 62, 64, 65)))


def test_polyphony(score_of, tune, drums_alone):
    assert statistics.polyphony(tune(60, 62, 64)) == 1
    # three notes for a quarter, silence for another, one note for two: 5 quarters of notes in 3 of sound
    rows = [(0, 480, pitch, 80, 0) for pitch in (60, 64, 67)] + [(960, 960, 72, 80, 0)]
    assert statistics.polyphony(score_of(rows)) == pytest.approx(5 / 3)
    # a short note inside a long one does not end its sound
    assert statistics.polyphony(score_of([(0, 1920, 60, 80, 0), (480, 480, 64, 80, 0)])) == pytest.approx(5 / 4)
    assert math.isnan(statistics.polyphony(drums_alone))


def test_polyphony_rate(score_of, drums_alone):
    # C E G in the first of four quarters, C E in the second, C alone to the end
    rows = [(0, 1920, 60, 80, 0), (0, 960, 64, 80, 0), (0, 480, 67, 80, 0)]
    assert statistics.polyphony_rate(score_of(rows)) == 1 / 4
    assert statistics.polyphony_rate(score_of([*rows, (960, 480, 71, 80, 0), (960, 480, 74, 80, 0)])) == 2 / 4
    # a second C at the same time is the same pitch
    assert statistics.polyphony_rate(score_of([(0, 480, 60, 80, 0), (0, 480, 60, 80, 1), (0, 480, 64, 80, 0)])) == 0
    assert math.isnan(statistics.polyphony_rate(drums_alone))


def test_empty_beat_rate(score_of, tune, drums_alone):
    assert statistics.empty_beat_rate(tune(60, 62, 64)) == 0
    # beats 2 and 3 of four are silent
    assert statistics.empty_beat_rate(score_of([(0, 480, 60, 80, 0), (1440, 480, 62, 80, 0)])) == 2 / 4
    # a note that rings into beat 2 by a tick is heard there
    assert statistics.empty_beat_rate(score_of([(0, 481, 60, 80, 0), (1440, 480, 62, 80, 0)])) == 1 / 4
    assert statistics.empty_beat_rate(score_of([(0, 480, 60, 80, 0), (1440, 480, 62, 80, 0)], meter=(2, 2))) == 0
    assert statistics.empty_beat_rate(drums_alone) == 0


def test_density(tune, score_of, silence):
    assert measured(tune(60, 62, 64, 65))["notes_per_bar"] == 4
    assert statistics.notes_per_second(tune(60, 62, 64, 65)) == 2  # quarters at 120 a minute
    assert statistics.notes_per_second(tune(60, 62, 64, 65, qpm=60)) == 1
    assert statistics.notes_per_second(silence) == 0


def test_pitches(tune, drums_alone):
    assert statistics.pitch_range(tune(60, 48, 67)) == 19
    assert statistics.mean_pitch(tune(60, 62, 67)) == 63
    assert statistics.pitch_range(tune(60)) == 0
    assert math.isnan(statistics.pitch_range(drums_alone)) and math.isnan(statistics.mean_pitch(drums_alone))


def test_lengths(score_of, tune, drums_alone):
    # a half and two eighths; onsets at quarters 0, 2, 2.5
    rows = [(0, 960, 60, 80, 0), (960, 240, 62, 80, 0), (1200, 240, 64, 80, 0)]
    assert statistics.note_length(score_of(rows)) == pytest.approx(3 / 3)
    assert statistics.inter_onset_interval(score_of(rows)) == pytest.approx(2.5 / 2)
    # notes struck together are one onset
    assert statistics.inter_onset_interval(score_of([*rows, (0, 240, 67, 80, 1)])) == pytest.approx(2.5 / 2)
    assert math.isnan(statistics.inter_onset_interval(tune(60)))
    assert math.isnan(statistics.note_length(drums_alone))


def test_repetition(tune):
    verse = (60, 62, 64, 65)
    score = tune(*verse, 67, 69, 71, 72, *verse, 67, 69, 71, 72, *verse)  # A B A B A
    assert measured(score)["repeated_bars"] == 3 / 5
    assert measured(score)["longest_repetition"] == 2


def test_everything_that_is_measured(tune, silence, phrase):
    values = measured(phrase(2))
    assert list(values) == list(STATISTICS)
    assert all(math.isfinite(value) for value in values.values())
    rows = statistics.table([phrase(2), silence])
    assert rows.shape == (2, len(STATISTICS)) and rows.dtype == np.float64
    assert rows[0].tolist() == list(values.values())
    assert statistics.table([]).shape == (0, len(STATISTICS))
    assert all(statistic.words and statistic.unit for statistic in STATISTICS.values())


def test_next_to_nothing(tune, silence, drums_alone):
    for score in (tune(60), silence, drums_alone, tune(0, 127)):
        assert all(isinstance(value, float) for value in measured(score).values())
    one = measured(tune(60))
    assert {name for name, value in one.items() if not math.isfinite(value)} == {
        "groove_similarity",
        "inter_onset_interval",
        "chord_change_rate",
        "chord_irregularity",
        "parallel_fifths",
        "parallel_octaves",
        "crossed_voices",
        "out_of_range",
    }


@st.composite
def scores(draw):
    """Scores of some notes on three tracks, the last one drums, in several meters, with or without an upbeat."""
    note = st.tuples(
        st.integers(0, 60).map(lambda k: 120 * k),
        st.integers(1, 12).map(lambda k: 80 * k),
        st.integers(36, 84),
        st.integers(1, 127),
        st.sampled_from((0, 0, 0, 1, 1, 2)),
    )
    rows = draw(st.lists(note, min_size=1, max_size=30))
    meter = draw(st.sampled_from(((4, 4), (3, 4), (6, 8), (2, 2))))
    return Score(
        sorted_notes(table(NOTE_DTYPE, *(np.array(column) for column in zip(*rows, strict=True)))),
        (Track(), Track(), Track(0, True)),
        meters=table(METER_DTYPE, [0], *meter),
        pickup_tick=draw(st.sampled_from((0, 480))),
    )


def changed(score, **columns):
    notes = score.notes.copy()
    for name, values in columns.items():
        notes[name] = values
    return replace(score, notes=sorted_notes(notes))


def same(one, other, *, but=()):
    for name in set(STATISTICS) - set(but):
        assert other[name] == pytest.approx(one[name], nan_ok=True), name


@given(scores(), st.integers(-36, 43))
@settings(max_examples=40)
def test_transposition_moves_the_mean_pitch_alone(score, semitones):
    pitch = score.notes["pitch"].astype(int) + semitones * (score.notes["track"] < 2)
    before, after = measured(score), measured(changed(score, pitch=pitch))
    same(before, after, but={"mean_pitch", "out_of_range"})
    assert after["mean_pitch"] == pytest.approx(before["mean_pitch"] + semitones, nan_ok=True)


@given(scores(), st.sampled_from((250_000, 1_000_000)))
@settings(max_examples=20)
def test_tempo_changes_the_notes_per_second_alone(score, us_per_quarter):
    before = measured(score)
    after = measured(replace(score, tempi=table(TEMPO_DTYPE, [0], us_per_quarter)))
    same(before, after, but={"notes_per_second"})
    assert after["notes_per_second"] == pytest.approx(before["notes_per_second"] * 500_000 / us_per_quarter)


@given(scores())
@settings(max_examples=20)
def test_loudness_and_resolution_change_nothing(score):
    notes = changed(
        score,
        onset_tick=3 * score.notes["onset_tick"],
        duration_tick=3 * score.notes["duration_tick"],
        velocity=100,
    )
    same(measured(score), measured(replace(notes, ticks_per_quarter=1440, pickup_tick=3 * score.pickup_tick)))


@given(scores())
@settings(max_examples=40)
def test_as_counted_in_a_piano_roll(score):
    pitched = score.notes[score.notes["track"] < 2]
    values = measured(score)
    if not len(pitched):
        return
    roll = np.zeros((128, score.end_tick // 40), int)
    for onset, length, pitch, _, _ in pitched.tolist():
        roll[pitch, onset // 40 : (onset + length) // 40] += 1
    assert values["polyphony"] == pytest.approx(roll.sum() / (roll.sum(0) > 0).sum())
    assert values["polyphony_rate"] == pytest.approx(((roll > 0).sum(0) >= 3).mean())
    everything = np.zeros(score.end_tick, bool)
    for onset, length, *_ in score.notes.tolist():
        everything[onset : onset + length] = True
    beats = [tick for tick in statistics.beat_ticks(score).tolist() if tick < score.end_tick] + [score.end_tick]
    empty = [not everything[start:stop].any() for start, stop in pairwise(beats)]
    assert values["empty_beat_rate"] == pytest.approx(np.mean(empty))


@given(scores())
@settings(max_examples=40)
def test_as_counted_bar_by_bar(score):
    lines = score.bar_ticks().tolist()
    spans = list(pairwise(lines))
    inside = [score.notes[(score.notes["onset_tick"] >= a) & (score.notes["onset_tick"] < b)] for a, b in spans]
    whole = slice(int(score.pickup_tick > 0), None)
    grooves = [
        {64 * (onset - a) // (b - a) for onset in notes["onset_tick"].tolist()}
        for (a, b), notes in zip(spans[whole], inside[whole], strict=True)
    ]
    if len(grooves) > 1 and any(grooves):
        wanted = np.mean([1 - len(one ^ other) / 64 for one, other in combinations(grooves, 2)])
        assert measured(score)["groove_similarity"] == pytest.approx(wanted)
    classes = [np.bincount(notes["pitch"][notes["track"] < 2] % 12, minlength=12) for notes in inside]
    windows = [sum(classes[k : k + 4]) for k in range(max(len(classes) - 3, 1))]
    bits = [entropy(counts, base=2) for counts in windows if counts.any()]
    assert measured(score)["windowed_entropy"] == pytest.approx(np.mean(bits) if bits else math.nan, nan_ok=True)
