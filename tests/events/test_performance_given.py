"""What stays of a performance while a gap of it is written anew, event by event."""

import numpy as np
import pytest

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.events.given import NONE

PLAIN, PEDALS = (codecs.build("performance", pedals=pedals) for pedals in (False, True))
NAMES = {
    "on": "NOTE_ON",
    "off": "NOTE_OFF",
    "shift": "TIME_SHIFT",
    "velocity": "VELOCITY",
    "down": "PEDAL_DOWN",
    "up": "PEDAL_UP",
    "bos": "BOS",
    "eos": "EOS",
}


def ids_of(codec, text):
    """The ids of words such as on60 off60 shift50 velocity20 down eos."""
    words = [(word.rstrip("0123456789"), word.lstrip("abcdefghijklmnopqrstuvwxyz")) for word in text.split()]
    return np.array([codec.vocabulary.id(NAMES[name], int(value or 0)) for name, value in words], np.int64)


def left(codec, piece, written):
    """The words that may come after a song's beginning."""
    ids = np.r_[0, ids_of(codec, written)]
    assert ids[: len(piece.prefix)].tolist() == piece.prefix[: len(ids)].tolist()
    state = codec.grammar.trajectory(ids)
    assert np.take_along_axis(piece.mask(state[1:]), ids[1:, None], axis=1).all(), "what is written may not be"
    codec.grammar.advance(state[-1:], ids[-1:])
    words = {kind: word for word, kind in NAMES.items()}
    events = map(codec.vocabulary.event, np.flatnonzero(piece.mask(state[-1:])[0]).tolist())
    return {words[kind] + (str(value) if word_has_value(kind) else "") for kind, value in events}


def word_has_value(kind):
    return kind in ("NOTE_ON", "NOTE_OFF", "TIME_SHIFT", "VELOCITY")


def many(word, values):
    return {f"{word}{value}" for value in values}


def piece_of(codec, text):
    ids = ids_of(codec, text)
    codec.grammar.check(ids)
    return ids


# 60 sounds until 500 ms, where the gap begins, 62 in the gap, and 64 from its end at a second on
THREE = "bos velocity20 on60 shift50 off60 velocity10 on62 shift50 off62 on64 shift50 off64 eos"


def test_ids_before_the_gap_are_given_and_inside_it_notes_are_free():
    piece = PLAIN.given(piece_of(PLAIN, THREE), 500, 1000)
    assert piece.prefix.tolist() == ids_of(PLAIN, "bos velocity20 on60 shift50 off60").tolist()
    others = many("velocity", set(range(1, 33)) - {20})
    assert left(PLAIN, piece, "velocity20 on60 shift50 off60") == (
        many("on", range(128)) | others | many("shift", range(1, 51))
    )
    begun = "velocity20 on60 shift50 off60 on64 on70"
    assert left(PLAIN, piece, begun) == many("on", range(71, 128)) | others | many("shift", range(1, 51))
    assert left(PLAIN, piece, f"{begun} shift20") == (
        {"off64", "off70"} | many("on", set(range(128)) - {64, 70}) | others  # after a shift, something happens
    )


def test_what_is_free_ends_with_the_gap_in_the_order_of_the_grammar():
    piece = PLAIN.given(piece_of(PLAIN, THREE), 500, 1000)
    begun = "velocity20 on60 shift50 off60 on50 on64 on70 shift50"
    for done, following in [
        ("", "off50"),
        (" off50", "off64"),
        (" off50 off64", "off70"),
        (" off50 off64 off70", "velocity10"),
        (" off50 off64 off70 velocity10", "on64"),
        (" off50 off64 off70 velocity10 on64", "shift50"),
        (" off50 off64 off70 velocity10 on64 shift50", "off64"),
        (" off50 off64 off70 velocity10 on64 shift50 off64", "eos"),
    ]:
        assert left(PLAIN, piece, begun + done) == {following}


def test_a_velocity_after_the_gap_is_written_where_it_is_needed():
    piece = PLAIN.given(piece_of(PLAIN, THREE), 500, 1000)
    begun = "velocity20 on60 shift50 off60"
    assert left(PLAIN, piece, f"{begun} shift50") == {"velocity10"}
    assert left(PLAIN, piece, f"{begun} velocity10 on70 shift50 off70") == {"on64"}


