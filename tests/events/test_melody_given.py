"""What stays of a tune while a gap of it is written anew: literal groups, and properties of many tunes and gaps."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.events import melody_vocabulary as v
from lstmusic.events.melody import TICKS_PER_STEP
from lstmusic.score.score import KEY_DTYPE, METER_DTYPE, NOTE_DTYPE, Score, Track, sorted_notes, table

CODEC = codecs.build("melody")
HEADER = "METER0 KEY24 TEMPO120 POSITION0"
MANY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # they are functions without a state
)
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


# Properties


@st.composite
def tunes(draw):
    """A Score of notes and rests, short or longer than the longest DURATION, in which meters and keys change."""
    longest = draw(st.sampled_from([4, 24, 230]))
    lasting = st.tuples(st.integers(1, longest), st.integers(0, longest) | st.just(0), st.integers(60, 63))
    rows, step = [], 0
    for lasts, rest, pitch in draw(st.lists(lasting, min_size=1, max_size=6)):
        rows.append((step, lasts, pitch))
        step += lasts + rest
    places = st.integers(0, step)
    meters = draw(st.dictionaries(places, st.sampled_from([(3, 4), (6, 8)]), max_size=2))
    keys = draw(st.dictionaries(places, st.integers(0, 11), max_size=3))
    return score_of(rows, sorted(({0: (4, 4)} | meters).items()), sorted(keys.items()))


def score_of(rows, meters=((0, (4, 4)),), keys=()):
    """A Score of rows (onset, duration, pitch); steps."""
    onset, lasts, pitch = np.array(rows).T
    meter_rows = np.array([(step * TICKS_PER_STEP, *meter) for step, meter in meters]).T
    key_rows = np.array([(step * TICKS_PER_STEP, tonic) for step, tonic in keys]).reshape(-1, 2).T
    return Score(
        sorted_notes(table(NOTE_DTYPE, onset * TICKS_PER_STEP, lasts * TICKS_PER_STEP, pitch, 80, 0)),
        (Track(),),
        meters=table(METER_DTYPE, *meter_rows),
        keys=table(KEY_DTYPE, *key_rows, False),
    )


def sounds(score):
    """(onset, end, pitch, velocity) of all notes, in ticks."""
    notes = score.notes
    return list(
        zip(
            notes["onset_tick"],
            notes["onset_tick"] + notes["duration_tick"],
            notes["pitch"],
            notes["velocity"],
            strict=True,
        )
    )


def outside(score, gap):
    """Those that sound outside the gap."""
    return [row for row in sounds(score) if row[0] < gap[0] or row[1] > gap[1]]


def changes(ids):
    """Where meters and keys are named, in steps, and which."""
    at = np.flatnonzero(v.VOCABULARY.is_kind("METER", ids))
    step = CODEC.grammar.trajectory(ids)["step"][at]
    return list(zip(step.tolist(), ids[at].tolist(), ids[at + 1].tolist(), strict=True))


@st.composite
def gaps(draw, end):
    """A gap of a tune that ends at this tick: at its beginning, its end, all of it, one step, or anywhere."""
    at, until = draw(st.integers(0, end - 1)), draw(st.integers(1, end))
    anywhere = (min(at, until - 1), max(at + 1, until))
    step = at // TICKS_PER_STEP * TICKS_PER_STEP
    special = [(0, end), (0, until), (at, end), (at, end + 70), (step, step + TICKS_PER_STEP), anywhere, anywhere]
    return draw(st.sampled_from([*special, (end - TICKS_PER_STEP, end)]))


def tastes():
    """Weights of ids [B, V]: even; drawn to notes, to rests, to holding on, to short durations, to the longest."""
    weights = np.ones((7, len(v.VOCABULARY)))
    shortest, longest = v.DURATIONS.start, v.DURATIONS.stop - 1
    weights[1, v.PITCHES], weights[2, v.REST_ID], weights[3, v.HOLD_ID] = 100, 1e4, 1e4
    weights[2:4, longest], weights[4, shortest], weights[5, longest] = 1e4, 300, 1e4
    weights[6, v.DURATIONS] = np.exp(-np.arange(v.MAX_DURATION) / 6)
    weights[6, v.REST_ID] = 100
    return weights


@MANY
@given(tunes(), st.data(), st.integers(0, 2**32))
def test_what_sounds_outside_the_gap_comes_out_of_every_song(rewritten, accepts, score, data, seed):
    ids = CODEC.encode(score).astype(np.int64)
    score = CODEC.decode(ids)
    gap = data.draw(gaps(int(sounds(score)[-1][1])))
    known = CODEC.given(ids, *gap)
    assert ids[: len(known.prefix)].tolist() == known.prefix.tolist()
    assert accepts(CODEC, known, ids)
    for song in rewritten(CODEC, known, np.random.default_rng(seed), tastes()):
        CODEC.grammar.check(song)
        result = CODEC.decode(song)
        assert outside(result, gap) == outside(score, gap)
        assert sounds(result)[-1][1] == sounds(score)[-1][1]
        assert song[:6].tolist() == ids[:6].tolist()
        assert changes(song) == changes(ids)
        assert CODEC.encode(result).tolist() == song.tolist()


@MANY
@given(tunes(), st.data())
def test_the_mask_lets_through_just_the_tunes_that_keep_what_is_given(accepts, score, data):
    ids = CODEC.encode(score).astype(np.int64)
    score = CODEC.decode(ids)
    end = int(sounds(score)[-1][1])
    gap = data.draw(gaps(end))
    other = changed(score, gap, data.draw)
    other_ids = CODEC.encode(other).astype(np.int64)
    other = CODEC.decode(other_ids)
    keeps = (
        outside(other, gap) == outside(score, gap)
        and sounds(other)[-1][1] == end
        and changes(other_ids) == changes(ids)
    )
    assert accepts(CODEC, CODEC.given(ids, *gap), other_ids) == keeps


def changed(score, gap, draw):
    """The tune with other notes in the gap: some of those in it left out, some added; perhaps one of all changed."""
    first, last = -(-gap[0] // TICKS_PER_STEP), gap[1] // TICKS_PER_STEP
    rows = [[int(a) // TICKS_PER_STEP, int(b - a) // TICKS_PER_STEP, int(pitch)] for a, b, pitch, _ in sounds(score)]
    rows = [row for row in rows if row[0] < first or sum(row[:2]) > last or draw(st.booleans())]
    if first < last:
        bounds = st.tuples(st.integers(first, last - 1), st.integers(first + 1, last)).filter(lambda b: b[0] < b[1])
        for (a, b), pitch in draw(st.lists(st.tuples(bounds, st.integers(60, 64)), max_size=4)):
            if all(b <= onset or onset + lasts <= a for onset, lasts, _ in rows):
                rows.append([a, b - a, pitch])
    if not rows or (rows[0][0] > 0 and draw(st.booleans())):
        rows = [[0, 1, 60], *(row for row in rows if row[0] > 0)]
    if draw(st.integers(0, 3)) == 0:
        rows[draw(st.integers(0, len(rows) - 1))][draw(st.sampled_from([1, 2]))] += 1
    rebuilt = score_of(rows)
    return Score(rebuilt.notes, (Track(),), tempi=score.tempi, meters=score.meters, keys=score.keys)


@pytest.mark.parametrize("seed", range(8))
def test_tunes_drawn_from_the_grammar_are_written_anew(rewritten, random_walk, seed):
    rng = np.random.default_rng(seed)
    ids = random_walk(CODEC.grammar, rng, 30)  # a change as often as a note or two
    score = CODEC.decode(ids)
    start, end = np.sort(rng.integers(0, sounds(score)[-1][1], 2)).tolist()
    gap = start, end + 60
    for song in rewritten(CODEC, CODEC.given(ids, *gap), rng, tastes()):
        assert outside(CODEC.decode(song), gap) == outside(score, gap)
        assert changes(song) == changes(ids)


def test_a_mask_reads_each_row_for_itself(random_walk):
    ids = random_walk(CODEC.grammar, np.random.default_rng(0), 60)
    state = CODEC.grammar.trajectory(ids)[2:]
    end = int(sounds(CODEC.decode(ids))[-1][1])
    piece = CODEC.given(ids, end // 3, 2 * end // 3)
    mask = piece.mask(state)
    for k in range(len(state)):
        assert np.array_equal(piece.mask(state[k : k + 1])[0], mask[k])
