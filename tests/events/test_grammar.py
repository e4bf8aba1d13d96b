"""The state machines: stepwise equals whole, no dead ends, every ending within reach."""

import numpy as np
import pytest

from lstmusic.events import chorale_grammar, performance_grammar
from lstmusic.events import codec as codecs

WALKS = 12


def stepwise(grammar, ids):
    """The state before each id, one `advance` at a time."""
    state, group = grammar.start(1), grammar.group_size
    states = [state.copy() for _ in range(group)]
    for token in ids[group:]:
        states.append(state.copy())
        grammar.advance(state, np.array([token]))
    return np.concatenate(states), state


def pieces(codec, phrase, random_walk):
    """Legal ids of every kind: encoded music and random walks."""
    walks = [random_walk(codec.grammar, np.random.default_rng(seed), 40 + 10 * seed) for seed in range(WALKS)]
    return [codec.encode(phrase(2, seed)).astype(np.int64) for seed in range(3)] + walks


def test_stepwise_equals_the_whole_trajectory_in_every_field(codec, phrase, random_walk):
    for ids in pieces(codec, phrase, random_walk):
        one_by_one, last = stepwise(codec.grammar, ids)
        at_once = codec.grammar.trajectory(ids)
        assert at_once.dtype == one_by_one.dtype
        for name in at_once.dtype.names:
            assert np.array_equal(at_once[name], one_by_one[name]), name
        assert codec.grammar.finished(last).all()
        assert not codec.grammar.finished(at_once).any()


def test_rows_of_a_batch_do_not_touch_each_other(codec, random_walk):
    walks = [random_walk(codec.grammar, np.random.default_rng(seed), 30) for seed in range(4)]
    length = min(len(walk) for walk in walks)
    state = codec.grammar.start(4)
    for k in range(codec.group_size, length):
        for b, walk in enumerate(walks):
            assert np.array_equal(state[b], codec.grammar.trajectory(walk)[k]), (b, k)
        codec.grammar.advance(state, np.array([walk[k] for walk in walks]))


def test_allowed_features_and_length_agree_in_every_shape(codec, phrase):
    grammar, ids = codec.grammar, codec.encode(phrase())
    state = grammar.trajectory(ids)
    grouped = state.reshape(-1, codec.group_size)
    allowed, features, closing = grammar.allowed(state), grammar.features(state), grammar.closing(state)
    assert np.array_equal(grammar.allowed(grouped).reshape(allowed.shape), allowed)
    assert np.array_equal(grammar.closing(grouped).reshape(allowed.shape), closing)
    for part, wide in zip(features, grammar.features(grouped), strict=True):
        assert np.array_equal(wide.reshape(part.shape), part)
    for k in range(0, len(state), 7):
        assert np.array_equal(grammar.allowed(state[k]), allowed[k])
        assert np.array_equal(grammar.features(state[k]).columns, features.columns[k])
    bars, seconds = grammar.length(state)
    assert bars.shape == seconds.shape == state.shape
    assert not np.shares_memory(bars, state)  # `advance` works in place
    assert not np.shares_memory(seconds, state)


def test_what_is_permitted_is_what_is_allowed(codec, random_walk):
    grammar = codec.grammar
    for seed in range(3):
        states = grammar.trajectory(random_walk(grammar, np.random.default_rng(seed), 40))[grammar.group_size :]
        allowed = grammar.allowed(states)
        every = np.broadcast_to(np.arange(len(grammar.vocabulary)), allowed.shape)
        permitted = grammar.permits(np.repeat(states, allowed.shape[1]), every.ravel())
        assert np.array_equal(permitted.reshape(allowed.shape), allowed)


def test_features_stay_within_their_sizes(codec, phrase, random_walk):
    for ids in pieces(codec, phrase, random_walk):
        context = codec.grammar.features(codec.grammar.trajectory(ids))
        sizes = np.array(list(codec.grammar.feature_sizes.values()))
        assert context.columns.shape == (len(ids), len(sizes))
        assert (context.columns >= 0).all()
        assert (context.columns < sizes).all()
        assert context.flags.shape == (len(ids), codec.grammar.num_flags)


