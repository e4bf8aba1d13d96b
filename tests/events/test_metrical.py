"""The metrical encoding: literal ids in both forms, nothing lost, time to half a step, files included."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.errors import VocabularyError
from lstmusic.events import codec as codecs
from lstmusic.events.metrical_grid import nearest_meter
from lstmusic.events.metrical_vocabulary import DURATION_STEPS, METERS
from lstmusic.score import midi
from lstmusic.score.score import KEY_DTYPE, METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes

GROUPED, FLAT = codecs.build("metrical"), codecs.build("metrical", grouped=False)
FORMS = pytest.mark.parametrize("codec", [GROUPED, FLAT], ids=["grouped", "flat"])
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
TRACKS = (Track(0), Track(40), Track(40), Track(9, True), Track(0, True))


def piece(rows, *, tracks=TRACKS, tempi=(), meters=(), keys=(), **others):
    """A Score of rows (onset, duration, pitch, velocity, track) in ticks, 480 a quarter, and of rows of its maps."""
    maps = {"tempi": (tempi, TEMPO_DTYPE), "meters": (meters, METER_DTYPE), "keys": (keys, KEY_DTYPE)}
    tables = {name: np.array([tuple(row) for row in given_], dtype) for name, (given_, dtype) in maps.items()}
    return Score(sorted_notes(np.array([tuple(row) for row in rows], NOTE_DTYPE)), tracks, **tables, **others)


def written(codec, ids):
    """Ids as words, in lines of groups; METER as 3/4, DURATION in steps."""

    def word(id_):
        kind, value = codec.vocabulary.event(int(id_))
        shown = {"METER": "{}/{}".format(*METERS[value % len(METERS)]), "DURATION": DURATION_STEPS[value % 56]}
        return kind.lower() if kind in ("BOS", "EOS", "PAD", "BAR") else f"{kind.lower()}:{shown.get(kind, value)}"

    return " ".join(word(id_) for id_ in ids)


def rows_of(score):
    """Every note as (onset, duration, pitch, velocity, program), drums as program 128; sorted."""
    programs = [128 if track.drum else track.program for track in score.tracks]
    return sorted((n[0], n[1], n[2], n[3], programs[n[4]]) for n in score.notes.tolist())


def losses_of(score):
    """What encoding a score counts."""
    GROUPED.encode(score, losses := Counter())
    return dict(+losses)


@st.composite
def pieces(draw):
    """Any music: overlaps, doubled and nested notes, drums, several tracks of a program, changing tempo, meter and key."""
    resolution = draw(st.sampled_from([1, 7, 24, 96, 480]))
    last = draw(st.sampled_from([1, 8, 40])) * resolution
    tick = st.integers(0, last)
    note = st.tuples(
        st.one_of(tick, st.sampled_from([0, last])),
        st.one_of(st.sampled_from([1, resolution, 100 * resolution]), st.integers(1, 2 * last)),
        st.one_of(st.integers(0, 127), st.integers(60, 61)),
        st.integers(1, 127),
        st.integers(0, len(TRACKS) - 1),
    )
    meter = st.sampled_from([(4, 4), (3, 8), (5, 16), (11, 4), (7, 32), (2, 2), (255, 1)])
    return piece(
        draw(st.lists(note, min_size=1, max_size=30)),
        tempi=sorted(draw(st.dictionaries(tick, st.integers(100_000, 9_000_000), max_size=4)).items()),
        meters=sorted((t, *m) for t, m in draw(st.dictionaries(tick, meter, max_size=4)).items()),
        keys=sorted(
            (t, *k) for t, k in draw(st.dictionaries(tick, st.tuples(st.integers(0, 11), st.booleans()))).items()
        ),
        ticks_per_quarter=resolution,
        pickup_tick=draw(st.sampled_from([0, 0, resolution, 3 * resolution, 9 * resolution])),
    )


WALTZ = piece(
    [(0, 480, 48, 80, 0), (0, 1440, 72, 90, 1), (480, 480, 55, 80, 0), (480, 240, 38, 100, 3), (1440, 480, 48, 80, 0)],
    tempi=[(0, 500_000), (1440, 400_000)],
    meters=[(0, 3, 4)],
    keys=[(0, 0, False)],
)


def test_a_waltz_in_groups():
    assert written(GROUPED, GROUPED.encode(WALTZ)) == (
        "bos bos bos bos bos "
        "bar meter:3/4 key:1 pad pad "
        "position:0 tempo:120 pad pad pad "
        "position:0 program:0 pitch:48 duration:12 velocity:20 "
        "position:0 program:40 pitch:72 duration:36 velocity:23 "
        "position:12 program:0 pitch:55 duration:12 velocity:20 "
        "position:12 program:128 drum:38 duration:6 velocity:25 "
        "bar meter:3/4 key:1 pad pad "
        "position:0 tempo:150 pad pad pad "
        "position:0 program:0 pitch:48 duration:12 velocity:20 "
        "bar meter:3/4 key:1 pad pad "
        "eos eos eos eos eos"
    )


def test_a_waltz_as_a_flat_stream():
    assert written(FLAT, FLAT.encode(WALTZ)) == (
        "bos bar meter:3/4 key:1 position:0 tempo:120 program:0 pitch:48 duration:12 velocity:20 "
        "program:40 pitch:72 duration:36 velocity:23 position:12 program:0 pitch:55 duration:12 velocity:20 "
        "program:128 drum:38 duration:6 velocity:25 bar meter:3/4 key:1 position:0 tempo:150 "
        "program:0 pitch:48 duration:12 velocity:20 bar meter:3/4 key:1 eos"
    )


def test_the_flat_stream_says_a_program_once():
    text = written(FLAT, FLAT.encode(piece([(0, 480, 60, 80, 0), (0, 480, 64, 80, 0), (480, 480, 62, 80, 0)])))
    assert text.count("program") == 1
    assert text.count("position:0 ") == text.count("position:12 ") == 1


@QUICK
@given(score=pieces())
def test_no_note_is_lost_and_none_is_further_off_than_its_step_and_its_bin(score):
    """Onsets to half a step; of each onset, pitch and program, lengths to half a step and half a gap of the table."""
    ids = GROUPED.encode(score, losses := Counter())
    found, quarter = rows_of(GROUPED.decode(ids)), score.ticks_per_quarter
    assert len(found) == len(score.notes) == GROUPED.num_notes(ids)
    assert int(ids.max()) < len(GROUPED.vocabulary)
    silent = losses["bars of silence at the start left out"] > 0
    expected = sorted(
        ((24 * n[0] + quarter) // (2 * quarter) * 40, n[1] * 480 / quarter, n[2], n[3], n[4])
        for n in ((*row[:2], *row[2:]) for row in rows_of(score))
    )
    shift = expected[0][0] - found[0][0]
    assert shift == 0 or silent
    assert Counter((e[0] - shift, e[2], e[4]) for e in expected) == Counter((f[0], f[2], f[4]) for f in found)
    assert all(abs(e[0] - n[0] * 480 / quarter) <= 20 for e, n in zip(expected, rows_of(score), strict=True))
    longest = int(DURATION_STEPS[-1]) * 40
    for key in {(e[0], e[2], e[4]) for e in expected}:
        exact = sorted(min(e[1], longest) for e in expected if (e[0], e[2], e[4]) == key)
        kept = sorted(f[1] for f in found if (f[0] + shift, f[2], f[4]) == key)
        for a, b in zip(exact, kept, strict=True):
            gap = np.diff(DURATION_STEPS)[np.searchsorted(DURATION_STEPS[1:-1], a / 40)] * 40
            assert abs(a - b) <= max(gap / 2 + 20, 40)


@FORMS
@QUICK
@given(score=pieces())
def test_a_midi_file_of_what_was_decoded_gives_the_same_ids(codec, score):
    ids = codec.encode(score)
    codec.grammar.check(ids)
    decoded = codec.decode(ids)
    assert codec.encode(decoded).tolist() == ids.tolist()
    with TemporaryDirectory() as folder:
        midi.write(decoded, Path(folder) / "piece.mid")
        assert codec.encode(midi.read(Path(folder) / "piece.mid")).tolist() == ids.tolist()


@QUICK
@given(score=pieces())
def test_both_forms_hold_the_same_music(score):
    grouped, flat = GROUPED.encode(score), FLAT.encode(score)
    assert GROUPED.decode(grouped) == FLAT.decode(flat)
    assert FLAT.scored(flat).sum() <= GROUPED.scored(grouped).sum()
    assert (GROUPED.num_notes(grouped), GROUPED.num_onsets(grouped)) == (FLAT.num_notes(flat), FLAT.num_onsets(flat))


@FORMS
def test_every_change_of_tempo_and_meter_is_kept(codec):
    tempi = [(0, 500_000), (960, 400_000), (1920, 600_000), (2680, 1_000_000)]
    meters = [(0, 4, 4), (1920, 3, 4), (3360, 7, 8)]
    keys = [(0, 2, False), (3360, 11, True)]
    score = piece([(480 * k, 480, 60, 78, 0) for k in range(14)], tempi=tempi, meters=meters, keys=keys)
    decoded = codec.decode(codec.encode(score, losses := Counter()))
    assert decoded.tempi.tolist() == tempi
    assert decoded.meters.tolist() == meters
    assert decoded.keys.tolist() == keys
    assert decoded.notes.tolist() == score.notes.tolist()
    assert decoded.bar_ticks().tolist() == score.bar_ticks().tolist()
    assert not +losses


@FORMS
@pytest.mark.parametrize("step", [120, 160, 80, 40])
def test_16ths_and_triplets_are_exact(codec, step):
    score = piece([(step * k, step, 60 + k, 78, 0) for k in range(24)])
    assert codec.decode(codec.encode(score)).notes.tolist() == score.notes.tolist()


def test_an_incomplete_first_bar_is_the_phase_of_the_first_bar():
    score = piece(
        [(0, 480, 60, 78, 0), (480, 480, 62, 78, 0)], pickup_tick=480, meters=[(0, 3, 4)], keys=[(0, 0, True)]
    )
    ids = GROUPED.encode(score)
    assert "position:24 tempo:120 pad pad pad position:24 program:0 pitch:60" in written(GROUPED, ids)
    assert "bar meter:3/4 key:13 pad pad position:0 program:0 pitch:62" in written(GROUPED, ids)
    assert GROUPED.decode(ids).pickup_tick == 480
    assert rows_of(GROUPED.decode(ids)) == rows_of(score)


def test_a_rest_at_the_start_is_kept_and_whole_silent_bars_are_not():
    for bars in (0, 3):
        score = piece([(1920 * bars + 960, 480, 60, 78, 0)])
        assert "position:0 tempo:120 pad pad pad position:24 program:0" in written(GROUPED, GROUPED.encode(score))
        assert rows_of(GROUPED.decode(GROUPED.encode(score))) == [(960, 480, 60, 78, 0)]
        assert losses_of(score) == ({"bars of silence at the start left out": 3} if bars else {})


def test_a_bar_that_is_cut_short_has_a_meter_of_its_own():
    score = piece([(480 * k, 480, 60, 78, 0) for k in range(8)], meters=[(0, 4, 4), (1920 + 600, 3, 4)])
    decoded = GROUPED.decode(GROUPED.encode(score))
    assert decoded.meters.tolist() == [(0, 4, 4), (1920, 5, 16), (2520, 3, 4)]
    assert rows_of(decoded) == rows_of(score)
    assert losses_of(score) == {"bars cut short by the next meter": 1}


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        ({"meters": [(0, 4, 4), (1930, 3, 4)]}, {"meter changes moved to a 16th": 1}),
        ({"meters": [(0, 4, 4), (403_200, 3, 4)]}, {"meter changes after the end left out": 1}),
        (
            {"meters": [(0, 4, 4), (1920, 3, 4), (1921, 4, 4)]},
            {"meter changes followed by another on their 16th left out": 1, "meter changes moved to a 16th": 1},
        ),
        ({"meters": [(0, 9, 4)]}, {"meters replaced by the nearest": 1}),
        ({"keys": [(0, 0, False), (960, 7, False)]}, {"keys moved to the next bar line": 1}),
        ({"keys": [(0, 0, False), (400_000, 7, False)]}, {"keys left out": 1}),
        ({"tempi": [(0, 499_000)]}, {"tempi changed to whole qpm of 16 to 320": 1}),
        ({"tempi": [(0, 6_000_000)]}, {"tempi changed to whole qpm of 16 to 320": 1}),
        (
            {"tempi": [(0, 500_000), (481, 600_000), (485, 400_000)]},
            {"tempi followed by another on their step left out": 1},
        ),
        ({"tempi": [(0, 500_000), (400_000, 600_000)]}, {"tempi after the end left out": 1}),
        ({"pickup_tick": 2400}, {"pickups longer than a bar divided": 1}),
        ({"tracks": (Track(5, True),)}, {"drum kits played by the standard kit": 1}),
    ],
)
def test_what_is_moved_or_left_out_is_counted(change, counted):
    score = piece([(480 * k, 480, 60, 78, 0) for k in range(9)], tracks=TRACKS[:1])
    assert losses_of(score) == {}
    tables = {"tempi": TEMPO_DTYPE, "meters": METER_DTYPE, "keys": KEY_DTYPE}
    change = {name: np.array(value, tables[name]) if name in tables else value for name, value in change.items()}
    assert losses_of(replace(score, **change)) == counted


def test_notes_off_the_grid_and_endless_notes_are_counted():
    score = piece([(0, 480, 60, 78, 0), (481, 400_000, 62, 78, 0), (960, 500, 64, 78, 1), (960, 480, 64, 78, 2)])
    assert losses_of(score) == {
        "onsets moved to the grid": 1,
        "durations moved to the nearest of the table": 2,
        "notes cut to 8 bars of 4/4": 1,
        "tracks of one program merged": 1,
    }


def test_doubled_and_nested_notes_all_come_back():
    rows = [(0, 960, 60, 78, 0), (0, 960, 60, 78, 0), (0, 480, 60, 78, 0), (240, 240, 60, 78, 0), (480, 960, 60, 78, 0)]
    decoded = GROUPED.decode(GROUPED.encode(piece(rows)))
    assert [row[:4] for row in rows_of(decoded)] == sorted(row[:4] for row in rows)
    assert decoded.tracks == (Track(0), Track(0))
    inside = decoded.notes[decoded.notes["track"] == 1]
    assert inside["onset_tick"].tolist() == [240]


@pytest.mark.parametrize(
    ("meter", "nearest"),
    [
        ((4, 4), (4, 4)),
        ((12, 4), (8, 4)),
        ((6, 32), (3, 16)),
        ((1, 64), (1, 16)),
        ((64, 32), (32, 16)),
        ((3, 1), (2, 1)),
    ],
)
def test_the_nearest_meter_has_the_nearest_bar(meter, nearest):
    assert METERS[nearest_meter(*meter)] == nearest


@FORMS
def test_a_stretch_changes_the_tempo_and_nothing_else(codec):
    ids = codec.encode(WALTZ)
    slower = codec.augment(ids, 0, 1.25)
    codec.grammar.check(slower)
    assert codec.decode(slower).tempi["us_per_quarter"].tolist() == [625_000, 500_000]
    assert codec.decode(slower).notes.tolist() == codec.decode(ids).notes.tolist()
    assert codec.augment(ids, 0, 1.0).tolist() == ids.tolist()


@FORMS
def test_a_change_between_tempi_that_became_equal_is_gone(codec):
    score = piece([(0, 480, 60, 78, 0), (480, 480, 62, 78, 0)], tempi=[(0, 200_000), (240, 190_000), (480, 240_000)])
    hurried = codec.augment(codec.encode(score), 0, 0.5)
    codec.grammar.check(hurried)
    assert codec.decode(hurried).tempi.tolist() == [(0, 187_500)]
    assert codec.encode(codec.decode(hurried)).tolist() == hurried.tolist()


@FORMS
def test_transposing_moves_the_key_and_leaves_the_drums(codec):
    moved = codec.augment(codec.encode(WALTZ), -3)
    codec.grammar.check(moved)
    assert codec.decode(moved).keys.tolist() == [(0, 9, False)]
    assert sorted(n["pitch"] for n in codec.decode(moved).notes) == [38, 45, 45, 52, 69]
    assert codec.transpositions(moved) == (-45, 58)
    drums = codec.encode(piece([(0, 480, 38, 78, 3)]))
    assert codec.transpositions(drums) == (0, 0)
    with pytest.raises(VocabularyError, match="semitones=1: expected 0 to 0"):
        codec.augment(drums, 1)


def test_a_flat_piece_may_stop_anywhere():
    ids = FLAT.encode(WALTZ)
    whole, counts = rows_of(FLAT.decode(ids)), []
    for stop in range(1, len(ids) + 1):
        rows = rows_of(FLAT.decode(ids[:stop]))
        assert set(rows) <= set(whole)
        counts.append(len(rows))
    assert counts == sorted(counts) and counts[-1] == 5
