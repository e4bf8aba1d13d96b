"""The melody encoding: literal groups, one spelling, bars and changes, and a line picked out of any music."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.events import codec as codecs
from lstmusic.events import melody_vocabulary as v
from lstmusic.score import midi
from lstmusic.score.score import KEY_DTYPE, METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes, table

CODEC = codecs.build("melody")
QUICK = settings(max_examples=60, deadline=None)
HEADER = "METER0 KEY24 TEMPO120 POSITION0"


def line(rows, *, meters=((0, 4, 4),), keys=(), qpm=120, pickup=0):
    """A Score of rows (onset, duration, pitch) in steps of a twelfth of a quarter; meters and keys as (step, …)."""
    onset, duration, pitch = (np.array(column) for column in zip(*rows, strict=True))
    return Score(
        sorted_notes(table(NOTE_DTYPE, onset * 40, duration * 40, pitch, 80, 0)),
        (Track(),),
        tempi=table(TEMPO_DTYPE, [0], round(60e6 / qpm)),
        meters=table(METER_DTYPE, *(np.array(meters).T * [[40], [1], [1]])),
        keys=table(KEY_DTYPE, *(np.array(keys).reshape(-1, 3).T * [[40], [1], [1]])),
        pickup_tick=pickup * 40,
    )


def written(ids):
    """The events between BOS and EOS as words."""
    words = [f"{event.kind}{event.value}" for event in map(CODEC.vocabulary.event, ids)]
    assert words[:2] == ["BOS0"] * 2
    assert words[-2:] == ["EOS0"] * 2
    return " ".join(words[2:-2]).replace("HOLD0", "HOLD").replace("REST0", "REST")


def music(ids):
    """Like `written`, without the usual header."""
    text = written(ids)
    assert text.startswith(f"{HEADER} ")
    return text.removeprefix(f"{HEADER} ")


def rows_of(score):
    """(onset, duration, pitch) of every note in steps."""
    assert not ((score.notes["onset_tick"] % 40) | (score.notes["duration_tick"] % 40)).any()
    return [(int(n["onset_tick"]) // 40, int(n["duration_tick"]) // 40, int(n["pitch"])) for n in score.notes]


def test_the_first_bars_of_a_jig_as_ids():
    """6/8 in G at 112, a pickup of an eighth: D | G2 A B z c | d6 |."""
    rows = [(0, 6, 62), (6, 12, 67), (18, 6, 69), (24, 6, 71), (36, 6, 72), (42, 36, 74)]
    score = line(rows, meters=[(0, 6, 8)], keys=[(0, 7, False)], qpm=112, pickup=6)
    ids = CODEC.encode(score)
    assert written(ids) == (
        "METER19 KEY7 TEMPO112 POSITION30 PITCH62 DURATION6 PITCH67 DURATION12 PITCH69 DURATION6 "
        "PITCH71 DURATION6 REST DURATION6 PITCH72 DURATION6 PITCH74 DURATION36"
    )
    assert ids.tolist() == [
        *(0, 0, 343, 354, 464, 703),
        *(66, 137, 71, 143, 73, 137, 75, 137, 3, 137, 76, 137, 78, 167),
        *(1, 1),
    ]
    decoded = CODEC.decode(ids)
    assert rows_of(decoded) == rows
    assert decoded.meters.tolist() == [(0, 6, 8)]
    assert decoded.keys.tolist() == [(0, 7, False)]
    assert decoded.tempi.tolist() == score.tempi.tolist()
    assert decoded.pickup_tick == 240


@pytest.mark.parametrize("durations", [[4, 4, 4], [3, 9], [9, 3], [2] * 6, [8, 4], [18, 6], [1, 11]])
def test_triplets_sixteenths_and_dots_are_exact(durations):
    onsets = np.r_[0, np.cumsum(durations)[:-1]].tolist()
    rows = [(onset, duration, 60 + k) for k, (onset, duration) in enumerate(zip(onsets, durations, strict=True))]
    ids = CODEC.encode(line(rows), losses := Counter())
    assert music(ids) == " ".join(f"PITCH{p} DURATION{d}" for _, d, p in rows)
    assert rows_of(CODEC.decode(ids)) == rows
    assert not +losses


@pytest.mark.parametrize(
    ("steps", "note", "rest"),
    [
        (192, "PITCH60 DURATION192", "REST DURATION192"),
        (193, "PITCH60 DURATION192 HOLD DURATION1", "REST DURATION192 REST DURATION1"),
        (384, "PITCH60 DURATION192 HOLD DURATION192", "REST DURATION192 REST DURATION192"),
    ],
)
def test_what_lasts_longer_than_the_longest_duration_goes_on(steps, note, rest):
    rows = [(0, steps, 60), (2 * steps, 12, 62)]
    ids = CODEC.encode(line(rows), losses := Counter())
    assert music(ids) == f"{note} {rest} PITCH62 DURATION12"
    assert rows_of(CODEC.decode(ids)) == rows
    assert not +losses


def test_meter_and_key_change_where_they_do():
    rows = [(0, 48, 60), (48, 36, 62), (84, 36, 64)]
    score = line(rows, meters=[(0, 4, 4), (48, 3, 4)], keys=[(0, 0, False), (84, 7, False)])
    ids = CODEC.encode(score, losses := Counter())
    assert written(ids) == (
        "METER0 KEY0 TEMPO120 POSITION0 PITCH60 DURATION48 METER1 KEY0 PITCH62 DURATION36 METER1 KEY7 PITCH64 DURATION36"
    )
    decoded = CODEC.decode(ids)
    assert decoded.meters.tolist() == score.meters.tolist()
    assert decoded.keys.tolist() == score.keys.tolist()
    assert not +losses


def test_a_note_and_a_rest_go_on_across_a_change():
    score = line([(0, 60, 60), (108, 12, 62)], meters=[(0, 4, 4), (48, 2, 4), (96, 3, 4)])
    ids = CODEC.encode(score)
    assert music(ids) == (
        "PITCH60 DURATION48 METER2 KEY24 HOLD DURATION12 REST DURATION36 METER1 KEY24 REST DURATION12 PITCH62 DURATION12"
    )
    assert rows_of(CODEC.decode(ids)) == [(0, 60, 60), (108, 12, 62)]
    assert CODEC.decode(ids).meters.tolist() == score.meters.tolist()


def test_a_bar_cut_short_before_the_first_bar_line_is_a_pickup():
    score = line([(12, 12, 60), (24, 24, 62)], meters=[(0, 4, 4), (24, 3, 4)])
    ids = CODEC.encode(score)
    assert written(ids) == "METER0 KEY24 TEMPO120 POSITION36 PITCH60 DURATION12 METER1 KEY24 PITCH62 DURATION24"
    assert CODEC.decode(ids).bar_ticks().tolist() == [0, 480, 1920]


def test_a_meter_that_is_written_within_the_pickup_begins_with_the_first_bar():
    score = line([(0, 12, 60), (12, 12, 62), (24, 36, 64)], meters=[(0, 4, 4), (12, 3, 4)], pickup=24)
    assert written(CODEC.encode(score)) == (
        "METER0 KEY24 TEMPO120 POSITION24 PITCH60 DURATION12 PITCH62 DURATION12 METER1 KEY24 PITCH64 DURATION36"
    )


def test_silence_at_the_start_becomes_the_place_of_the_first_note():
    ids = CODEC.encode(line([(60, 12, 60), (72, 12, 62)]), losses := Counter())
    assert written(ids) == "METER0 KEY24 TEMPO120 POSITION12 PITCH60 DURATION12 PITCH62 DURATION12"
    assert CODEC.decode(ids).bar_ticks().tolist() == [0, 36 * 40]
    assert +losses == {"quarters of silence at the start left out": 5}


def test_what_cannot_be_carried_is_counted():
    score = line([(0, 12, 60), (12, 12, 62)], meters=[(0, 11, 8), (30, 3, 4)], keys=[(24, 2, True)], qpm=400)
    tempi = table(TEMPO_DTYPE, [0, 480], [150_000, 500_000])
    notes = score.notes.copy()
    notes["velocity"][1] = 90
    ids = CODEC.encode(Score(notes, score.tracks, tempi, score.meters, score.keys), losses := Counter())
    assert written(ids).startswith(f"METER{v.METERS.index((5, 4))} KEY24 TEMPO320 POSITION0 ")
    assert +losses == {
        "meters replaced by the one with the nearest bar": 1,
        "changes of meter or key after the end left out": 2,
        "changes of tempo left out": 1,
        "tempi moved to the nearest one known": 1,
        "changes of velocity left out": 1,
    }


def test_transposing_moves_the_key_and_its_changes_with_the_notes():
    score = line([(0, 48, 60), (48, 48, 62)], keys=[(0, 0, False), (48, 9, True)])
    moved = CODEC.decode(CODEC.augment(CODEC.encode(score), 5))
    assert moved.keys.tolist() == [(0, 5, False), (48 * 40, 2, True)]
    assert moved.notes["pitch"].tolist() == [65, 67]
    with pytest.raises(ValueError, match=r"stretch=1.1: a melody's grid has no seconds"):
        CODEC.augment(CODEC.encode(score), 0, 1.1)


def test_the_model_is_told_where_it_is_and_what_came_a_bar_ago():
    """3/4 in D minor, pickup of a quarter: A | d f z | d f z |, at each note's PITCH and DURATION."""
    rows = [(0, 12, 69), *((12 + 36 * k + 12 * n, 12, (74, 77)[n]) for k in (0, 1) for n in (0, 1))]
    score = line(rows, meters=[(0, 3, 4)], keys=[(0, 2, True)], pickup=12)
    ids = CODEC.encode(score)
    columns = CODEC.grammar.features(CODEC.grammar.trajectory(ids)).columns
    told = dict(zip(CODEC.grammar.feature_sizes, columns.T, strict=True))
    at = np.flatnonzero(CODEC.vocabulary.is_kind("PITCH", ids))
    assert told["place_in_bar"][at].tolist() == [24, 0, 12, 0, 12]
    assert told["place_in_beat"][at].tolist() == [0] * 5
    assert told["bar_in_strain"][at].tolist() == [7, 0, 0, 1, 1]
    assert told["pitch_1_bars_ago"][at].tolist() == [0, 0, 0, 75, 78]
    assert told["until_next_1_bars_ago"][at].tolist() == [0, 24, 12, 12, 24]  # before the first note, too
    assert told["degree"][at + 1].tolist() == [7, 0, 3, 0, 3]
    assert told["interval"][at + 1].tolist() == [0, 18, 16, 10, 16]
    assert told["sounding"][at].tolist() == [0, 1, 1, 0, 1]