def test_random_walks_are_legal_hold_notes_and_decode_without_repair(codec, random_walk):
    for seed in range(WALKS):
        ids = random_walk(codec.grammar, np.random.default_rng(seed), 20 * (seed % 4) + 2)
        codec.grammar.check(ids)
        notes = codec.decode(ids).notes
        assert len(notes) == codec.num_notes(ids) >= 1
        assert (ids[-codec.group_size :] == codec.vocabulary.id("EOS")).all()


@pytest.mark.parametrize(
    "codec",
    [
        codecs.build("performance"),
        codecs.build("performance", pedals=True),
        codecs.build("metrical"),
        codecs.build("metrical", grouped=False),
    ],
    ids=["performance", "pedals", "metrical", "flat"],
)
def test_random_walks_encode_to_themselves(codec, random_walk):
    for seed in range(WALKS):
        ids = random_walk(codec.grammar, np.random.default_rng(seed), 120)
        assert codec.encode(codec.decode(ids)).tolist() == ids.tolist()


@pytest.mark.parametrize("strikes", [True, False])
def test_random_walks_of_chorales_encode_to_themselves_but_for_silence_around(random_walk, strikes):
    codec = codecs.build("chorale", strikes=strikes)
    for seed in range(WALKS):
        ids = random_walk(codec.grammar, np.random.default_rng(seed), 60)
        notes = codec.decode(ids).notes
        again = codec.decode(codec.encode(codec.decode(ids)))
        assert again.notes["pitch"].tolist() == notes["pitch"].tolist()
        assert again.notes["duration_tick"].tolist() == notes["duration_tick"].tolist()
        assert again.notes["track"].tolist() == notes["track"].tolist()
        assert len(set((notes["onset_tick"] - again.notes["onset_tick"]).tolist())) == 1


def test_closing_is_a_subset_of_allowed_and_ends_from_everywhere(codec, phrase, random_walk):
    longest = 0
    for ids in pieces(codec, phrase, random_walk):
        states = codec.grammar.trajectory(ids)
        closing = codec.grammar.closing(states)
        assert closing.any(axis=-1).all()
        assert not (closing & ~codec.grammar.allowed(states)).any()
        rng = np.random.default_rng(len(ids))
        state, written = states.copy(), 0
        while not codec.grammar.finished(state).all():
            mask = codec.grammar.closing(state)
            draws = np.where(mask, rng.random(mask.shape), -1).argmax(axis=-1)
            codec.grammar.advance(state, draws)
            written += 1
            assert written <= max(140, 40 * codec.group_size)
        longest = max(longest, written)
    assert longest >= codec.group_size


def test_closing_ends_even_when_only_the_worst_is_chosen(codec):
    """A model that would never stop: always the last id that closing leaves, then always the first."""
    for pick in (np.argmax, lambda mask: len(mask) - 1 - np.argmax(mask[::-1])):
        state, written = codec.grammar.start(1), 0
        while not codec.grammar.finished(state)[0]:
            codec.grammar.advance(state, np.array([pick(codec.grammar.closing(state)[0])]))
            written += 1
            assert written <= max(16, 5 * codec.group_size)


def test_a_silence_of_many_shifts_closes_with_one_note():
    grammar = performance_grammar.PerformanceGrammar()
    ids = [
        grammar.vocabulary.id(*event)
        for event in (("VELOCITY", 9), ("NOTE_ON", 60), ("TIME_SHIFT", 1), ("NOTE_OFF", 60))
    ]
    state = grammar.start(1)
    for token in (*ids, *[grammar.vocabulary.id("TIME_SHIFT", 100)] * 3):
        grammar.advance(state, np.array([token]))
    kinds = {grammar.vocabulary.event(i).kind for i in np.flatnonzero(grammar.closing(state)[0])}
    assert kinds == {"NOTE_ON", "VELOCITY"}


def kinds_allowed(grammar, events):
    """The kinds of event that may follow these."""
    state = grammar.start(1)
    for event in events:
        grammar.advance(state, np.array([grammar.vocabulary.id(*event)]))
    return {grammar.vocabulary.event(i).kind for i in np.flatnonzero(grammar.allowed(state)[0])}


