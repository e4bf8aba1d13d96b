"""What of a metrical piece is given, and what is free: ids worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.given import NONE
from lstmusic.score.score import TEMPO_DTYPE, Track, table

GROUPED, FLAT = codecs.build("metrical"), codecs.build("metrical", grouped=False)
FORMS = pytest.mark.parametrize("codec", [GROUPED, FLAT], ids=["grouped", "flat"])
STEP = 40  # ticks
BAR = [("BAR", 0), ("METER", v.METERS.index((4, 4))), ("KEY", 0)]
# In steps: a note of program 0 rings until 24; one of program 40 begins at 36 and rings over the bar line, until 60.
# A drum lies between.
TIED = [(0, 24, 60, 64, 0), (30, 6, 72, 64, 0), (36, 24, 67, 64, 1), (60, 12, 60, 64, 0), (18, 6, 40, 64, 2)]
# The only note of the first bar and the only one of the last
LONELY = [(6, 6, 60, 64, 0), (60, 6, 62, 64, 0), (100, 2, 64, 64, 0)]


@pytest.fixture
def ids_of(score_of):
    """A function: the ids of rows (onset, duration, pitch, velocity, track) and of a second tempo, all in steps."""

    def encode(codec, rows, tempo_at=None):
        rows = [(onset * STEP, duration * STEP, *others) for onset, duration, *others in rows]
        score = score_of(rows, tracks=(Track(0), Track(40), Track(0, True)))
        if tempo_at:
            score = replace(score, tempi=table(TEMPO_DTYPE, [0, tempo_at * STEP], [500_000, 400_000]))
        return codec.encode(score)

    return encode


@pytest.fixture
def anew(ids_of):
    """A function: what is given of such a piece while the steps start..end-1 are written anew."""

    def given(codec, rows, start, end, tempo_at=None):
        return codec.given(ids_of(codec, rows, tempo_at), start * STEP, end * STEP)

    return given


def after(codec, ids):
    """The state after these ids."""
    state = codec.grammar.start(1)
    for id_ in ids[codec.group_size :]:
        codec.grammar.advance(state, np.array([id_]))
    return state


def steps(duration):
    """The DURATION of so many steps."""
    return "DURATION", v.DURATION_STEPS.tolist().index(duration)


def may_follow(codec, given_, kind, *events):
    """The values of a kind that may follow the prefix and these events, those that the flat form leaves out aside."""
    state = after(codec, given_.prefix)
    for event in events:
        kind_, value = event
        same = {"POSITION": state["position"], "PROGRAM": state["program"]}.get(kind_, -2)
        if codec is FLAT and value == same:
            continue
        id_ = codec.vocabulary.id(*event)
        assert given_.mask(state)[0, id_], event
        codec.grammar.advance(state, np.array([id_]))
    ids = np.flatnonzero(given_.mask(state)[0])
    return [e.value for e in map(codec.vocabulary.event, ids.tolist()) if e.kind == kind]


def bar(codec):
    """The ids of a bar of 4/4."""
    return [*BAR, ("PAD", 0), ("PAD", 0)] if codec is GROUPED else BAR


@FORMS
def test_notes_are_free_between_those_that_ring_into_the_gap_and_out_of_it(codec, anew):
    given_ = anew(codec, TIED, 12, 48)
    first = [("POSITION", 0)] * (codec is GROUPED) + [("PROGRAM", 0), ("PITCH", 60), steps(24), ("VELOCITY", 16)]
    words = [codec.vocabulary.event(int(id_)) for id_ in given_.prefix if id_ not in (v.BOS, v.PAD)]
    assert words == [*BAR, ("POSITION", 0), ("TEMPO", 120), *first]
    assert may_follow(codec, given_, "POSITION") == list(range(12, 37))
    assert may_follow(codec, given_, "BAR") == []
    at_12, at_30 = [("POSITION", 12)], [("POSITION", 30)]
    assert may_follow(codec, given_, "PITCH", *at_12, ("PROGRAM", 0)) == [p for p in range(128) if p != 60]
    assert may_follow(codec, given_, "PITCH", ("POSITION", 24), ("PROGRAM", 0)) == list(range(128))
    assert may_follow(codec, given_, "DRUM", *at_12, ("PROGRAM", 128)) == list(range(128))
    assert may_follow(codec, given_, "TEMPO", *at_12) == []
    for program, pitch, longest in ((40, 67, 6), (40, 66, 18), (0, 67, 18)):
        note = *at_30, ("PROGRAM", program), ("PITCH", pitch)
        assert may_follow(codec, given_, "DURATION", *note)[-1] == steps(longest)[1]
    note = ("PITCH", 64), steps(6), ("VELOCITY", 20)
    assert may_follow(codec, given_, "POSITION", *at_30, ("PROGRAM", 40), *note)[-6:] == list(range(31, 37))


@FORMS
def test_a_given_note_comes_at_its_place_in_the_order(codec, anew):
    given_ = anew(codec, TIED, 12, 48)
    at_36 = ("POSITION", 36)
    programs = may_follow(codec, given_, "PROGRAM", at_36)  # the flat form goes on with program 0 without saying so
    assert programs == [0, 40][codec is FLAT :]
    assert may_follow(codec, given_, "PITCH", at_36, ("PROGRAM", 40)) == list(range(68))
    own = at_36, ("PROGRAM", 40), ("PITCH", 67)
    assert may_follow(codec, given_, "DURATION", *own) == [steps(24)[1]]
    assert may_follow(codec, given_, "VELOCITY", *own, steps(24)) == [16]
    done = *own, steps(24), ("VELOCITY", 16)
    assert may_follow(codec, given_, "BAR", *done) == [0]
    assert may_follow(codec, given_, "POSITION", *done)[-11:] == list(range(37, 48))
    again = *done, at_36, ("PROGRAM", 40)
    assert may_follow(codec, given_, "PITCH", *again) == list(range(68, 128))
    assert may_follow(codec, given_, "POSITION", *done, *bar(codec)) == [12]


@FORMS
def test_above_a_given_note_on_the_highest_key_there_is_no_other_of_its_program(codec, anew):
    rows = [(0, 6, 60, 64, 0), (36, 24, 127, 64, 0), (60, 12, 60, 64, 0), (18, 6, 60, 64, 1), (18, 6, 60, 64, 2)]
    given_ = anew(codec, rows, 12, 48)
    done = ("POSITION", 36), ("PROGRAM", 0), ("PITCH", 127), steps(24), ("VELOCITY", 16)
    assert may_follow(codec, given_, "PROGRAM", *done, ("POSITION", 36)) == [40, 128]
    assert may_follow(codec, given_, "PITCH", *done, ("POSITION", 36)) == []
    given_ = anew(codec, [rows[0], (*rows[1][:4], 2), rows[2]], 12, 48)
    drum = ("POSITION", 36), ("PROGRAM", 128), ("DRUM", 127), *done[3:]
    assert may_follow(codec, given_, "POSITION", *drum) == list(range(37, 48))


@FORMS
def test_the_last_free_note_of_a_step_leaves_a_place_for_no_other(codec, anew):
    """The last step before the end: a drum on the highest key can only be followed by the same one."""
    given_ = anew(codec, TIED, 12, 36)
    note = ("POSITION", 35), ("PROGRAM", 128), ("DRUM", 127), steps(1), ("VELOCITY", 32)
    state_kinds = {kind: may_follow(codec, given_, kind, *note) for kind in ("POSITION", "DRUM", "BAR")}
    assert state_kinds == {
        "POSITION": [35, 36] if codec is GROUPED else [36],
        "DRUM": [127] * (codec is FLAT),
        "BAR": [],
    }
    longer = ("POSITION", 34), ("PROGRAM", 40), ("PITCH", 127), steps(2), ("VELOCITY", 32)
    at = *longer, ("POSITION", 34)
    assert may_follow(codec, given_, "PROGRAM", *at) == [40, 128] if codec is GROUPED else [128]
    assert may_follow(codec, given_, "DURATION", *at, ("PROGRAM", 40), ("PITCH", 127)) == [steps(2)[1]]


@FORMS
def test_a_tempo_waits_for_the_note_that_its_bar_has_to_have(codec, anew):
    given_ = anew(codec, LONELY, 0, 12, tempo_at=40)
    first = 0 if codec is GROUPED else 1
    assert may_follow(codec, given_, "POSITION") == list(range(first, 12))
    assert may_follow(codec, given_, "PROGRAM", ("POSITION", 11)) == [0]
    note = ("POSITION", 11), ("PROGRAM", 0), ("PITCH", 60), steps(1), ("VELOCITY", 1)
    assert may_follow(codec, given_, "POSITION", *note)[-1] == 40
    assert may_follow(codec, given_, "TEMPO", *note, ("POSITION", 40)) == [150]
    given_ = anew(codec, LONELY, 0, 12, tempo_at=11)
    assert may_follow(codec, given_, "POSITION") == list(range(first, 12))
    assert may_follow(codec, given_, "PROGRAM", ("POSITION", 11)) == []
    given_ = anew(codec, LONELY, 96, 106, tempo_at=106)
    assert may_follow(codec, given_, "POSITION") == list(range(10))
    assert may_follow(codec, given_, "BAR") == []
    note = ("POSITION", 9), *note[1:]
    assert may_follow(codec, given_, "POSITION", *note)[-1] == 10
    given_ = anew(codec, LONELY, 48, 96, tempo_at=50)  # a bar between may stay empty
    tempo = [("POSITION", 2), ("TEMPO", 150), *[("PAD", 0)] * 3 * (codec is GROUPED)]
    assert may_follow(codec, given_, "POSITION") == [0, 1, 2]
    assert may_follow(codec, given_, "BAR", *tempo) == [0]


@FORMS
def test_free_notes_are_of_the_programs_of_the_piece(codec, anew):
    at_12 = ("POSITION", 12)
    assert may_follow(codec, anew(codec, TIED, 12, 48), "PROGRAM", at_12) == [0, 40, 128][codec is FLAT :]
    drums = [(*row[:4], 2) for row in TIED]
    given_ = anew(codec, drums, 12, 48)
    assert may_follow(codec, given_, "PROGRAM", at_12) == [128] * (codec is GROUPED)
    assert may_follow(codec, given_, "DRUM", at_12, ("PROGRAM", 128)) == [p for p in range(128) if p != 60]
    assert may_follow(codec, anew(codec, LONELY, 0, 12), "PROGRAM", ("POSITION", 6)) == [0]


@FORMS
def test_where_they_leave_no_pitch_to_a_bar_that_holds_a_note_any_program_may_come(codec, anew):
    every_key = [(0, 108, pitch, 64, 0) for pitch in range(128)]
    given_ = anew(codec, [*every_key, (60, 6, 62, 64, 0)], 48, 96)
    assert may_follow(codec, given_, "PROGRAM", ("POSITION", 6)) == list(range(1, 129))


@FORMS
def test_notes_in_unison_that_ring_out_of_the_gap_come_as_often_as_they_were(codec, anew):
    unison = [(0, 12, 60, 64, 0), *[(36, 24, 67, 64, 1)] * 3, (60, 12, 60, 64, 0)]
    given_ = anew(codec, unison, 12, 48)
    note = ("POSITION", 36), ("PROGRAM", 40), ("PITCH", 67), steps(24), ("VELOCITY", 16)
    assert may_follow(codec, given_, "POSITION") == list(range(12, 37))
    for before in range(3):
        done = note * before
        assert may_follow(codec, given_, "BAR", *done) == []
        assert may_follow(codec, given_, "PITCH", *done, *note[:2]) == [67]
    assert may_follow(codec, given_, "BAR", *note * 3) == [0]
    assert may_follow(codec, given_, "POSITION", *note * 3) == list(range(37, 48))


@FORMS
def test_the_prefix_of_a_whole_piece_is_where_the_music_begins(codec, anew):
    given_ = anew(codec, TIED, 0, 96)
    assert codec.decode(given_.prefix).notes.size == 0
    assert v.KIND[given_.prefix[given_.prefix != v.PAD]].tolist()[-5:] == [v.BAR, v.METER, v.KEY, v.POSITION, v.TEMPO]


@FORMS
def test_the_prefix_goes_on_while_no_free_note_can_come_first(codec, anew):
    lowest = [(0, 24, 0, 64, 0), (0, 24, 60, 64, 0), (60, 12, 60, 64, 0)]  # of all notes at its step the first
    given_ = anew(codec, lowest, 0, 12)
    assert v.VALUE[given_.prefix[-3:]].tolist() == [0, steps(24)[1], 16]
    assert may_follow(codec, given_, "PITCH", ("POSITION", 0), ("PROGRAM", 0)) == list(range(1, 61))


@FORMS
def test_a_gap_without_a_step_leaves_nothing_free(codec, ids_of):
    ids = ids_of(codec, TIED)
    given_ = codec.given(ids, 12 * STEP + 1, 13 * STEP - 1)
    assert given_.prefix.tolist() == ids[: -codec.group_size].tolist()
    state = after(codec, given_.prefix)
    assert np.flatnonzero(given_.mask(state)[0]).tolist() == [v.EOS]
    assert not given_.open(state).any()


@FORMS
def test_what_is_open_ends_with_the_last_step_of_the_gap(codec, ids_of):
    ids = ids_of(codec, TIED)
    given_, states = codec.given(ids, 12 * STEP, 48 * STEP), codec.grammar.trajectory(ids)
    second = np.flatnonzero(ids == v.BAR)[1]
    assert given_.open(states).tolist() == [True] * (second + 1) + [False] * (len(ids) - second - 1)


@FORMS
def test_a_gap_or_a_voice_that_is_not_there(codec, ids_of):
    ids = ids_of(codec, TIED)
    with pytest.raises(ConfigError, match="gap of ticks 5 to 5"):
        codec.given(ids, 5, 5)
    with pytest.raises(ConfigError, match="keep=Soprano"):
        codec.given(ids, 0, 5, keep=["Soprano"])


@FORMS
def test_what_stands_for_all_that_comes_after_it(codec, anew):
    given_, flat = anew(codec, TIED, 12, 48), codec is FLAT
    note = ("PITCH", 67), steps(24), ("VELOCITY", 16)
    written = [("POSITION", 36), ("PROGRAM", 40), *note]
    for k, (kind, value) in enumerate(written):
        assert latest(codec, given_, *written[:k]) == (kind, value)
    assert latest(codec, given_, *written)[0] == "BAR"
    own = ("POSITION", 12), ("PROGRAM", 0)
    assert latest(codec, given_, ("POSITION", 12)) is None
    assert latest(codec, given_, *own, ("PITCH", 64)) == steps(36)
    at_30 = ("POSITION", 30), *(() if flat else (("PROGRAM", 0),)), ("PITCH", 64), steps(6), ("VELOCITY", 20)
    assert latest(codec, given_, *at_30) == ("POSITION", 36)


def latest(codec, given_, *events):
    """The event that stands for others after the prefix and these events; None: none does."""
    state = after(codec, given_.prefix)
    for event in events:
        codec.grammar.advance(state, np.array([codec.vocabulary.id(*event)]))
    (found,) = given_.latest(state, given_.mask(state)).tolist()
    return None if found == NONE else tuple(codec.vocabulary.event(found))
