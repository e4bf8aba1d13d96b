"""What stays of a performance while a gap of it is written anew: literal events, and properties of many pieces and gaps."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.score.score import NOTE_DTYPE, PEDAL_DTYPE, Score, Track, sorted_notes, table

PLAIN, PEDALS = (codecs.build("performance", pedals=pedals) for pedals in (False, True))
NAMES = {"on": "NOTE_ON", "off": "NOTE_OFF", "shift": "TIME_SHIFT", "velocity": "VELOCITY"} | {
    "down": "PEDAL_DOWN",
    "up": "PEDAL_UP",
    "bos": "BOS",
    "eos": "EOS",
}
MANY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # they are functions without a state
)


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


# Properties


@st.composite
def pieces(draw):
    """A codec, and a Score of a few keys that are struck again and again, with pedals where they are kept."""
    codec, longest = draw(st.sampled_from([PLAIN, PEDALS])), draw(st.sampled_from([6, 40, 400]))
    step = st.integers(0, longest)
    note = st.tuples(step, st.integers(1, longest), st.integers(59, 63), st.sampled_from([40, 44, 80]))
    rows = draw(st.lists(note, min_size=1, max_size=10))
    first = min(onset for onset, *_ in rows)
    pedals = sorted(draw(st.sets(step, max_size=6)))[: None if codec is PEDALS else 0]
    return codec, score_of([(onset - first, *others) for onset, *others in rows], pedals[: len(pedals) // 2 * 2])


def score_of(rows, pedals=()):
    """A Score of rows (onset, duration, pitch, velocity) and changes of the pedal, down first, in steps of 10 ms."""
    onset, duration, pitch, velocity = np.array(rows).T
    notes = sorted_notes(table(NOTE_DTYPE, onset * 10, duration * 10, pitch, velocity, 0))
    changes = table(PEDAL_DTYPE, np.array(pedals, np.int64) * 10, 0, np.arange(len(pedals)) % 2 == 0)
    return Score(notes, (Track(),), pedals=changes, ticks_per_quarter=500)


def sounds(score):
    """(onset, end, pitch, velocity) of all notes and, as notes of pitch 128, when the pedal is down; in ticks."""
    rows = [(n["onset_tick"], n["onset_tick"] + n["duration_tick"], n["pitch"], n["velocity"]) for n in score.notes]
    ticks = score.pedals["tick"]
    return {
        (int(a), int(b), int(c), int(d)) for a, b, c, d in [*rows, *((*pair, 128, 0) for pair in ticks.reshape(-1, 2))]
    }


def outside(score, gap):
    """Those that sound outside the gap."""
    return {row for row in sounds(score) if row[0] < gap[0] or row[1] > gap[1]}


def end_of(score):
    return max(row[1] for row in sounds(score))


@st.composite
def gaps(draw, end):
    """A gap of a piece that ends at this tick: at its beginning, its end, all of it, one step, or anywhere."""
    at, until = draw(st.integers(0, end - 1)), draw(st.integers(1, end))
    anywhere = st.just((min(at, until - 1), max(at + 1, until)))
    special = [(0, end), (0, until), (at, end), (at, end + 70), (at // 10 * 10, at // 10 * 10 + 10), (end - 10, end)]
    return draw(st.one_of(anywhere, st.sampled_from(special)))


def tastes(codec):
    """Weights of ids [B, V]: even; drawn to shifts, onsets, endings, the shortest and the longest shift; to few notes."""
    grammar, weights = codec.grammar, np.ones((7, len(codec.vocabulary)))
    weights[1, grammar.shifts] = weights[2, grammar.ons] = weights[3, grammar.offs] = 100
    weights[4, grammar.shifts.start], weights[5, grammar.shifts.stop - 1] = 3e4, 3e4
    weights[6, grammar.ons] = weights[6, grammar.velocities] = 1e-3
    return weights


@MANY
@given(pieces(), st.data(), st.integers(0, 2**32))
def test_what_sounds_outside_the_gap_comes_out_of_every_song(rewritten, accepts, piece, data, seed):
    codec, score = piece
    ids = codec.encode(score).astype(np.int64)
    score = codec.decode(ids)
    gap = data.draw(gaps(end_of(score)))
    known = codec.given(ids, *gap)
    assert ids[: len(known.prefix)].tolist() == known.prefix.tolist()
    assert accepts(codec, known, ids)
    for song in rewritten(codec, known, np.random.default_rng(seed), tastes(codec)):
        codec.grammar.check(song)
        result = codec.decode(song)
        assert outside(result, gap) == outside(score, gap)
        assert end_of(result) == end_of(score)
        assert codec.encode(result).tolist() == song.tolist()


@MANY
@given(pieces(), st.data())
def test_the_mask_lets_through_just_the_pieces_that_keep_what_is_given(accepts, piece, data):
    codec, score = piece
    ids = codec.encode(score)
    score = codec.decode(ids)
    end = end_of(score)
    gap = data.draw(gaps(end))
    other = codec.decode(codec.encode(changed(score, gap, data.draw)))
    keeps = outside(other, gap) == outside(score, gap) and end_of(other) == end
    assert accepts(codec, codec.given(ids, *gap), codec.encode(other)) == keeps


def changed(score, gap, draw):
    """The piece with other notes in the gap: some of those in it left out, some added; perhaps one of all changed."""
    notes = score.notes
    begins, ends = notes["onset_tick"] // 10, (notes["onset_tick"] + notes["duration_tick"]) // 10
    first, last = -(-gap[0] // 10), gap[1] // 10
    rows = [
        [a, b - a, pitch, velocity]
        for a, b, pitch, velocity in zip(begins, ends, notes["pitch"], notes["velocity"], strict=True)
        if a < first or b > last or draw(st.booleans())
    ]
    if first < last:
        bounds = st.tuples(st.integers(first, last - 1), st.integers(first + 1, last)).filter(lambda b: b[0] < b[1])
        new = draw(st.lists(st.tuples(bounds, st.integers(59, 64), st.sampled_from([40, 80, 100])), max_size=5))
        rows += [[a, b - a, pitch, velocity] for (a, b), pitch, velocity in new]
    if not rows or draw(st.integers(0, 3)) == 0:
        rows += [[0, 1, 60, 40]]
    if draw(st.integers(0, 3)) == 0:
        rows[draw(st.integers(0, len(rows) - 1))][draw(st.sampled_from([1, 2]))] += 1
    start = min(row[0] for row in rows)
    rebuilt = score_of([(onset - start, *others) for onset, *others in rows])
    return replace(rebuilt, pedals=score.pedals)


@pytest.mark.parametrize("seed", range(8))
def test_crowded_pieces_are_written_anew(rewritten, random_walk, seed):
    rng = np.random.default_rng(seed)
    codec = (PLAIN, PEDALS)[seed % 2]
    ids = random_walk(codec.grammar, rng, 60)  # dozens of keys sound at once
    score = codec.decode(ids)
    start, end = np.sort(rng.integers(0, end_of(score), 2)).tolist()
    gap = start, end + 30
    for song in rewritten(codec, codec.given(ids, *gap), rng, tastes(codec)):
        assert outside(codec.decode(song), gap) == outside(score, gap)


def test_a_mask_reads_each_row_for_itself(random_walk):
    rng = np.random.default_rng(0)
    ids = random_walk(PEDALS.grammar, rng, 200)
    state = PEDALS.grammar.trajectory(ids)[1:]
    end = end_of(PEDALS.decode(ids))
    piece = PEDALS.given(ids, end // 3, 2 * end // 3)
    mask = piece.mask(state)
    for k in range(0, len(state), 5):
        assert np.array_equal(piece.mask(state[k : k + 1])[0], mask[k])
