"""The performance encoding: literal events, time to 10 ms, velocity to its bin."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.events import codec as codecs
from lstmusic.score.score import NOTE_DTYPE, PEDAL_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes, table


@pytest.fixture
def performance():
    """The encoding."""
    return codecs.build("performance")


def played(rows, **changes):
    """A Score of rows (onset_ms, duration_ms, pitch, velocity)."""
    columns = (np.array(column) for column in zip(*rows, strict=True))
    return Score(sorted_notes(table(NOTE_DTYPE, *columns, 0)), (Track(),), ticks_per_quarter=500, **changes)


def written(codec, ids):
    """Events as words: on60 off60 shift50 velocity20."""
    names = {
        "NOTE_ON": "on",
        "NOTE_OFF": "off",
        "TIME_SHIFT": "shift",
        "VELOCITY": "velocity",
        "PEDAL_DOWN": "down",
        "PEDAL_UP": "up",
        "BOS": "bos",
        "EOS": "eos",
    }
    return " ".join(f"{names[kind]}{value or ''}" for kind, value in (codec.vocabulary.event(i) for i in ids))


def rows_of(score):
    """(onset_ms, duration_ms, pitch, velocity) of every note."""
    return [(n["onset_tick"], n["duration_tick"], n["pitch"], n["velocity"]) for n in score.notes]


def test_literal_events(performance):
    rows = [(0, 500, 60, 80), (0, 1000, 64, 80), (500, 500, 67, 81), (1000, 20, 64, 81)]
    ids = performance.encode(played(rows))
    assert written(performance, ids) == (
        "bos velocity20 on60 on64 shift50 off60 velocity21 on67 shift50 off64 off67 on64 shift2 off64 eos"
    )


def test_a_velocity_is_written_only_where_it_changes(performance):
    rows = [(0, 10, 60, 77), (10, 10, 60, 80), (20, 10, 60, 81)]
    text = "bos velocity20 on60 shift1 off60 on60 shift1 off60 velocity21 on60 shift1 off60 eos"
    assert written(performance, performance.encode(played(rows))) == text


@pytest.mark.parametrize(
    ("silence_ms", "shifts"),
    [(10, "shift1"), (990, "shift99"), (1000, "shift100"), (1010, "shift100 shift1"), (2000, "shift100 shift100")],
)
def test_a_long_silence_is_longest_shifts_first(performance, silence_ms, shifts):
    rows = [(0, 10, 60, 80), (10 + silence_ms, 10, 60, 80)]
    text = f"bos velocity20 on60 shift1 off60 {shifts} on60 shift1 off60 eos"
    ids = performance.encode(played(rows))
    assert written(performance, ids) == text
    assert performance.decode(ids).notes["onset_tick"].tolist() == [0, 10 + silence_ms]


def test_every_velocity_decodes_within_its_bin(performance):
    for velocity in range(1, 128):
        ids = performance.encode(played([(0, 100, 60, velocity)]))
        decoded = int(performance.decode(ids).notes["velocity"][0])
        assert abs(decoded - velocity) <= 2
        assert (decoded - 1) // 4 == (velocity - 1) // 4


def test_silence_at_the_start_is_left_out_and_counted(performance):
    ids = performance.encode(played([(2500, 100, 60, 80)]), losses := Counter())
    assert rows_of(performance.decode(ids)) == [(0, 100, 60, 78)]
    assert +losses == {"seconds of silence at the start left out": 2}


def test_a_note_struck_while_it_sounds_ends_the_one_before(performance):
    ids = performance.encode(played([(0, 1000, 60, 78), (300, 400, 60, 78)]), losses := Counter())
    assert rows_of(performance.decode(ids)) == [(0, 300, 60, 78), (300, 400, 60, 78)]
    assert +losses == {"notes cut at the next onset of their pitch": 1}


def test_doubled_notes_become_the_longest(performance):
    ids = performance.encode(played([(0, 300, 60, 78), (0, 500, 60, 78), (0, 500, 60, 50)]), losses := Counter())
    assert rows_of(performance.decode(ids)) == [(0, 500, 60, 78)]
    assert +losses == {"doubled notes left out": 2}


def test_a_note_without_a_measurable_length_lasts_10_ms(performance):
    assert rows_of(performance.decode(performance.encode(played([(0, 1, 60, 78)])))) == [(0, 10, 60, 78)]


def test_drums_are_left_out_tracks_are_merged_and_both_are_counted(performance, score_of):
    rows = [(0, 480, 60, 78, 0), (0, 480, 67, 78, 1), (0, 480, 38, 78, 2)]
    score = score_of(rows, tracks=(Track(0), Track(40), Track(0, True)), key=(0, False), meter=(3, 4))
    decoded = performance.decode(performance.encode(score, losses := Counter()))
    assert decoded.notes["pitch"].tolist() == [60, 67]
    expected = {"drum notes left out": 1, "tracks merged into one": 1, "meters left out": 1, "keys left out": 1}
    assert +losses == expected


def test_the_tempo_map_is_followed(performance):
    tempi = table(TEMPO_DTYPE, [0, 500], [500_000, 1_000_000])
    ids = performance.encode(played([(0, 500, 60, 78), (500, 500, 62, 78)], tempi=tempi))
    assert rows_of(performance.decode(ids)) == [(0, 500, 60, 78), (500, 1000, 62, 78)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(1, 5000), st.integers(0, 127), st.integers(1, 127)),
        min_size=1,
        max_size=40,
        unique_by=lambda row: row[2],
    )
)
def test_times_come_back_within_10_ms(rows):
    codec = codecs.build("performance")
    score = played(rows)
    decoded = codec.decode(codec.encode(score, losses := Counter()))
    start = score.notes["onset_tick"].min()
    assert not losses["notes cut at the next onset of their pitch"] + losses["doubled notes left out"]
    by_pitch = {n["pitch"]: n for n in decoded.notes}
    assert len(by_pitch) == len(score.notes)
    for note in score.notes:
        found = by_pitch[note["pitch"]]
        assert abs(found["onset_tick"] - (note["onset_tick"] - start)) <= 10
        assert abs(found["duration_tick"] - note["duration_tick"]) <= 10
        assert abs(int(found["velocity"]) - int(note["velocity"])) <= 2


@settings(max_examples=30, deadline=None)
@given(stretch=st.floats(0.95, 1.05), seed=st.integers(0, 1000))
def test_stretching_is_legal_and_multiplies_every_time(stretch, seed):
    codec = codecs.build("performance")
    rng = np.random.default_rng(seed)
    rows = [(500 * k + int(rng.integers(100)), 300, int(60 + k), 80) for k in range(12)]
    ids = codec.encode(played(rows))
    stretched = codec.augment(ids, 0, stretch)
    codec.grammar.check(stretched)
    before, after = codec.decode(ids).notes, codec.decode(stretched).notes
    assert after["pitch"].tolist() == before["pitch"].tolist()
    assert np.abs(after["onset_tick"] - before["onset_tick"] * stretch).max() <= 5 + 1e-6
    assert np.abs(after["duration_tick"] - before["duration_tick"] * stretch).max() <= 10


def test_stretching_by_one_changes_nothing(performance):
    ids = performance.encode(played([(0, 500, 60, 80), (0, 700, 64, 100), (900, 20, 60, 80)]))
    assert performance.augment(ids, 0, 1.0).tolist() == ids.tolist()
    assert performance.stretchable


def test_a_note_left_open_lasts_to_the_end_of_its_ids(performance):
    ids = performance.encode(played([(0, 500, 60, 78), (200, 100, 64, 78)]))
    text = written(performance, ids)
    assert text == "bos velocity20 on60 shift20 on64 shift10 off64 shift20 off60 eos"
    assert rows_of(performance.decode(ids[:7])) == [(0, 300, 60, 78), (200, 100, 64, 78)]
    assert rows_of(performance.decode(ids[:5])) == [(0, 210, 60, 78), (200, 10, 64, 78)]


def pedalled(rows, changes):
    """Played notes with pedal changes (ms, down)."""
    return played(rows, pedals=table(PEDAL_DTYPE, [ms for ms, _ in changes], 0, [down for _, down in changes]))


def test_the_pedal_lengthens_notes(performance):
    score = pedalled([(0, 100, 60, 78), (300, 100, 62, 78)], [(50, True), (250, False)])
    ids = performance.encode(score, losses := Counter())
    assert rows_of(performance.decode(ids)) == [(0, 250, 60, 78), (300, 100, 62, 78)]
    assert +losses == {"pedal changes folded into durations": 2}


def test_the_pedal_as_events():
    codec = codecs.build("performance", pedals=True)
    score = pedalled([(0, 100, 60, 78), (300, 100, 62, 78)], [(0, True), (100, False), (300, True)])
    ids = codec.encode(score, losses := Counter())
    text = "bos velocity20 on60 down shift10 off60 up shift20 on62 down shift10 off62 up eos"
    assert written(codec, ids) == text
    decoded = codec.decode(ids)
    assert rows_of(decoded) == [(0, 100, 60, 78), (300, 100, 62, 78)]
    assert decoded.pedals.tolist() == [(0, 0, True), (100, 0, False), (300, 0, True), (400, 0, False)]
    assert +losses == {}


def test_the_pedal_is_down_where_any_track_s_is(score_of):
    codec = codecs.build("performance", pedals=True)
    rows = [(0, 960, 60, 78, 0), (0, 960, 67, 78, 1), (0, 960, 38, 78, 2)]
    score = score_of(rows, tracks=(Track(0), Track(40), Track(0, True)))
    pedals = table(PEDAL_DTYPE, [0, 480, 240, 720, 0], [0, 0, 1, 1, 2], [True, False, True, False, True])
    decoded = codec.decode(codec.encode(replace(score, pedals=pedals), losses := Counter()))
    assert decoded.pedals["down"].tolist() == [True, False]
    assert decoded.pedals["tick"].tolist() == [0, 750]
    assert losses["pedal changes that coincide left out"] == 2


def test_a_pedal_lifted_and_pressed_in_one_instant_stays_down():
    codec = codecs.build("performance", pedals=True)
    score = pedalled([(0, 900, 60, 78)], [(100, True), (401, False), (403, True), (600, False)])
    assert codec.decode(codec.encode(score)).pedals.tolist() == [(100, 0, True), (600, 0, False)]


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=20, unique_by=lambda row: row[0]),
    stretch=st.floats(0.5, 1.5),
)
def test_any_pedalling_is_legal_and_comes_back(changes, stretch):
    codec = codecs.build("performance", pedals=True)
    rows = [(0, 400, 60, 78), (500, 700, 64, 90), (1500, 300, 60, 38)]
    ids = codec.encode(pedalled(rows, sorted(changes)))
    codec.grammar.check(ids)
    decoded = codec.decode(ids)
    assert rows_of(decoded) == rows
    assert codec.encode(decoded).tolist() == ids.tolist()
    stretched = codec.augment(ids, 3, stretch)
    codec.grammar.check(stretched)
    assert codec.decode(stretched).notes["pitch"].tolist() == [63, 67, 63]
