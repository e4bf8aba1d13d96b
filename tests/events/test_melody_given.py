"""What stays of a tune while a gap of it is written anew, group by group."""

import numpy as np
import pytest

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.events import melody_vocabulary as v
from lstmusic.events.given import NONE
from lstmusic.events.melody import TICKS_PER_STEP

CODEC = codecs.build("melody")
HEADER = "METER0 KEY24 TEMPO120 POSITION0"
ANY_PITCH = {f"PITCH{pitch}" for pitch in range(128)}


def ids_of(text):
    """The ids of words such as PITCH60 DURATION12 HOLD; those of BOS come before them."""
    words = [(word.rstrip("0123456789"), word.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) for word in text.split()]
    return np.array([v.VOCABULARY.id(kind, int(value or 0)) for kind, value in [("BOS", ""), ("BOS", ""), *words]])


def tune(music, header=HEADER):
    ids = ids_of(f"{header} {music} EOS EOS")
    CODEC.grammar.check(ids)
    return ids


def rewrite(ids, start, end):
    """What is given of a tune, with the gap in steps."""
    return CODEC.given(ids, start * TICKS_PER_STEP, end * TICKS_PER_STEP)


def left(piece, written):
    """The words that may come after a song's header and so much music."""
    ids = ids_of(f"{HEADER} {written}")
    assert ids[: len(piece.prefix)].tolist() == piece.prefix[: len(ids)].tolist()
    state = CODEC.grammar.trajectory(np.r_[ids, [0] * (len(ids) % 2)])
    state = state[: len(ids)]
    assert np.take_along_axis(piece.mask(state[2:]), ids[2:, None], axis=1).all(), "what is written may not be"
    CODEC.grammar.advance(state[-1:], ids[-1:])
    events = map(v.VOCABULARY.event, np.flatnonzero(piece.mask(state[-1:])[0]).tolist())
    words = {f"{kind}{value}" for kind, value in events}
    return {word[:-1] if word in ("HOLD0", "REST0", "EOS0") else word for word in words}


def durations(steps):
    return {f"DURATION{step}" for step in steps}


# Quarters: C, D and E, a rest, F
FOUR = "PITCH60 DURATION12 PITCH62 DURATION12 PITCH64 DURATION12 REST DURATION12 PITCH65 DURATION12"


def test_what_comes_before_the_gap_is_given_and_inside_it_notes_are_free():
    piece = rewrite(tune(FOUR), 12, 36)
    begun = "PITCH60 DURATION12"
    assert piece.prefix.tolist() == ids_of(f"{HEADER} {begun}").tolist()
    assert left(piece, begun) == {"REST", *ANY_PITCH}
    assert left(piece, f"{begun} PITCH70") == durations(range(1, 25))
    # A rest ends before the gap does, or lasts until the note at 48.
    assert left(piece, f"{begun} REST") == durations([*range(1, 24), 36])
    assert left(piece, f"{begun} REST DURATION36") == {"PITCH65"}


def test_after_the_gap_a_silence_and_a_note_are_what_they_were():
    piece = rewrite(tune(FOUR), 12, 36)
    begun = "PITCH60 DURATION12 PITCH70 DURATION24"
    for done, following in [
        ("", "REST"),
        (" REST", "DURATION12"),
        (" REST DURATION12", "PITCH65"),
        (" REST DURATION12 PITCH65", "DURATION12"),
        (" REST DURATION12 PITCH65 DURATION12", "EOS"),
        (" REST DURATION12 PITCH65 DURATION12 EOS", "EOS"),
    ]:
        assert left(piece, begun + done) == {following}


def test_a_note_that_rings_into_the_gap_ends_in_it_and_one_that_rings_out_of_it_begins_in_it():
    piece = rewrite(tune("PITCH60 DURATION12 PITCH62 DURATION12 PITCH64 DURATION12"), 6, 30)
    assert piece.prefix.tolist() == ids_of(f"{HEADER} PITCH60 DURATION12").tolist()
    begun = "PITCH60 DURATION12"
    assert left(piece, f"{begun} PITCH70") == durations(range(1, 13))
    assert left(piece, f"{begun} REST") == durations(range(1, 13))  # until 64, which is struck at 24
    assert left(piece, f"{begun} REST DURATION12") == {"PITCH64"}
    assert left(piece, f"{begun} REST DURATION12 PITCH64") == {"DURATION12"}


def test_a_silence_before_the_gap_may_go_on_in_it():
    music = "PITCH60 DURATION12 REST DURATION36 PITCH62 DURATION12"
    piece = rewrite(tune(music), 24, 36)
    assert piece.prefix.tolist() == ids_of(f"{HEADER} PITCH60 DURATION12").tolist()
    assert left(piece, "PITCH60 DURATION12") == {"REST"}
    assert left(piece, "PITCH60 DURATION12 REST") == durations([*range(12, 24), 36])
    assert left(piece, "PITCH60 DURATION12 REST DURATION12") == ANY_PITCH  # a rest ends with a note


def test_a_tune_begins_with_a_note():
    piece = rewrite(tune(FOUR), 0, 12)
    assert piece.prefix.tolist() == ids_of(HEADER).tolist()
    assert left(piece, "") == ANY_PITCH
    assert left(piece, "PITCH1") == durations(range(1, 13))
    assert left(piece, "PITCH1 DURATION5 REST") == durations(range(1, 8))
    assert left(piece, "PITCH1 DURATION12") == {"PITCH62"}


