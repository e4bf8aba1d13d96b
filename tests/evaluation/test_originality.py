"""Runs that songs share with training pieces: found, measured in bars and told where they are."""

import io
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.errors import CheckpointError
from lstmusic.evaluation import originality
from lstmusic.evaluation.note_lines import lines
from lstmusic.evaluation.originality import Band, Index, Run, band
from lstmusic.score import Score, Track
from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, sorted_notes, table

# Nine notes: pitches, and durations in eighths; two bars of 4/4 and a quarter
THEME = [(60, 2), (64, 1), (62, 1), (67, 3), (65, 1), (64, 2), (62, 2), (59, 4), (60, 2)]
OTHER = [(72, 1), (71, 1), (72, 2), (79, 1), (84, 1), (76, 4), (74, 3), (70, 1), (69, 2)]


BAR = 1920  # ticks of 4/4


def tune(*parts, eighth=240, semitones=0, pickup=0, meter=(4, 4), tracks=None):
    """Parts, each of (pitch, eighths) in a row, pitch 0 a rest, as a score."""
    rows = []
    for number, part in enumerate(parts):
        tick = 0
        for pitch, eighths in part:
            if pitch:
                rows.append((tick, eighth * eighths, pitch + semitones, 80, number))
            tick += eighth * eighths
    return Score(
        sorted_notes(table(NOTE_DTYPE, *zip(*rows, strict=True))),
        tracks or tuple(Track(0, False, name) for name in ("High", "Low", "Bass")[: len(parts)]),
        meters=table(METER_DTYPE, [0], *meter),
        pickup_tick=pickup,
    )


@pytest.fixture(scope="module")
def index():
    """Of two pieces: two bars of rest and the theme; another tune above, the theme after an upbeat of a quarter below."""
    first = tune([(55, 1), (0, 15), *THEME])
    second = tune(OTHER, [(48, 2), *((pitch - 12, eighths) for pitch, eighths in THEME)], pickup=480)
    return Index.build([("first", first), ("dir/second", second)])


def test_a_theme_is_found_in_another_key_and_tempo(index):
    song = tune(OTHER[:3], [(40, 8), (43, 8), (90, 4), *THEME], eighth=264, semitones=5)
    [run] = index.longest([song])
    # the nine notes last 18 eighths of 264 ticks, a bar has 1920; they begin after 20 eighths, in the third bar
    assert run == Run(9, pytest.approx(18 * 264 / 1920), "first", 3, 3, "Low", 5)


def test_where_it_stands_first_is_told(index):
    octave_below = [(48, 2), *((pitch - 12, eighths) for pitch, eighths in THEME)]
    [run] = index.longest([tune(octave_below)])
    assert run == Run(10, 2.5, "dir/second", 0, 1, "High", 0)  # with the note before it, in the bar of the upbeat
    [run] = index.longest([tune(octave_below, pickup=480)])
    assert (run.bar, run.bars) == (0, 2.5)


def test_the_bars_are_those_of_the_score(index):
    [run] = index.longest([tune(THEME, meter=(2, 4))])
    assert run.bars == 4.5
    [run] = index.longest([tune(THEME, eighth=120)])
    assert run.bars == 1.125
    assert run.notes == 9


def test_runs_go_on_in_one_line_only(index):
    [none] = index.longest([tune(THEME[:5], THEME[5:])])
    assert none is None
    [none] = index.longest([tune([*THEME[:5], (0, 18), *THEME[5:]])])
    assert none is None
    [none] = index.longest([tune([*OTHER[5:], (48, 2), *THEME[:5]])])  # an end of a part, and the beginning of the next
    assert none is None


def test_eight_notes_count_and_seven_do_not(index):
    runs = index.longest([tune(THEME[:8]), tune(THEME[:7]), tune([(30, 2), *THEME[1:], (99, 1)])])
    assert [run and run.notes for run in runs] == [8, None, 8]
    assert runs[2].semitones == 0
    assert runs[2].piece_bar == 3