def test_a_note_that_rings_into_the_gap_ends_in_it_and_one_that_rings_out_of_it_begins_in_it():
    text = "bos velocity20 on60 shift60 off60 shift10 on60 on66 shift50 off60 off66 eos"
    piece = PLAIN.given(piece_of(PLAIN, text), 500, 1000)
    assert piece.prefix.tolist() == ids_of(PLAIN, "bos velocity20 on60").tolist()
    # The gap may begin with a note, at 500 ms or later; nothing passes the ending at 600.
    assert left(PLAIN, piece, "velocity20 on60") == many("shift", range(50, 61))
    # A note that lies in the gap: what is above 60 ends after it, what is below it before it.
    assert left(PLAIN, piece, "velocity20 on60 shift50 on50 on70 shift10") == {"off50", "off60"}
    assert left(PLAIN, piece, "velocity20 on60 shift50 on50 on70 shift10 off60") == {
        "off70",
        *many("on", set(range(128)) - {50, 70}),
        *many("velocity", set(range(1, 33)) - {20}),
        *many("shift", range(1, 11)),
    }
    # 60 and 66 are struck at 700 ms: by then a free 60 is let go, and free keys are struck in between.
    at_700 = "velocity20 on60 shift60 off60 on60 on70 shift10"
    assert left(PLAIN, piece, at_700) == {"off60"}
    others = many("velocity", set(range(1, 33)) - {20})
    assert left(PLAIN, piece, f"{at_700} off60") == many("on", range(61)) | others | {"off70"}
    assert left(PLAIN, piece, f"{at_700} off60 velocity9") == many("on", range(60))
    assert left(PLAIN, piece, f"{at_700} off60 on60") == many("on", range(61, 67)) | others
    assert left(PLAIN, piece, f"{at_700} off60 on60 velocity9 on61") == (
        many("on", range(62, 66)) | many("velocity", set(range(1, 33)) - {9})
    )
    assert left(PLAIN, piece, f"{at_700} off60 on60 velocity9 on65") == {"velocity20"}


def test_a_silence_passes_the_end_of_the_gap_by_the_longest_shifts_first():
    piece = PLAIN.given(
        piece_of(PLAIN, "bos velocity20 on60 shift10 off60 shift100 shift50 on60 shift10 off60 eos"), 500, 800
    )
    # The gap is 50 to 80, the next onset at 160. A shift past its end is the longest one, or what is left after it.
    assert left(PLAIN, piece, "velocity20 on60 shift10 off60") == many("shift", [*range(40, 70), 100])
    assert left(PLAIN, piece, "velocity20 on60 shift10 off60 shift100") == {"shift50"}
    begun = "velocity20 on60 shift10 off60 shift40 on70 shift29 off70"
    others = many("velocity", set(range(1, 33)) - {20})
    # At 79 a last note may be struck; it has one step left.
    assert left(PLAIN, piece, begun) == many("on", range(128)) | others | many("shift", [81])
    assert left(PLAIN, piece, f"{begun} on60") == many("on", range(61, 128)) | others | {"shift1"}


def test_a_piece_begins_with_a_note():
    piece = PLAIN.given(piece_of(PLAIN, THREE), 0, 500)
    assert piece.prefix.tolist() == [0]
    assert left(PLAIN, piece, "") == many("velocity", range(1, 33))
    assert left(PLAIN, piece, "velocity7") == many("on", range(128))
    assert left(PLAIN, piece, "velocity7 on3 shift50") == {"off3"}
    assert left(PLAIN, piece, "velocity7 on3 shift50 off3") == {"velocity10"}


def test_a_piece_whose_end_is_written_anew_ends_when_it_did():
    piece = PLAIN.given(piece_of(PLAIN, THREE), 1000, 4000)
    begun = "velocity20 on60 shift50 off60 velocity10 on62 shift50 off62"
    assert left(PLAIN, piece, begun) >= many("shift", range(1, 50))
    assert "shift50" not in left(PLAIN, piece, begun)  # a note is yet to be struck
    last = f"{begun} shift49"
    assert left(PLAIN, piece, last) == many("on", range(128)) | many("velocity", set(range(1, 33)) - {10})
    assert left(PLAIN, piece, f"{last} on90 shift1") == {"off90"}
    assert left(PLAIN, piece, f"{last} on90 shift1 off90") == {"eos"}
    assert "shift50" in left(PLAIN, piece, f"{begun} on90")  # it may last until the end,
    assert "off90" in left(PLAIN, piece, f"{begun} on90 shift1")  # or others after it


