"""Properties of what is given of a performance: many pieces, gaps and songs that are written in them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.events import codec as codecs
from lstmusic.score.score import NOTE_DTYPE, PEDAL_DTYPE, Score, Track, sorted_notes, table

PLAIN, PEDALS = (codecs.build("performance", pedals=pedals) for pedals in (False, True))
MANY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # they are functions without a state
)


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
