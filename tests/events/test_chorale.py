"""The chorale encoding: literal events, what it keeps, and what it leaves out by reason."""

from collections import Counter

import numpy as np
import pytest

from lstmusic.errors import IllegalSequenceError
from lstmusic.events import chorale_grammar as g
from lstmusic.events import codec as codecs
from lstmusic.score.score import KEY_DTYPE, METER_DTYPE, TEMPO_DTYPE, Score, Track, table

VOICES = tuple(Track(19, False, name) for name in g.VOICES)
STEP = 120


@pytest.fixture
def chorale():
    """The encoding with strikes."""
    return codecs.build("chorale")


def written(codec, ids):
    """Each group of a piece as one line: '72' a pitch, '.' HOLD, '-' REST."""
    show = {"HOLD": lambda v: ".", "REST": lambda v: "-", "PITCH": str}
    lines = []
    for group in np.asarray(ids).reshape(-1, 4):
        events = [codec.vocabulary.event(i) for i in group]
        lines.append(" ".join(show.get(kind, lambda v, k=kind: f"{k}{v}")(value) for kind, value in events))
    return lines


@pytest.fixture
def two_bars(score_of):
    """3/4 in E minor, a quarter's pickup and 6 steps: a note held, struck again, a rest, a voice that enters late."""
    rows = [
        (0, 2 * STEP, 71, 80, 0),  # the same pitch held for two steps...
        (2 * STEP, 2 * STEP, 71, 80, 0),  # ...and struck again
        (4 * STEP, 3 * STEP, 72, 80, 0),
        (0, 4 * STEP, 67, 80, 1),
        (6 * STEP, 4 * STEP, 66, 80, 1),  # after a rest of two steps
        (0, 8 * STEP, 59, 80, 2),
        (4 * STEP, 6 * STEP, 40, 80, 3),  # silent in the pickup
    ]
    return score_of(rows, tracks=VOICES, qpm=60, meter=(3, 4), key=(4, True), pickup=4 * STEP)


def test_literal_events(chorale, two_bars):
    ids = chorale.encode(two_bars, losses := Counter())
    tempo = int(np.argmin(np.abs(g.TEMPI_QPM - 60)))
    assert abs(g.TEMPI_QPM[tempo] / 60 - 1) < 0.02
    assert written(chorale, ids) == [
        "BOS0 BOS0 BOS0 BOS0",
        f"METER1 POSITION8 TEMPO{tempo} KEY16",
        "71 67 59 .",
        ". . . .",
        "71 . . .",
        ". . . .",
        "72 - . 40",
        ". . . .",
        ". 66 . .",
        "- . . .",
        ". . - .",
        ". . . .",
        "EOS0 EOS0 EOS0 EOS0",
    ]
    assert not +losses


def test_without_strikes_a_pitch_struck_again_is_held(two_bars):
    codec = codecs.build("chorale", strikes=False)
    ids = codec.encode(two_bars, losses := Counter())
    assert written(codec, ids)[2:6] == ["71 67 59 .", ". . . .", ". . . .", ". . . ."]
    assert +losses == {"notes struck again, held": 1}
    held = codec.decode(ids).notes
    assert held[(held["track"] == 0) & (held["pitch"] == 71)]["duration_tick"].tolist() == [4 * STEP]


def test_round_trip_keeps_notes_and_header(chorale, two_bars):
    decoded = chorale.decode(chorale.encode(two_bars))
    for name in ("onset_tick", "duration_tick", "pitch", "track"):
        assert decoded.notes[name].tolist() == two_bars.notes[name].tolist()
    assert decoded.meters.tolist() == [(0, 3, 4)]
    assert decoded.keys.tolist() == [(0, 4, True)]
    assert decoded.pickup_tick == 4 * STEP
    assert decoded.tempi["us_per_quarter"][0] == pytest.approx(1_000_000, rel=0.02)
    assert [track.name for track in decoded.tracks] == list(g.VOICES)


@pytest.mark.parametrize("qpm", [20, 24, 60, 61, 100, 120, 240, 300])
def test_tempo_is_kept_to_two_percent_within_its_range(chorale, score_of, qpm):
    score = score_of([(0, 480, 60, 80, 0)], qpm=qpm)
    decoded = chorale.decode(chorale.encode(score))
    assert 60e6 / decoded.tempi["us_per_quarter"][0] == pytest.approx(min(max(qpm, 24), 240), rel=0.02)


