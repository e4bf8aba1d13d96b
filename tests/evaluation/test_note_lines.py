"""Lines of moments: what they say of a piece, and what they leave out."""

from dataclasses import replace

import numpy as np
import pytest

from lstmusic.evaluation import note_lines
from lstmusic.evaluation.note_lines import CLASSES, END
from lstmusic.score import Track

# onset and duration in ticks of 480 to a quarter, pitch: a quarter, two eighths, a half, a quarter
TUNE = [(0, 480, 60), (480, 240, 64), (720, 240, 62), (960, 960, 72), (1920, 480, 47)]


@pytest.fixture
def tune(score_of):
    """A function: rows of onset, duration and pitch as a score of one part."""

    def build(rows=TUNE, **options):
        return score_of([(*row, 80, 0) for row in rows], **options)

    return build


def read(score):
    own = note_lines.lines(score)
    return own, note_lines.symbols(own.pitch, own.rhythm, own.first, END).tolist()


def test_a_tune_by_hand(tune):
    own, symbols = read(tune())
    assert own.pitch.tolist() == [60, 64, 62, 72, 47]
    assert own.onset_tick.tolist() == [0, 480, 720, 960, 1920]
    assert own.end_tick.tolist() == [480, 720, 960, 1920, 2400]
    assert own.first.tolist() == [True, False, False, False, False]
    # gaps of 480, 240, 240, 960: a half, as long, four times as long; what follows the last two moments is not known
    assert own.rhythm.tolist() == [0, 2, 4, 0, 0]
    intervals = [4, -2, 10, -24]  # the leap of 25 down is told as one of 24
    assert symbols == [(24 + step) * CLASSES + k for step, k in zip(intervals, [0, 2, 4, 0], strict=True)] + [END]


RATIOS = [(1 / 2, 0), (2 / 3, 1), (3 / 4, 1), (1, 2), (4 / 3, 3), (3 / 2, 3), (2, 4), (3, 4)]


@pytest.mark.parametrize(("ratio", "kind"), RATIOS)
def test_the_ratios_of_music_are_classes_of_their_own_even_seven_percent_off(tune, ratio, kind):
    for off in (0.93, 1, 1.07):
        gap = round(1200 * ratio * off)
        own, _ = read(tune([(0, 1200, 60), (1200, 100, 60), (1200 + gap, 100, 60)], ticks_per_quarter=600))
        assert own.rhythm[0] == kind


def test_key_tempo_and_note_values_do_not_count(tune):
    _, symbols = read(tune())
    assert read(tune([(on, length, pitch + 7) for on, length, pitch in TUNE]))[1] == symbols
    assert read(tune([(2 * on, 2 * length, pitch) for on, length, pitch in TUNE]))[1] == symbols
    assert read(tune(qpm=60))[1] == symbols
    assert read(tune([(on, 60, pitch) for on, _, pitch in TUNE]))[1] == symbols  # staccato


def test_of_notes_together_the_highest_counts(tune):
    # 30 ticks are the 16th part of a quarter: so late a note begins a moment of its own
    rolled = [(0, 480, 48), (29, 451, 60), (480, 240, 57), (480, 240, 64), (720, 30, 62), (750, 210, 55)]
    own, _ = read(tune(rolled))
    assert own.pitch.tolist() == [60, 64, 62, 55]
    assert own.onset_tick.tolist() == [0, 480, 720, 750]


def test_a_moment_ends_with_its_highest_note_or_with_the_next(tune):
    own, _ = read(tune([(0, 100, 60), (0, 900, 48), (480, 700, 64), (960, 240, 62), (960, 960, 50)]))
    assert own.end_tick.tolist() == [100, 960, 1200]


def test_a_line_ends_after_two_bars_without_an_onset(tune):
    own, symbols = read(tune([(0, 480, 60), (480, 480, 62), (480 * 9, 480, 64), (480 * 17 + 1, 480, 65)]))
    assert own.first.tolist() == [True, False, False, True]
    assert symbols == [26 * CLASSES + 4, 26 * CLASSES, END, END]
    assert own.end_tick.tolist() == [480, 960, 4800, 480 * 18 + 1]


def test_each_part_has_lines_of_its_own_and_drums_have_none(score_of):
    rows = [(0, 480, 60, 80, 1), (480, 480, 62, 80, 1), (0, 480, 36, 80, 0), (0, 480, 50, 80, 2), (480, 480, 48, 80, 2)]
    own, symbols = read(score_of(rows, tracks=(Track(0, True, "Kit"), Track(), Track(32))))
    assert own.track.tolist() == [1, 1, 2, 2]
    assert own.first.tolist() == [True, False, True, False]
    assert symbols == [26 * CLASSES, END, 22 * CLASSES, END]


def test_a_score_without_notes_has_no_lines(tune):
    empty = replace(tune(), notes=tune().notes[:0])
    assert [len(column) for column in note_lines.lines(empty)] == [0] * 6
    assert np.array_equal(read(empty)[1], [])
