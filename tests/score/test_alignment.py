"""Where the music of an encoding lies in its piece."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmusic.events import codec as codecs
from lstmusic.score.alignment import Alignment, Onsets
from lstmusic.score.score import Track


def moved(score, ticks):
    notes = score.notes.copy()
    notes["onset_tick"] += ticks
    return replace(score, notes=notes)


def aligned(piece, encoding, **options):
    codec = codecs.build(encoding, **options)
    music = codec.decode(codec.encode(piece, Counter()))
    return Alignment.found(piece, music, codec.in_seconds)


def test_onsets_meet_the_nearest_of_their_pitch():
    these, others = (
        Onsets(np.array([60, 60, 62]), np.array([0.0, 1.0, 1.0])),
        Onsets(np.array([60, 61]), np.array([1.1, 1.0])),
    )
    assert these.nearest(others, near=0.2).tolist() == [-1, 0, -1]
    assert these.nearest(others, near=0.05).tolist() == [-1, -1, -1]
    assert these.nearest(Onsets(np.zeros(0), np.zeros(0)), near=9.0).tolist() == [-1, -1, -1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=12), st.data())
def test_onsets_meet_as_by_looking_at_all_pairs(others, data):
    these = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=8))
    mine, theirs = (Onsets(*np.array(rows, float).reshape(-1, 2).T) for rows in (these, others))
    for (pitch, time), at in zip(these, mine.nearest(theirs, near=3).tolist(), strict=True):
        apart = [abs(time - t) for p, t in others if p == pitch and abs(time - t) <= 3]
        assert (at < 0) == (not apart)
        assert at < 0 or (others[at][0] == pitch and abs(others[at][1] - time) == min(apart))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_voices_in_unison_are_told_apart(score_of, order):
    """Alto and tenor meet on C4, tenor and bass on G3."""
    chords = ((72, 64, 60, 48), (71, 60, 60, 50), (69, 62, 55, 55), (67, 60, 57, 50))
    rows = [
        (480 * k, 480, pitch, 80, order[voice]) for k, chord in enumerate(chords) for voice, pitch in enumerate(chord)
    ]
    names = ("Soprano", "Alto", "Tenor", "Bass")
    tracks = tuple(Track(19, False, names[order.index(track)]) for track in range(4))
    found = aligned(score_of(rows, tracks=tracks), "chorale")
    at = found.in_music()
    assert sorted(at.tolist()) == list(range(16))
    assert [order[voice] for voice in found.music.notes["track"][at]] == found.piece.notes["track"].tolist()


@pytest.mark.parametrize("encoding", ["chorale", "metrical", "melody"])
def test_bars_of_silence_that_an_encoding_leaves_out(phrase, encoding):
    piece = moved(phrase(3), 2 * 1920)
    found = aligned(piece, encoding)
    assert found.origin == pytest.approx(8.0)  # quarters
    assert found.to_music(2 * 1920) == 0
    assert found.to_music(3 * 1920) == 4 * found.music.ticks_per_quarter
    assert found.to_piece(np.array([0, 4 * found.music.ticks_per_quarter])).tolist() == [3840, 5760]


def test_seconds_of_silence_at_another_tempo(score_of):
    piece = score_of([(960 + 480 * k, 240, 60 + k, 80, 0) for k in range(6)], qpm=60)
    found = aligned(piece, "performance")
    assert found.origin == pytest.approx(2.0)  # seconds
    assert found.to_music(1920) == 2000  # a tick of performance's music is a millisecond
    assert found.to_piece(np.array([2000, 2500])).tolist() == [1920, 2160]


def test_a_hand_that_is_not_on_the_grid(phrase):
    piece = phrase(4)
    notes = piece.notes.copy()
    notes["onset_tick"] += np.random.default_rng(0).integers(0, 40, len(notes))
    found = aligned(replace(piece, notes=np.sort(notes, order="onset_tick")), "chorale")
    assert found.origin == 0.0
    at = found.in_music()
    assert (at >= 0).all()
    assert (found.music.notes["pitch"][at] == found.piece.notes["pitch"]).all()


def test_what_an_encoding_leaves_out_meets_nothing(score_of):
    piece = score_of([(480 * k, 480, 72 - 5 * v, 80, v) for k in range(4) for v in range(5)])
    found = aligned(piece, "chorale")
    left_out = found.in_music() < 0
    assert left_out.sum() == 4
    assert len(set(piece.notes["pitch"][left_out])) == 1