# --- which line --------------------------------------------------------------------------------------------------------


def pitches_of(score_of, rows, names=None, losses=None):
    """The pitches of the melody of rows (onset, duration, pitch, track) in steps."""
    used = max(track for *_, track in rows) + 1
    tracks = tuple(Track(0, False, name) for name in names or [""] * used)
    score = score_of([(40 * o, 40 * d, p, 80, t) for o, d, p, t in rows], tracks=tracks)
    return CODEC.decode(CODEC.encode(score, losses)).notes["pitch"].tolist()


CHORDS = [(0, 48, 72, 1), (0, 48, 76, 1), (0, 48, 79, 1)]
TUNE = [(12 * k, 12, 60 + k, 0) for k in range(4)]


def test_the_melody_is_the_track_that_plays_one_note_at_a_time(score_of):
    assert pitches_of(score_of, TUNE + CHORDS, losses=(losses := Counter())) == [60, 61, 62, 63]
    assert +losses == {"notes of tracks beside the melody left out": 3}


def test_of_several_single_lines_it_is_the_highest(score_of):
    descant = [(o, d, p + 12, 1) for o, d, p, _ in TUNE]
    assert pitches_of(score_of, TUNE + descant) == [72, 73, 74, 75]


def test_a_few_high_notes_are_no_melody(score_of):
    busy = [(3 * k, 3, 60 + k % 5, 0) for k in range(16)]
    assert pitches_of(score_of, [*busy, (0, 12, 90, 1)]) == [p for _, _, p, _ in busy]


