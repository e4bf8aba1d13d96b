"""New music in a gap of a piece."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.score.alignment import Alignment
from lstmusic.score.score import NOTE_DTYPE, Score, Track, sorted_notes, table
from lstmusic.score.splice import Gap, inside, spliced

BAR = 1920
TWO = (Track(0, False, "right"), Track(0, False, "left"))


def rows(score):
    return [tuple(note) for note in score.notes.tolist()]


def test_inside_is_wholly_inside(score_of):
    score = score_of([(0, 480, 60, 80, 0), (480, 480, 61, 80, 0), (500, 461, 62, 80, 0), (479, 10, 63, 80, 0)])
    by_pitch = dict(zip(score.notes["pitch"].tolist(), inside(score.notes, (480, 960)).tolist(), strict=True))
    assert by_pitch == {60: False, 61: True, 62: False, 63: False}


def test_notes_in_the_gap_go_and_those_over_its_edges_stay(score_of):
    piece = score_of(
        [
            (0, 960, 60, 80, 0),
            (960, 1920, 62, 81, 1),
            (1920, 480, 64, 82, 0),
            (3600, 480, 65, 83, 1),
            (3840, 480, 67, 84, 0),
        ],
        tracks=TWO,
    )
    new = replace(
        piece, notes=sorted_notes(np.concatenate([piece.notes, table(NOTE_DTYPE, [2400], [240], [72], [60], [0])]))
    )
    gap = Gap((BAR, 2 * BAR), (BAR, 2 * BAR))
    result = spliced(Alignment(piece, piece, in_seconds=False), new, gap)
    assert (result.removed, result.written, result.trimmed) == (1, 2, 0)
    # what `new` holds wholly inside is written: its own 64, and 72; the rest is the piece's
    assert rows(result.score) == sorted([*rows(piece), (2400, 240, 72, 60, 0)])
    empty = replace(new, notes=new.notes[~inside(new.notes, gap.music)])
    left = spliced(Alignment(piece, piece, in_seconds=False), empty, gap).score
    assert rows(left) == [row for row in rows(piece) if row[2] != 64]


def test_what_the_encoding_does_not_carry_stays_outside_and_drums_stay_inside(score_of):
    tracks = (Track(0), Track(0, True, "kit"))
    piece = score_of(
        [(480 * k, 240, 60 + k, 80, 0) for k in range(12)] + [(480 * k, 60, 38, 99, 1) for k in range(12)],
        tracks=tracks,
    )
    music = replace(piece, notes=piece.notes[piece.notes["track"] == 0], tracks=tracks[:1])
    nothing = replace(music, notes=music.notes[~inside(music.notes, (BAR, 2 * BAR))])
    result = spliced(Alignment(piece, music, in_seconds=False), nothing, Gap((BAR, 2 * BAR), (BAR, 2 * BAR)))
    assert result.removed == 4
    assert (result.score.notes["track"] == 1).sum() == 12
    assert result.score.tracks == tracks


def test_voices_that_are_kept_stay_and_others_get_tracks(score_of):
    piece = score_of([(480 * k, 480, 72 + k % 3, 80, 0) for k in range(8)], tracks=(Track(52, False, "melody"),))
    voices = (Track(19, False, "Soprano"), Track(19, False, "Bass"))
    music = replace(piece, tracks=voices)
    bass = table(NOTE_DTYPE, 960 * np.arange(4), 960, 48, 80, 1)
    new = replace(music, notes=sorted_notes(np.concatenate([music.notes, bass])))
    result = spliced(Alignment(piece, music, in_seconds=False), new, Gap((0, 2 * BAR), (0, 2 * BAR)), keep=("soprano",))
    assert (result.removed, result.written) == (0, 4)
    assert result.score.tracks == (Track(52, False, "melody"), Track(52, False, "Bass"))  # sung, as what stays
    assert result.voices == {"Soprano": 0}
    assert rows(replace(result.score, notes=result.score.notes[result.score.notes["track"] == 0])) == rows(piece)


def test_voices_go_to_the_tracks_of_their_names(score_of):
    """A piece in four parts for piano; of two tracks of one name, that of the program is the one."""
    parts = (Track(0, False, "SOPRANO"), Track(0, False, "Bass"), Track(0, True, "Alto"))
    piece = score_of([(480 * k, 480, 72 + k % 3, 80, 0) for k in range(8)], tracks=parts)
    music = replace(piece, tracks=(Track(19, False, "Soprano"), Track(19, False, "Alto"), Track(19, False, "Bass")))
    lower = [table(NOTE_DTYPE, 960 * np.arange(4), 960, 60 - 12 * track, 80, track) for track in (1, 2)]
    new = replace(music, notes=sorted_notes(np.concatenate([music.notes, *lower])))
    gap = Gap((0, 2 * BAR), (0, 2 * BAR))
    result = spliced(Alignment(piece, music, in_seconds=False), new, gap, keep=("soprano",))
    assert result.score.tracks == (*parts, Track(0, False, "Alto"))  # none is the drums'
    assert {(note["pitch"], note["track"]) for note in result.score.notes[result.new]} == {(48, 3), (36, 1)}
    again = replace(result.score, tracks=(*result.score.tracks, Track(19, False, "Bass")))
    organ = spliced(Alignment(again, music, in_seconds=False), new, gap, keep=("soprano",)).score
    assert {(note["pitch"], note["track"]) for note in organ.notes if note["pitch"] < 60} == {(48, 3), (36, 4)}


def test_what_is_written_as_it_was_is_new(score_of):
    piece = score_of([(480 * k, 480, 60 + k, 80, 0) for k in range(12)])
    result = spliced(Alignment(piece, piece, in_seconds=False), piece, Gap((BAR, 2 * BAR), (BAR, 2 * BAR)))
    assert result.score == piece
    assert result.new.tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert (result.written, result.removed) == (4, 4)


def test_new_notes_make_way_for_those_that_stay(score_of):
    piece = score_of([(0, 480, 60, 80, 0), (2400, 1920, 64, 80, 0)])
    written = table(NOTE_DTYPE, [1920, 2640], [960, 480], 64, 70, 0)
    new = replace(piece, notes=sorted_notes(np.concatenate([piece.notes, written])))
    result = spliced(Alignment(piece, piece, in_seconds=False), new, Gap((BAR, 2 * BAR), (BAR, 2 * BAR)))
    assert rows(result.score) == [(0, 480, 60, 80, 0), (1920, 480, 64, 70, 0), (2400, 1920, 64, 80, 0)]
    assert (result.written, result.trimmed) == (1, 2)


def test_new_notes_are_as_loud_as_what_stays(score_of):
    """Medians: of 20, 30, 70 in one track; of all that stays, 20, 30, 40, 50, 60, 70, for a new track."""
    loud = [(480 * k, 480, 60 + k, velocity, k // 3) for k, velocity in enumerate((20, 30, 70, 40, 50, 60))]
    piece = score_of([*loud, (4 * BAR, 480, 60, 120, 0)], tracks=TWO)
    music = replace(piece, tracks=(*TWO, Track(19, False, "Bass")))
    written = table(NOTE_DTYPE, 4 * BAR, 480, [72, 73, 74], 80, [0, 1, 2])
    new = replace(music, notes=sorted_notes(np.concatenate([piece.notes[:-1], written])))
    gap = Gap((4 * BAR, 5 * BAR), (4 * BAR, 5 * BAR))
    told, silent = (
        spliced(Alignment(piece, piece, in_seconds=False), new, gap, (), velocities).score
        for velocities in (True, False)
    )
    assert told.notes["velocity"].tolist()[-3:] == [80, 80, 80]
    assert dict(zip(silent.notes["pitch"].tolist(), silent.notes["velocity"].tolist(), strict=True)) == {
        60: 20,
        61: 30,
        62: 70,
        63: 40,
        64: 50,
        65: 60,
        72: 30,
        73: 50,
        74: 45,
    }
    alone = replace(piece, notes=piece.notes[-1:])
    only = spliced(Alignment(alone, alone, in_seconds=False), new, gap, (), False).score
    assert set(only.notes["velocity"].tolist()) == {80}  # nothing stays


def test_drums_do_not_tell_how_loud_a_new_voice_is(score_of):
    tracks = (Track(0, False, "melody"), Track(0, True, "kit"))
    piece = score_of([(0, 480, 72, 40, 0), *((480 * k, 60, 38, 110, 1) for k in range(4))], tracks=tracks)
    music = replace(piece, notes=piece.notes[piece.notes["track"] == 0], tracks=(tracks[0], Track(19, False, "Bass")))
    bass = table(NOTE_DTYPE, [0], 480, 48, 80, 1)
    new = replace(music, notes=sorted_notes(np.concatenate([music.notes, bass])))
    gap = Gap((0, BAR), (0, BAR))
    result = spliced(Alignment(piece, music, in_seconds=False), new, gap, keep=("melody",), velocities=False)
    assert result.score.notes["velocity"][result.new].tolist() == [40]


def test_a_slower_piece_in_seconds(score_of):
    piece = score_of([(480 * k, 480, 60 + k, 80, 0) for k in range(8)], qpm=60)
    music = Score(
        table(NOTE_DTYPE, 1000 * np.arange(8), 1000, 60 + np.arange(8), 80, 0), (Track(),), ticks_per_quarter=500
    )
    notes = music.notes.copy()
    notes[4:6] = [(4000, 500, 90, 50, 0), (4500, 700, 91, 50, 0)]
    result = spliced(Alignment(piece, music, True), replace(music, notes=notes), Gap((1920, 2880), (4000, 6000)))
    assert rows(result.score)[4:6] == [(1920, 240, 90, 50, 0), (2160, 336, 91, 50, 0)]
    assert (result.score.tempi == piece.tempi).all()


@pytest.mark.parametrize("seed", range(3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 7), bars=st.integers(1, 4))
def test_nothing_outside_the_gap_changes(phrase, seed, start, bars):
    piece, other = phrase(8, seed), phrase(8, seed + 100)
    span = (start * BAR + 300, (start + bars) * BAR + 100)
    result = spliced(Alignment(piece, piece, in_seconds=False), other, Gap(span, span)).score
    kept, now = (score.notes[~inside(score.notes, span)] for score in (piece, result))
    assert np.array_equal(kept, now)
    assert np.array_equal(
        result.notes[inside(result.notes, span)]["onset_tick"], other.notes[inside(other.notes, span)]["onset_tick"]
    )


def test_a_voice_that_is_kept_stays_where_another_meets_it(score_of):
    """Tenor and bass meet on G3: the bass's note stays, the tenor's goes."""
    chords = ((60, 48), (55, 55), (57, 50))
    rows_of = [(480 * k, 480, pitch, 80, voice) for k, chord in enumerate(chords) for voice, pitch in enumerate(chord)]
    piece = score_of(rows_of, tracks=(Track(19, False, "Tenor"), Track(19, False, "Bass")))
    tenor = piece.notes["track"] == 0
    notes = piece.notes.copy()
    notes["pitch"][tenor] = 64
    new = replace(piece, notes=notes)
    result = spliced(Alignment(piece, piece, in_seconds=False), new, Gap((0, BAR), (0, BAR)), ("bass",))
    assert (result.removed, result.written, result.trimmed) == (3, 3, 0)
    assert set(rows(result.score)) == set(rows(new))
