"""Notation <-> Score: literal examples, music21's chorales, MusicXML round trips."""

import numpy as np
import pytest
from music21 import bar, corpus, harmony, note, stream

from lstmusic.errors import OutputError, ReadError
from lstmusic.score import Score, Track, notation, notation_writer
from lstmusic.score.remarks import Remarks
from lstmusic.score.score import KEY_DTYPE, METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, table

ABC = """X:1
T:Pickup, chord symbol, grace note, triplet, tie, rest, chord
M:3/4
L:1/8
Q:1/4=100
K:Ador
"Am"A2|{g}c2 d2 e2|(3efg a4-|a2 z2 [ce]2|]
"""

KRN = """**kern\t**kern
*M4/4\t*M4/4
*k[b-]\t*k[b-]
=1-\t=1-
4C\t4c
4D\t8d
.\t8e
2E\t2f;
==\t==
*-\t*-
"""

# Ten pieces, with and without a pickup, in two meters, one with an instrument beside the voices (bwv1.6)
CHORALES = ("1.6", "10.7", "40.8", "66.6", "108.6", "177.5", "244.3", "253", "269", "281")


def rows(score: Score, track: int) -> list[tuple[int, int, int]]:
    notes = score.notes[score.notes["track"] == track]
    return [(onset, duration, pitch) for onset, duration, pitch, _, _ in notes.tolist()]


def test_abc(tmp_path):
    path = tmp_path / "tune.abc"
    path.write_text(ABC)
    score = Score.read(path)
    assert rows(score, 0) == [
        (0, 480, 69),
        (480, 480, 72),
        (960, 480, 74),
        (1440, 480, 76),
        (1920, 160, 76),
        (2080, 160, 78),
        (2240, 160, 79),
        (2400, 1440, 81),
        (4320, 480, 72),
        (4320, 480, 76),
    ]
    assert score.tempi.tolist() == [(0, 600_000)]
    assert score.meters.tolist() == [(0, 3, 4)]
    assert score.keys.tolist() == [(0, 9, True)]
    assert score.pickup_tick == 480
    assert score.bar_ticks().tolist() == [0, 480, 1920, 3360, 4800]


def test_humdrum(tmp_path):
    path = tmp_path / "two_voices.krn"
    path.write_text(KRN)
    score = Score.read(path)
    assert rows(score, 0) == [(0, 480, 60), (480, 240, 62), (720, 240, 64), (960, 960, 65)]
    assert rows(score, 1) == [(0, 480, 48), (480, 480, 50), (960, 960, 52)]
    assert score.meters.tolist() == [(0, 4, 4)]
    assert score.keys.tolist() == [(0, 5, False)]
    assert score.pickup_tick == 0


def test_a_bach_chorale():
    score = notation.from_music21(corpus.parse("bach/bwv66.6"))
    assert [track.name for track in score.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert rows(score, 0)[:4] == [(0, 240, 73), (240, 240, 71), (480, 480, 69), (960, 480, 71)]
    assert score.pickup_tick == 480
    assert (score.bar_ticks()[:4] // 480).tolist() == [0, 1, 5, 9]
    assert score.meters.tolist() == [(0, 4, 4)]
    assert score.keys.tolist() == [(0, 6, True)]
    assert score.tempi.tolist() == [(0, 625_000)]


@pytest.mark.parametrize("number", CHORALES)
def test_the_notes_are_those_music21_sees(number):
    stream = corpus.parse(f"bach/bwv{number}")
    score = notation.from_music21(stream)
    for k, part in enumerate(stream.parts):
        elements = [e for e in part.flatten().stripTies().notes if not e.duration.isGrace]
        expected = sorted((e.offset * 480, e.quarterLength * 480, p.midi) for e in elements for p in e.pitches)
        assert sorted(rows(score, k)) == expected


def test_a_score_survives_musicxml(tmp_path):
    path = tmp_path / "out.musicxml"
    score = Score(
        notes=np.array(
            [
                (0, 960, 60, 80, 0),
                (0, 480, 64, 81, 0),
                (480, 800, 67, 82, 0),
                (1280, 1600, 72, 84, 0),
                (240, 60, 40, 85, 1),
            ],
            NOTE_DTYPE,
        ),
        tracks=(Track(40, False, "Flöte"), Track(0, True, "Schlagzeug")),
        tempi=table(TEMPO_DTYPE, [0, 960], [500_000, 400_000]),
        meters=table(METER_DTYPE, [0, 1680], [3, 4], [4, 4]),
        keys=table(KEY_DTYPE, [0], [8], [True]),
        pickup_tick=240,
    ).canonical()
    assert notation.from_music21(notation_writer.to_music21(score)) == score
    notation_writer.write_musicxml(score, path)
    assert notation.read(path) == score
    assert [file.name for file in tmp_path.iterdir()] == ["out.musicxml"]


def test_a_chorale_survives_musicxml(tmp_path):
    path = tmp_path / "chorale.musicxml"
    score = notation.from_music21(corpus.parse("bach/bwv269"))
    notation_writer.write_musicxml(score, path)
    assert notation.read(path) == score


def test_performed_times_are_rounded_for_notation():
    score = Score(np.array([(3, 470, 60, 80, 0), (487, 1, 62, 80, 0)], NOTE_DTYPE), (Track(),))
    assert rows(notation.from_music21(notation_writer.to_music21(score)), 0) == [(0, 480, 60), (480, 60, 62)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.xml", b"<html>not music"),
        ("empty.krn", b""),
        ("noise.abc", bytes(range(256))),
        ("torn.mxl", b"PK\x03\x04torn"),
        ("silent.musicxml", b'<?xml version="1.0"?><score-partwise/>'),
        ("two.abc", (ABC + "\n" + ABC.replace("X:1", "X:2")).encode()),
    ],
)
def test_what_is_no_notation_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError) as refused:
        Score.read(tmp_path / name)
    assert name in str(refused.value)
    assert "expected" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_place_that_cannot_be_written(tmp_path):
    score = Score(np.array([(0, 480, 60, 80, 0)], NOTE_DTYPE), (Track(),))
    with pytest.raises(OutputError, match=r"out\.musicxml"):
        notation_writer.write_musicxml(score, tmp_path / "missing" / "out.musicxml")


def test_what_is_left_out_is_counted(tmp_path):
    repeated = stream.Score([stream.Part([stream.Measure([note.Note("C4", quarterLength=4)])])])
    measure = repeated.parts[0].getElementsByClass("Measure")[0]
    measure.rightBarline = bar.Repeat("end")
    measure.insert(0, harmony.ChordSymbol("C"))
    measure.insert(0, note.Note("D4").getGrace())
    remarks = Remarks()
    assert len(notation.from_music21(repeated, remarks).notes) == 1
    assert remarks.losses == {"grace notes left out": 1, "chord symbols left out": 1, "repeat signs left out": 1}