@pytest.mark.parametrize("name", ["MELODY", "Lead Vocals", "tune"])
def test_a_track_that_is_named_like_a_melody_is_it(score_of, name):
    descant = [(o, d, p + 12, 1) for o, d, p, _ in TUNE]
    assert pitches_of(score_of, TUNE + descant, names=(name, "flute")) == [60, 61, 62, 63]


def test_a_melody_that_is_named_may_have_few_notes(score_of):
    busy = [(3 * k, 3, 72 + k % 5, 1) for k in range(32)]
    assert pitches_of(score_of, TUNE + busy, names=("MELODY", "PIANO")) == [60, 61, 62, 63]


def test_of_chords_the_highest_notes_remain(score_of):
    rows = [(0, 24, 60, 0), (0, 12, 67, 0), (12, 12, 62, 0), (12, 24, 65, 0)]
    assert pitches_of(score_of, rows, losses=(losses := Counter())) == [67, 65]
    assert +losses == {"notes below the melody left out": 2}


def test_an_accompaniment_below_a_long_note_does_not_interrupt_it(score_of):
    rows = [(0, 48, 72, 0), *((12 * k, 12, 48 + k, 0) for k in range(4)), (48, 48, 74, 0)]
    assert pitches_of(score_of, rows) == [72, 74]