def test_patterns_do_not_count():
    scale = [(60 + k, 1) for k in range(20)]
    trill = [(60 + 2 * (k % 2), 1) for k in range(40)]
    assert Index.build([("a", tune(scale, trill))]).longest([tune(scale), tune(trill)]) == [None, None]


def test_the_run_of_most_bars_is_told(index):
    slow = [(pitch + 3, 2 * eighths) for pitch, eighths in THEME[:8]]  # 8 notes in 32 eighths
    [run] = index.longest([tune([*OTHER, (0, 40), *slow])])  # against 9 notes in 16
    assert (run.notes, run.bars, run.bar) == (8, 4.0, 8)
    [run] = index.longest([tune([*OTHER, (0, 40), *THEME[:8], (20, 1)])])  # as many bars: that of more notes
    assert (run.notes, run.bars, run.bar) == (9, 2.0, 1)


def test_no_score_no_notes_no_pieces(index):
    silent = replace(tune(THEME), notes=tune(THEME).notes[:0])
    drums = tune(THEME, tracks=(Track(0, True, "Kit"),))
    assert index.longest([]) == []
    assert index.longest([silent, drums, tune(THEME)])[:2] == [None, None]
    assert index.longest([silent, drums, tune(THEME)])[2] is not None
    empty = Index.build([])
    assert empty.longest([tune(THEME)]) == [None]
    assert Index.from_bytes(empty.to_bytes(), "x").names == []


def test_many_at_once_are_as_one_at_a_time(index):
    songs = [tune(THEME, OTHER), tune(OTHER[2:] + THEME[2:]), tune(THEME[3:])]
    assert index.longest(songs) == [run for song in songs for run in index.longest([song])]


def parts_of(score):
    """Each part's lines as lists of (onset, end, pitch), by the words of the docs: no array is used."""
    quarter, lines = score.ticks_per_quarter, []
    for number in range(len(score.tracks)):
        notes = [tuple(int(value) for value in note) for note in score.notes if note["track"] == number]
        line, last = [], None
        for onset, duration, pitch, *_ in sorted(notes):
            if last is None or 16 * (onset - last) >= quarter:
                if last is None or onset - line[-1][0] > 8 * quarter:
                    line = []
                    lines.append(line)
                line.append([onset, onset + duration, pitch])
            elif pitch >= line[-1][2]:
                end = max(onset + duration, line[-1][1]) if pitch == line[-1][2] else onset + duration
                line[-1][1:] = [end, pitch]
            last = onset
        for own in lines:
            for here, following in pairwise(own):
                here[1] = min(here[1], following[0])
    return lines


def rhythm(first, second):
    squared = Fraction(second, first) ** 2
    return sum(squared > border for border in (Fraction(1, 3), Fraction(2, 3), Fraction(3, 2), 3))


def steps(line):
    """The steps of a line: each interval, and how the next gap is to this one; of the last there is none."""
    intervals = [max(-24, min(24, after[2] - here[2])) for here, after in pairwise(line)]
    gaps = [after[0] - here[0] for here, after in pairwise(line)]
    return list(zip(intervals, [*(rhythm(*pair) for pair in pairwise(gaps)), None], strict=True)) if gaps else []


def stretches(line):
    """Every run of a line: its first note, how many, and its steps, the last by its interval alone."""
    every = steps(line)
    for start in range(len(line)):
        for count in range(8, len(line) - start + 1):
            own = every[start : start + count - 1]
            yield start, count, (*own[:-1], own[-1][0])


def reference(pieces, score):
    """Bars and notes of the longest run, by trying every stretch of every line."""
    known = {own for piece in pieces for line in parts_of(piece) for _, _, own in stretches(line)}
    found = [(0, 0)]
    for line in parts_of(score):
        for start, count, own in stretches(line):
            if own in known and len(set(own[:-1])) >= 4:
                found.append(((line[start + count - 1][1] - line[start][0]) / BAR, count))
    return max(found)