NOTE = [("VELOCITY", 9), ("NOTE_ON", 60)]


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        ([], {"VELOCITY"}),
        (NOTE[:1], {"NOTE_ON"}),
        (NOTE, {"NOTE_ON", "VELOCITY", "TIME_SHIFT"}),
        ([*NOTE, ("TIME_SHIFT", 5)], {"NOTE_ON", "NOTE_OFF", "VELOCITY"}),
        ([*NOTE, ("TIME_SHIFT", 100)], {"NOTE_ON", "NOTE_OFF", "VELOCITY", "TIME_SHIFT"}),
        ([*NOTE, ("TIME_SHIFT", 5), ("NOTE_OFF", 60)], {"NOTE_ON", "VELOCITY", "TIME_SHIFT", "EOS"}),
        ([*NOTE, ("TIME_SHIFT", 5), ("NOTE_OFF", 60), ("TIME_SHIFT", 5)], {"NOTE_ON", "VELOCITY"}),
        ([*NOTE, ("TIME_SHIFT", 5), ("NOTE_OFF", 60), ("NOTE_ON", 60)], {"NOTE_ON", "VELOCITY", "TIME_SHIFT"}),
        ([*NOTE, ("TIME_SHIFT", 5), ("NOTE_OFF", 60), ("EOS", 0)], {"EOS"}),
    ],
)
def test_what_may_follow_in_a_performance(events, kinds):
    assert kinds_allowed(performance_grammar.PerformanceGrammar(), events) == kinds


HEADER = [("METER", 0), ("POSITION", 0), ("TEMPO", 9), ("KEY", 24)]
HOLDS = [("HOLD", 0)] * 4


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        ([], {"METER"}),
        (HEADER[:1], {"POSITION"}),
        (HEADER[:2], {"TEMPO"}),
        (HEADER[:3], {"KEY"}),
        (HEADER, {"HOLD", "PITCH"}),
        ([*HEADER, *HOLDS], {"HOLD", "PITCH"}),
        ([*HEADER, ("PITCH", 60)], {"HOLD", "PITCH"}),
        ([*HEADER, ("PITCH", 60), *HOLDS[:3]], {"HOLD", "PITCH", "REST", "EOS"}),
        ([*HEADER, ("PITCH", 60), *HOLDS[:3], ("REST", 0), *HOLDS[:3]], {"HOLD", "PITCH", "EOS"}),
        ([*HEADER, ("PITCH", 60), *HOLDS[:3], ("EOS", 0)], {"EOS"}),
        ([*HEADER, ("PITCH", 60), *HOLDS[:3], *[("EOS", 0)] * 4], {"EOS"}),
    ],
)
def test_what_may_follow_in_a_chorale(events, kinds):
    assert kinds_allowed(chorale_grammar.ChoraleGrammar(), events) == kinds


def test_a_position_lies_within_its_bar():
    grammar = chorale_grammar.ChoraleGrammar()
    for index, steps in enumerate(chorale_grammar.BAR_STEPS):
        state = grammar.start(1)
        grammar.advance(state, np.array([grammar.vocabulary.id("METER", index)]))
        assert grammar.allowed(state).sum() == steps


def test_without_strikes_the_sounding_pitch_cannot_be_struck():
    for strikes in (True, False):
        grammar = chorale_grammar.ChoraleGrammar(strikes)
        state = grammar.start(1)
        for event in [*HEADER, ("PITCH", 60), *HOLDS[:3]]:
            grammar.advance(state, np.array([grammar.vocabulary.id(*event)]))
        assert grammar.allowed(state)[0, grammar.vocabulary.id("PITCH", 60)] == strikes
        assert grammar.allowed(state)[0, grammar.vocabulary.id("PITCH", 61)]


def test_length_counts_bars_and_seconds(codec, score_of):
    ids = codec.encode(score_of([(1920 * bar, 1920, 60, 80, 0) for bar in range(3)], qpm=120))
    bars, seconds = codec.grammar.length(codec.grammar.trajectory(ids)[-1])
    assert bars == 3
    assert seconds == pytest.approx(6.0, rel=0.02)
