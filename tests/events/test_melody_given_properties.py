"""Properties of what is given of a tune: many tunes, gaps and songs that are written in them."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.events import codec as codecs
from lstmusic.events import melody_vocabulary as v
from lstmusic.events.melody import TICKS_PER_STEP
from lstmusic.score.score import KEY_DTYPE, METER_DTYPE, NOTE_DTYPE, Score, Track, sorted_notes, table

CODEC = codecs.build("melody")
MANY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # they are functions without a state
)


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