def test_legato_that_overlaps_falling_or_rising_is_cut_and_counted():
    ids = CODEC.encode(line([(0, 14, 67), (12, 14, 65), (24, 12, 69)]), losses := Counter())
    assert rows_of(CODEC.decode(ids)) == [(0, 12, 67), (12, 12, 65), (24, 12, 69)]
    assert +losses == {"notes cut at the next onset": 2}


# --- properties --------------------------------------------------------------------------------------------------------


def rows_at(dtype, values):
    """A map of meters or keys from a dictionary by tick."""
    return np.array([(tick, *values[tick]) for tick in sorted(values)], dtype)


@st.composite
def tunes(draw):
    """One line with rests, any grid of ticks, changes of meter and key, a pickup."""
    resolution = draw(st.sampled_from([12, 96, 480]))
    gaps = draw(
        st.lists(st.tuples(st.integers(0, 900), st.integers(resolution // 8 or 1, 4000)), min_size=1, max_size=24)
    )
    pitches = draw(st.lists(st.integers(0, 127), min_size=len(gaps), max_size=len(gaps)))
    onset = np.cumsum([gap for gap, _ in gaps]) + np.cumsum([0, *(duration for _, duration in gaps[:-1])])
    meters = draw(st.dictionaries(st.integers(0, 9000), st.sampled_from([*v.METERS, (11, 16), (21, 32)]), max_size=4))
    keys = draw(st.dictionaries(st.integers(0, 9000), st.tuples(st.integers(0, 11), st.booleans()), max_size=4))
    return Score(
        sorted_notes(table(NOTE_DTYPE, onset, [duration for _, duration in gaps], pitches, 80, 0)),
        (Track(),),
        tempi=table(TEMPO_DTYPE, [0], draw(st.integers(150_000, 4_000_000))),
        meters=rows_at(METER_DTYPE, meters),
        keys=rows_at(KEY_DTYPE, keys),
        ticks_per_quarter=resolution,
        pickup_tick=draw(st.sampled_from([0, 0, 1, resolution, 9 * resolution])),
    )


@QUICK
@given(score=tunes())
def test_a_line_comes_back_to_half_a_step(score):
    ids = CODEC.encode(score, losses := Counter())
    notes, decoded = score.notes, CODEC.decode(ids).notes
    if losses["notes below the melody left out"]:  # two that came to stand on one step
        assert len(decoded) < len(notes)
        return
    exact = (notes["onset_tick"] - notes["onset_tick"][0]) * 12 / score.ticks_per_quarter
    first = notes["onset_tick"][0] * 12 / score.ticks_per_quarter
    moved = decoded["onset_tick"] / 40 + np.rint(first) - (exact + first)
    assert decoded["pitch"].tolist() == notes["pitch"].tolist()
    assert np.abs(moved).max() <= 0.5 + 1e-9


@QUICK
@given(score=tunes())
def test_bar_lines_and_keys_come_back(score):
    """Each bar line and key of the score, on the grid, is one of the decoded, from the first note to the last."""
    ids = CODEC.encode(score, losses := Counter())
    if losses["meters replaced by the one with the nearest bar"]:
        return
    decoded, step = CODEC.decode(ids), lambda ticks: np.rint(np.asarray(ticks) * 12 / score.ticks_per_quarter)
    start = step(score.notes["onset_tick"][0])
    end = decoded.notes["onset_tick"][-1] / 40
    for name in ("tonic", "minor"):
        for note in decoded.notes["onset_tick"] / 40:
            before = score.keys[name][step(score.keys["tick"]) - start <= note]
            found = decoded.keys[name][decoded.keys["tick"] / 40 <= note]
            assert before[-1:].tolist() == found[-1:].tolist()
    if score.ticks_per_quarter == 12:  # the bars of odd resolutions are no whole steps
        lines = step(score.bar_ticks()) - start
        lines = lines[(lines > 0) & (lines <= end)]
        found = decoded.bar_ticks() / 40
        assert set(lines.tolist()) <= set(found.tolist())


@settings(max_examples=25, deadline=None)
@given(score=tunes())
def test_encoding_survives_a_midi_file(tmp_path_factory, score):
    path = tmp_path_factory.mktemp("melody") / "tune.mid"
    ids = CODEC.encode(score)
    midi.write(CODEC.decode(ids), path)
    assert CODEC.encode(midi.read(path)).tolist() == ids.tolist()


@pytest.mark.parametrize("seed", range(40))
def test_any_legal_ids_encode_to_themselves(random_walk, seed):
    rng = np.random.default_rng(seed)
    ids = kinds_walk(rng, 60) if seed % 2 else random_walk(CODEC.grammar, rng, 60)
    CODEC.grammar.check(ids)
    assert CODEC.encode(CODEC.decode(ids), losses := Counter()).tolist() == ids.tolist()
    assert not +losses


def kinds_walk(rng, groups):
    """A legal piece in which every kind of event that may come is as likely as any other, and long durations are common."""
    state, ids = CODEC.grammar.start(1), CODEC.grammar.bos().tolist()
    while not CODEC.grammar.finished(state)[0]:
        closing = len(ids) > 2 * groups
        mask = (CODEC.grammar.closing if closing else CODEC.grammar.allowed)(state)[0]
        choices = np.flatnonzero(mask)
        kinds = np.array([CODEC.vocabulary.event(i).kind for i in choices])
        kind = rng.choice([k for k in dict.fromkeys(kinds.tolist()) if k != "EOS" or closing or len(set(kinds)) == 1])
        longest = choices[-1:] if kind == "DURATION" and rng.random() < 0.3 else choices[kinds == kind]
        ids.append(int(rng.choice(longest)))
        CODEC.grammar.advance(state, np.array(ids[-1:]))
    return np.array(ids)


def test_walks_visit_every_pair_of_groups_and_stepwise_equals_the_whole_trajectory():
    pairs = set()
    for seed in range(15):
        ids = kinds_walk(np.random.default_rng(seed), 60)
        state, states = CODEC.grammar.start(1), []
        for token in ids[2:]:
            states.append(state.copy())
            CODEC.grammar.advance(state, np.array([token]))
        assert np.array_equal(CODEC.grammar.trajectory(ids)[2:], np.concatenate(states))
        pairs |= set(pairwise(v.kinds_of(ids[6::2]).tolist()))
    first, then = (v.NOTE, v.HOLD, v.REST, v.CHANGE), (v.NOTE, v.HOLD, v.REST, v.CHANGE, v.END)
    never = {(v.REST, v.HOLD), (v.REST, v.END), (v.CHANGE, v.CHANGE), (v.CHANGE, v.END)}
    assert pairs == {(a, b) for a in first for b in then} - never