@pytest.mark.parametrize("meter", g.METERS)
def test_every_meter_and_each_pickup_is_kept(chorale, score_of, meter):
    steps = 16 * meter[0] // meter[1]
    for pickup in range(steps):
        score = score_of([(0, 480, 60, 80, 0)], meter=meter, pickup=pickup * STEP)
        decoded = chorale.decode(chorale.encode(score))
        assert decoded.meters.tolist() == [(0, *meter)]
        assert decoded.pickup_tick == pickup * STEP


@pytest.mark.parametrize("key", [(k, minor) for k in range(12) for minor in (False, True)])
def test_every_key_is_kept(chorale, score_of, key):
    assert chorale.decode(chorale.encode(score_of([(0, 480, 60, 80, 0)], key=key))).keys.tolist() == [(0, *key)]


def test_no_key_stays_unknown_in_every_transposition(chorale, score_of):
    ids = chorale.encode(score_of([(0, 480, 60, 80, 0)]))
    assert len(chorale.decode(chorale.augment(ids, 3)).keys) == 0


def test_transposing_moves_the_key(chorale, two_bars):
    assert chorale.decode(chorale.augment(chorale.encode(two_bars), -6)).keys.tolist() == [(0, 10, True)]


def test_a_grid_cannot_be_stretched(chorale, two_bars):
    with pytest.raises(ValueError, match=r"stretch=1\.1: a chorale's grid has no seconds, expected 1\.0"):
        chorale.augment(chorale.encode(two_bars), 0, 1.1)


def test_another_meter_is_replaced_by_the_nearest_bar_and_counted(chorale, score_of):
    ids = chorale.encode(score_of([(0, 480, 60, 80, 0)], meter=(11, 16)), losses := Counter())
    assert chorale.decode(ids).meters.tolist() == [(0, 3, 4)]
    assert +losses == {"meters replaced by the one with the nearest bar": 1}


def test_changes_are_counted(chorale, two_bars):
    changing = Score(
        two_bars.notes,
        two_bars.tracks,
        tempi=table(TEMPO_DTYPE, [0, 480, 960], [500_000, 600_000, 700_000]),
        meters=table(METER_DTYPE, [0, 1920], [4, 3], 4),
        keys=table(KEY_DTYPE, [0, 960], [0, 7], False),
    )
    chorale.encode(changing, losses := Counter())
    expected = {"changes of tempi left out": 2, "changes of meters left out": 1, "changes of keys left out": 1}
    assert +losses == expected


def test_whole_bars_of_silence_at_the_start_are_left_out(chorale, score_of):
    ids = chorale.encode(score_of([(2 * 1920 + 240, 480, 60, 80, 0)]), losses := Counter())
    assert chorale.decode(ids).notes["onset_tick"].tolist() == [240]
    assert +losses == {"bars of silence at the start left out": 2}


def test_silence_before_a_pickup_stays(chorale, score_of):
    ids = chorale.encode(score_of([(3 * 1920, 480, 60, 80, 0)], pickup=480), losses := Counter())
    assert chorale.decode(ids).notes["onset_tick"].tolist() == [3 * 1920]
    assert not +losses


def test_out_of_range_and_drums_are_left_out_and_counted(chorale, score_of):
    rows = [(0, 480, pitch, 80, 0) for pitch in (23, 24, 96, 97)] + [(0, 480, 38, 80, 1)]
    ids = chorale.encode(score_of(rows, tracks=(Track(), Track(0, True))), losses := Counter())
    assert chorale.decode(ids).notes["pitch"].tolist() == [96, 24]
    assert +losses == {"notes out of range left out": 2, "drum notes left out": 1}


def test_onsets_are_moved_to_the_nearest_16th_and_counted(chorale, score_of):
    rows = [(0, 100, 60, 80, 0), (130, 230, 62, 80, 0), (355, 125, 64, 80, 0)]
    notes = chorale.decode(chorale.encode(score_of(rows), losses := Counter())).notes
    assert [(n["onset_tick"], n["duration_tick"]) for n in notes] == [(0, 120), (120, 240), (360, 120)]
    assert +losses == {"onsets moved to the 16th grid": 2}


def test_a_note_shorter_than_a_16th_lasts_one(chorale, score_of):
    notes = chorale.decode(chorale.encode(score_of([(0, 1, 60, 80, 0), (480, 30, 62, 80, 0)]))).notes
    assert notes["duration_tick"].tolist() == [120, 120]


def test_an_ornament_gives_way_to_the_note_on_the_beat(chorale, score_of):
    rows = [(0, 180, 60, 80, 0), (180, 60, 67, 80, 0), (240, 240, 64, 80, 0)]  # 67: a 32nd before the beat
    notes = chorale.decode(chorale.encode(score_of(rows, tracks=VOICES), losses := Counter())).notes
    assert notes["pitch"].tolist() == [60, 64]
    assert losses["notes at the onset of another in the voice left out"] == 1