NOTE = st.tuples(st.sampled_from((60, 62, 65, 0)), st.sampled_from((1, 2, 2, 3)))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_music(data):
    lines = st.lists(NOTE, min_size=8, max_size=24)
    pieces = [data.draw(st.tuples(lines, lines)) for _ in range(2)]
    song = data.draw(lines) + data.draw(st.sampled_from([*pieces[0], *pieces[1]]))[data.draw(st.integers(0, 9)) :]
    with_notes = [[[*part, (67, 1)] for part in piece] for piece in (*pieces, [song])]
    *scores, score = (tune(*piece, semitones=k) for k, piece in enumerate(with_notes))
    [run] = Index.build([(str(k), piece) for k, piece in enumerate(scores)]).longest([score])
    bars, notes = reference(scores, score)
    assert (run.bars, run.notes) == (pytest.approx(bars), notes) if notes else run is None


def test_an_index_comes_back_as_it_was(index):
    again = Index.from_bytes(index.to_bytes(), "x")
    assert again.names == ["first", "dir/second"]
    songs = [tune(THEME), tune(OTHER)]
    assert again.longest(songs) == index.longest(songs)
    assert again.to_bytes() == index.to_bytes()


def test_a_damaged_index_says_so(index):
    data = index.to_bytes()
    for bad in (b"", b"PK", data[:-30], data[: len(data) // 2], b"\0" * 100, data.replace(b"pitch", b"patch")):
        with pytest.raises(CheckpointError, match=r"a/originality\.npz: damaged, expected an index"):
            Index.from_bytes(bad, "a/originality.npz")


def changed(index, **arrays):
    """The index's file with other arrays in it."""
    with np.load(io.BytesIO(index.to_bytes())) as file:
        content = {key: file[key] for key in file.files}
    out = io.BytesIO()
    np.savez_compressed(out, **content | arrays)
    return out.getvalue()


def test_arrays_that_do_not_fit_are_refused(index):
    Index.from_bytes(changed(index), "x")
    for name in ("pitch", "rhythm", "bar", "length", "piece"):
        for array in (np.zeros(3, np.uint8), getattr(index, name)[:-1], getattr(index, name).astype(np.int64)):
            with pytest.raises(CheckpointError, match="x: damaged"):
                Index.from_bytes(changed(index, **{name: array}), "x")
    for wrong in ({"pitch": index.pitch + 128}, {"rhythm": index.rhythm + 5}, {"piece": index.piece + 1}):
        with pytest.raises(CheckpointError, match="out of range"):
            Index.from_bytes(changed(index, **wrong), "x")
    with pytest.raises(CheckpointError, match="x: damaged"):
        Index.from_bytes(changed(index, pitch=np.array([None], object)), "x")  # pickled: never read
    with pytest.raises(CheckpointError, match="format 2, expected 1"):
        Index.from_bytes(changed(index, format=np.array(2), pitch=np.zeros(0)), "x")  # whatever is in it


def test_a_later_bar_than_65535_wraps_around_and_back():
    score = tune([*THEME, (0, 8 * 300), *THEME, (0, 8 * 300), *OTHER])
    built = Index.build([("a", score), ("b", tune(THEME))])
    assert np.array_equal(Index.from_bytes(built.to_bytes(), "x").bar, built.bar)


def test_band():
    runs = [Run(10, 2.0, "a", 1, 1, "t", 0), None, Run(8, 4.0, "a", 1, 1, "t", 0), Run(8, 1.0, "a", 1, 1, "t", 0)]
    # bars 0 1 2 4: between the second and the third; 85 % of the way from the third to the fourth
    assert band(runs) == pytest.approx(Band(4, 1.5, 2 + 0.85 * 2, 4.0, 8.0, 8 + 0.85 * 2, 10.0))
    with pytest.raises(ValueError, match="no pieces"):
        band([])


def test_what_scores_share_with_each_other_is_told_from_lines_made_once(phrase, monkeypatch):
    scores, made = [phrase(4, 1), phrase(4, 2), phrase(4, 1)], []
    expected = [Index.build([(str(k), score)]).longest(scores) for k, score in enumerate(scores)]
    monkeypatch.setattr(originality, "lines", lambda score: made.append(score) or lines(score))
    found = originality.mutual(scores)
    assert found == expected
    assert found[0][2].bars == pytest.approx(4)
    assert len(made) == 3