def test_where_every_key_sounds_nothing_can_be_struck():
    struck, let_go = (" ".join(f"{word}{key}" for key in range(128)) for word in ("on", "off"))
    ids = piece_of(PLAIN, f"bos velocity20 {struck} shift50 {let_go} eos")
    assert PLAIN.given(ids, 200, 400).prefix.tolist() == ids[:-1].tolist()


def test_the_pedal_is_lifted_before_it_is_pressed_again():
    text = "bos velocity20 on60 shift50 off60 shift50 down shift50 up eos"
    piece = PEDALS.given(piece_of(PEDALS, text), 500, 1200)
    begun = "velocity20 on60 shift50 off60"
    assert {"down", "shift50"} <= left(PEDALS, piece, begun)
    assert left(PEDALS, piece, f"{begun} down") == many("shift", range(1, 50))
    assert left(PEDALS, piece, f"{begun} down shift49") == {"up"}
    at_the_end = left(PEDALS, piece, f"{begun} down shift49 up")
    assert "down" not in at_the_end
    assert "shift1" in at_the_end
    # At a second it is pressed behind any note that is struck, and such a note ends with the gap.
    struck = left(PEDALS, piece, f"{begun} shift50 on60")
    assert struck == many("on", range(61, 128)) | many("velocity", set(range(1, 33)) - {20}) | {"down"}
    assert left(PEDALS, piece, f"{begun} shift50 on60 down") == many("shift", range(1, 21))


def test_steps_that_reach_out_of_the_gap_are_not_in_it():
    ids = piece_of(PLAIN, THREE)
    for start, end in [(500, 1000), (491, 1000), (500, 1009), (495, 1005)]:
        assert PLAIN.given(ids, start, end).prefix.tolist() == ids[:5].tolist()
    assert PLAIN.given(ids, 501, 1000).prefix.tolist() == ids[:7].tolist()  # 62 sounds outside it
    early = PLAIN.given(ids, 500, 999)  # it does so here, too, but others may be struck when it is
    begun = "velocity20 on60 shift50 off60"
    assert left(PLAIN, early, begun) == many("on", range(62)) | many("velocity", set(range(1, 33)) - {20})


@pytest.mark.parametrize("gap", [(501, 509), (1500, 1600), (99000, 99900)])
def test_a_gap_without_a_step_of_the_piece_leaves_nothing_to_write(gap):
    ids = piece_of(PLAIN, THREE)
    piece = PLAIN.given(ids, *gap)
    assert piece.prefix.tolist() == ids[:-1].tolist()
    assert not piece.open(PLAIN.grammar.trajectory(ids)).any()


def test_a_gap_without_time_and_voices_are_refused():
    ids = piece_of(PLAIN, THREE)
    with pytest.raises(ConfigError, match="gap of ticks 500 to 500"):
        PLAIN.given(ids, 500, 500)
    with pytest.raises(ConfigError, match="keep=Soprano: there is no such voice, expected none"):
        PLAIN.given(ids, 500, 1000, keep=["Soprano"])


# 60 until 500 ms, where the gap begins; 62 and 66 begin at 800 ms and 900 ms, and ring out of the gap, which ends at 1 s
RINGING = "bos velocity20 on60 shift50 off60 shift30 on62 shift10 velocity10 on66 shift60 off62 off66 eos"


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("", "shift30"),  # to the next given note
        ("on70", "shift30"),
        ("on70 shift10", None),  # a shorter silence is over: something has to happen here
        ("shift30", "on62"),  # higher notes and later ones come after it
        ("shift30 on61", "on62"),
        ("shift30 velocity5", None),  # it obliges to another note first
        ("shift30 on62 shift10", "velocity10"),
        ("shift30 on62 shift10 velocity10", "on66"),
        ("on70 shift30 on62 shift10 velocity10 on66", "shift10"),  # 70 has to end with the gap
        ("on70 shift30 on62 shift10 velocity10 on66 shift10", "off70"),
    ],
)
def test_what_stands_for_all_that_comes_after_it(written, word):
    piece = PLAIN.given(piece_of(PLAIN, RINGING), 500, 1000)
    begun = ids_of(PLAIN, f"bos velocity20 on60 shift50 off60 {written}")
    state = PLAIN.grammar.trajectory(begun)[-1:]
    PLAIN.grammar.advance(state, begun[-1:])
    wanted = NONE if word is None else int(ids_of(PLAIN, word)[0])
    assert piece.latest(state, piece.mask(state)).tolist() == [wanted]