def test_a_tune_whose_end_is_written_anew_ends_with_a_note_when_it_did():
    piece = rewrite(tune(FOUR), 36, 100)
    begun = "PITCH60 DURATION12 PITCH62 DURATION12 PITCH64 DURATION12"
    assert left(piece, f"{begun} REST") == durations(range(1, 24))
    assert left(piece, f"{begun} REST DURATION23") == ANY_PITCH
    assert left(piece, f"{begun} REST DURATION22 PITCH1 DURATION1") == ANY_PITCH  # no time for a rest and a note
    assert left(piece, f"{begun} PITCH1") == durations(range(1, 25))
    assert left(piece, f"{begun} PITCH1 DURATION24") == {"EOS"}


def test_changes_of_meter_and_key_stay_in_the_gap():
    at_48, at_72 = "METER1 KEY24 HOLD DURATION12", "METER1 KEY7 HOLD DURATION12"
    music = f"PITCH60 DURATION12 PITCH62 DURATION36 {at_48} PITCH64 DURATION12 {at_72}"
    piece = rewrite(tune(music), 12, 60)
    begun = "PITCH60 DURATION12"
    assert left(piece, f"{begun} PITCH62") == durations(range(1, 37))
    assert left(piece, f"{begun} REST") == durations(range(1, 37))  # the change cuts it, so that it may go on
    at_change = f"{begun} REST DURATION36"
    assert left(piece, at_change) == {"METER1"}
    assert left(piece, f"{at_change} METER1") == {"KEY24"}
    assert left(piece, f"{at_change} METER1 KEY24") == {"REST", *ANY_PITCH}
    assert left(piece, f"{at_change} METER1 KEY24 REST") == durations(range(1, 13))
    sounding = f"{begun} PITCH62 DURATION36 METER1 KEY24"
    assert left(piece, sounding) == {"HOLD", "REST", *ANY_PITCH}
    assert left(piece, f"{sounding} HOLD") == durations(range(1, 13))
    # The note at 60 is given, and so is the change in it.
    given_note = f"{sounding} HOLD DURATION12 PITCH64"
    assert left(piece, given_note) == {"DURATION12"}
    assert left(piece, f"{given_note} DURATION12 METER1 KEY7") == {"HOLD"}


def test_a_note_that_rings_into_the_gap_is_not_held_longer_than_it_was():
    longest = "PITCH60 DURATION192 PITCH62 DURATION12 PITCH64 DURATION12"
    piece = rewrite(tune(longest), 192, 204)
    assert left(piece, "PITCH60 DURATION192") == {"REST", *ANY_PITCH}
    cut = "PITCH60 DURATION12 METER1 KEY24 PITCH62 DURATION12 PITCH64 DURATION12"
    piece = rewrite(tune(cut), 12, 24)
    assert left(piece, "PITCH60 DURATION12 METER1 KEY24") == {"REST", *ANY_PITCH}


def test_what_lasts_longer_than_the_longest_duration_goes_on():
    music = (
        "PITCH60 DURATION12 PITCH62 DURATION192 HOLD DURATION188 PITCH64 DURATION192 HOLD DURATION192 HOLD DURATION8"
    )
    piece = rewrite(tune(music), 12, 392)
    begun = "PITCH60 DURATION12"
    assert left(piece, f"{begun} PITCH1") == durations(range(1, 193))
    assert left(piece, f"{begun} PITCH1 DURATION192") == {"HOLD", "REST", *ANY_PITCH}
    assert left(piece, f"{begun} REST DURATION192") == {"REST", *ANY_PITCH}
    assert left(piece, f"{begun} REST DURATION192 REST") == durations(range(1, 189))
    last = f"{begun} PITCH1 DURATION192 HOLD DURATION188"
    assert left(piece, f"{last} PITCH64") == {"DURATION192"}
    assert left(piece, f"{last} PITCH64 DURATION192") == {"HOLD"}
    assert left(piece, f"{last} PITCH64 DURATION192 HOLD DURATION192 HOLD") == {"DURATION8"}


def test_steps_that_reach_out_of_the_gap_are_not_in_it():
    ids = tune(FOUR)
    for gap in [(480, 1440), (441, 1479), (480, 1441)]:
        assert CODEC.given(ids, *gap).prefix.tolist() == ids_of(f"{HEADER} PITCH60 DURATION12").tolist()
    late = CODEC.given(ids, 481, 1440)  # 62 sounds before it
    assert late.prefix.tolist() == ids_of(f"{HEADER} PITCH60 DURATION12 PITCH62 DURATION12").tolist()
    early = CODEC.given(ids, 480, 1439)  # 64 sounds after it
    assert left(early, "PITCH60 DURATION12 PITCH1") == durations(range(1, 13))


@pytest.mark.parametrize("gap", [(500, 900), (481, 519), (2400, 2500)])
def test_a_gap_in_which_a_note_rings_all_the_time_leaves_nothing_to_write(gap):
    ids = tune(FOUR)
    piece = CODEC.given(ids, *gap)
    assert piece.prefix.tolist() == ids[:-2].tolist()
    assert not piece.open(CODEC.grammar.trajectory(ids)).any()


def test_a_gap_without_time_and_voices_are_refused():
    with pytest.raises(ConfigError, match="gap of ticks 500 to 500"):
        CODEC.given(tune(FOUR), 500, 500)
    with pytest.raises(ConfigError, match="keep=Soprano: there is no such voice, expected none"):
        CODEC.given(tune(FOUR), 500, 1000, keep=["Soprano"])


def test_the_longest_duration_that_fits_stands_for_longer_ones():
    piece = rewrite(tune(FOUR), 12, 36)
    ids = ids_of(f"{HEADER} PITCH60 DURATION12 PITCH70")
    state = CODEC.grammar.trajectory(np.r_[ids, 0])[-1:]
    assert piece.latest(state, piece.mask(state)).tolist() == [v.VOCABULARY.id("DURATION", 24)]
    before = CODEC.grammar.trajectory(ids)[-1:]
    assert piece.latest(before, piece.mask(before)).tolist() == [NONE]
