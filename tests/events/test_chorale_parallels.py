"""The ids by which a voice of a chorale moves in parallel fifths or octaves with one that has moved before it."""

from itertools import combinations

import numpy as np
import pytest

from lstmusic.evaluation import voice_leading
from lstmusic.events import chorale_grammar as g
from lstmusic.events import codec as codecs

HEADER = [g.VOCABULARY.id(*event) for event in (("METER", 0), ("POSITION", 0), ("TEMPO", 9), ("KEY", 24))]
SONGS = 8
REST, HOLD = None, -1


def id_of(pitch):
    return {REST: g.REST, HOLD: g.HOLD}[pitch] if pitch in (REST, HOLD) else g.VOCABULARY.id("PITCH", pitch)


def parallels(*steps):
    """The pitches that are parallels for the voice whose turn it is after these steps, the last one begun."""
    grammar = g.ChoraleGrammar()
    state = grammar.start(1)
    for value in [*HEADER, *(id_of(pitch) for step in steps for pitch in step)]:
        grammar.advance(state, np.array([value]))
    found = grammar.parallels(state)[0]
    assert not np.delete(found, np.r_[g.PITCHES]).any()
    return {g.VOCABULARY.event(value).value for value in np.flatnonzero(found)}


FIFTH = (67, 64, 60, 48)  # soprano and bass G4-C3, tenor and bass C4-C3


def test_a_fifth_is_not_followed_by_a_fifth():
    # From G4 to A4: the bass must not rise from C3 to a D, nor above the soprano to an E.
    assert parallels(FIFTH, (69, HOLD, HOLD)) == {50, 62, 76, 88}
    assert parallels(FIFTH, (65, HOLD, HOLD)) == {46, 34}  # down to F4: no lower Bb; a higher one is contrary motion


def test_an_octave_or_a_unison_is_not_followed_by_one():
    octave = (72, 69, 64, 48)
    assert parallels(octave, (74, HOLD, HOLD)) == {50, 62, 74, 86}
    assert parallels((67, 64, 60, 60), (HOLD, HOLD, 57)) == {57, 45, 33}
    assert parallels(octave, (71, HOLD, HOLD)) == {47, 35}


def test_every_voice_that_has_moved_counts():
    chord = (72, 69, 65, 62)
    assert parallels(chord, (74, 71)) == {67, 81, 93}  # the tenor was a fifth under the soprano
    assert parallels(chord, (74, 71, HOLD)) == {64, 78, 90}  # the bass was one under the alto
    assert parallels((72, 69, 65, 50), (74, 71, 67)) == {52, 64, 78, 90}  # a twelfth


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([FIFTH], id="nobody has moved in this step"),
        pytest.param([FIFTH, (69, HOLD, HOLD, HOLD)], id="the soprano moved in the step before: her own turn"),
        pytest.param([FIFTH, (69, HOLD, HOLD, HOLD), (HOLD, HOLD, HOLD)], id="and the bass's turn"),
        pytest.param([FIFTH, (HOLD, HOLD, HOLD)], id="the soprano holds"),
        pytest.param([FIFTH, (67, HOLD, HOLD)], id="she sings G4 again"),
        pytest.param([FIFTH, (79, HOLD, HOLD)], id="she leaps an octave"),
        pytest.param([FIFTH, (REST, HOLD, HOLD)], id="she falls silent"),
        pytest.param([(REST, 64, 60, 48), (67, HOLD, HOLD)], id="she was silent"),
        pytest.param([(67, 64, 60, REST), (69, HOLD, HOLD)], id="the bass was silent"),
        pytest.param([(67, 64, 60, 48), (69, HOLD, HOLD, REST), (71, HOLD, HOLD)], id="a rest between"),
        pytest.param([(66, 64, 60, 48), (69, HOLD, HOLD)], id="a tritone before"),
    ],
)
def test_what_is_no_parallel(steps):
    assert parallels(*steps) == set()


def walks(rng, draw, *, without_parallels):
    """Songs of four restless voices on few pitches, int64 [B, N]: legal, and with parallels if these are not left out."""
    grammar = g.ChoraleGrammar()
    state, written = grammar.start(SONGS), []
    few = np.ones(len(g.VOCABULARY), bool)
    few[g.PITCHES], few[g.EOS] = False, False
    for pitch in (48, 50, 52, 55, 57, 60, 62, 64, 67):
        few[g.VOCABULARY.id("PITCH", pitch)] = True
    for _ in range(4 * 60):
        mask = grammar.allowed(state) & few
        if without_parallels:
            mask &= ~grammar.parallels(state)
        written.append(draw(rng, g.VOCABULARY, mask, by_kind=False))
        grammar.advance(state, written[-1])
    end = np.full((SONGS, g.GROUP_SIZE), g.EOS)
    return np.c_[np.tile(grammar.bos(), (SONGS, 1)), np.array(written).T, end]


def test_songs_without_these_ids_have_no_parallels(draw):
    codec = codecs.build("chorale")
    faults = voice_leading.parallel_fifths, voice_leading.parallel_octaves
    for without_parallels in (False, True):
        songs = walks(np.random.default_rng(0), draw, without_parallels=without_parallels)
        assert all(codec.grammar.legal(ids).all() for ids in songs)
        found = np.array([[fault(codec.decode(ids)) for fault in faults] for ids in songs])
        assert (found == 0).all() if without_parallels else (found.sum(axis=1) > 10).all(), found


def faulty_moves(ids):
    """Brute force: the places in a piece at which a voice comes to be parallel with a voice above it in the order."""
    sounding, places = [None] * 4, set()
    for at in range(8, len(ids) - 4, 4):
        after = list(sounding)
        for voice, value in enumerate(ids[at : at + 4]):
            kind, pitch = g.VOCABULARY.event(int(value))
            after[voice] = {"HOLD": sounding[voice], "REST": None}.get(kind, pitch)
        for first, second in combinations(range(4), 2):
            a, b, c, d = sounding[first], after[first], sounding[second], after[second]
            if None in (a, b, c, d) or (b - a) % 12 == 0 or (d - c) % 12 == 0 or (b > a) != (d > c):
                continue
            if abs(a - c) % 12 == abs(b - d) % 12 and abs(a - c) % 12 in (0, 7):
                places.add(at + second)
        sounding = after
    return places


def test_the_ids_are_those_of_parallels_and_no_others(draw):
    grammar = g.ChoraleGrammar()
    for ids in walks(np.random.default_rng(1), draw, without_parallels=False):
        told = np.take_along_axis(grammar.parallels(grammar.trajectory(ids)), ids[:, None], axis=1)[:, 0]
        assert set(np.flatnonzero(told).tolist()) == faulty_moves(ids) != set()


def test_told_in_every_shape_and_of_voices_only(codec, random_walk):
    grammar = codec.grammar
    states = grammar.trajectory(random_walk(grammar, np.random.default_rng(3), 40))
    told = grammar.parallels(states)
    assert told.dtype == bool and told.shape == (len(states), len(codec.vocabulary))
    assert np.array_equal(grammar.parallels(states.reshape(-1, codec.group_size)).reshape(told.shape), told)
    assert all(np.array_equal(grammar.parallels(states[k]), told[k]) for k in range(0, len(states), 7))
    assert len(grammar.voices) > 1 or not told.any()