def test_overlaps_within_a_voice_are_cut_and_counted(chorale, score_of):
    rows = [(0, 960, 72, 80, 0), (480, 480, 74, 80, 0), (0, 960, 67, 80, 1), (0, 960, 60, 80, 2), (0, 960, 48, 80, 3)]
    notes = chorale.decode(chorale.encode(score_of(rows), losses := Counter())).notes
    assert notes[notes["track"] == 0]["duration_tick"].tolist() == [480, 480]
    assert +losses == {"notes cut at the next onset in the voice": 1}


def test_chords_within_a_voice_keep_their_top(chorale, score_of):
    rows = [(0, 480, 72, 80, 0), (0, 480, 76, 80, 0), *((0, 480, p, 80, v) for p, v in ((67, 1), (60, 2), (48, 3)))]
    notes = chorale.decode(chorale.encode(score_of(rows), losses := Counter())).notes
    assert notes["pitch"].tolist() == [76, 67, 60, 48]
    assert +losses == {"notes at the onset of another in the voice left out": 1}


def test_four_tracks_become_voices_by_their_mean_pitch(chorale, score_of):
    rows = [(0, 480, pitch, 80, track) for track, pitch in enumerate((48, 72, 60, 67))]
    notes = chorale.decode(chorale.encode(score_of(rows))).notes
    assert notes["pitch"].tolist() == [72, 67, 60, 48]
    assert notes["track"].tolist() == [0, 1, 2, 3]


def test_named_voices_keep_their_places_even_where_they_cross_or_are_silent(chorale, score_of):
    crossed = score_of([(0, 480, 60, 80, 0), (0, 480, 65, 80, 1), (0, 480, 50, 80, 3)], tracks=VOICES)
    notes = chorale.decode(chorale.encode(crossed)).notes
    assert list(zip(notes["track"].tolist(), notes["pitch"].tolist(), strict=True)) == [(0, 60), (1, 65), (3, 50)]


@pytest.mark.parametrize(
    ("pitches", "voices"),
    [([72], [0]), ([72, 48], [0, 3]), ([72, 60, 48], [0, 1, 3]), ([72, 67, 60, 48], [0, 1, 2, 3])],
)
def test_one_track_is_divided_by_height(chorale, score_of, pitches, voices):
    notes = chorale.decode(chorale.encode(score_of([(0, 480, p, 80, 0) for p in pitches]), losses := Counter())).notes
    assert notes["pitch"].tolist() == pitches
    assert notes["track"].tolist() == voices
    assert not +losses


def test_of_more_than_four_notes_the_outer_ones_stay_and_the_rest_is_counted(chorale, score_of):
    pitches = (76, 72, 67, 64, 60, 48)
    notes = chorale.decode(chorale.encode(score_of([(0, 480, p, 80, 0) for p in pitches]), losses := Counter())).notes
    assert notes["pitch"].tolist() == [76, 72, 67, 48]
    assert +losses == {"notes beyond four voices left out": 2}


@pytest.mark.parametrize("ticks_per_quarter", [1, 7, 96, 220, 480, 960])
def test_any_resolution_gives_the_same_ids(chorale, phrase, ticks_per_quarter):
    score = phrase()
    other = score.notes.copy()
    for name in ("onset_tick", "duration_tick"):
        other[name] = other[name] * ticks_per_quarter // 480
    same = Score(other, score.tracks, score.tempi, score.meters, ticks_per_quarter=ticks_per_quarter)
    assert chorale.encode(same).tolist() == chorale.encode(score).tolist()


def test_ids_without_a_header_are_not_a_piece(chorale):
    with pytest.raises(IllegalSequenceError, match="1 groups: expected BOS, a header and music"):
        chorale.decode(chorale.grammar.bos())


def test_of_many_tracks_the_four_voices_are_sung_and_the_instruments_counted(chorale, score_of):
    names = ("Flutes", "Soprano", "Alto", "Tenor", "Bass", "Continuo")
    rows = [(0, 480, pitch, 80, track) for track, pitch in enumerate((84, 72, 67, 60, 48, 36))]
    score = score_of(rows, tracks=tuple(Track(0, False, name) for name in names))
    notes = chorale.decode(chorale.encode(score, losses := Counter())).notes
    assert notes["pitch"].tolist() == [72, 67, 60, 48]
    assert +losses == {"notes of instruments beside the four voices left out": 2}
