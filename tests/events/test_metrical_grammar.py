"""The metrical state machine: what may follow what, in both forms."""

import numpy as np
import pytest

from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.metrical_grammar import MetricalGrammar

GROUPED, FLAT = MetricalGrammar(), MetricalGrammar(grouped=False)
WALTZ = v.METERS.index((3, 4))
PADS = [("PAD", 0)] * 3
BAR = [("BAR", 0), ("METER", WALTZ), ("KEY", 1)]
TEMPO = [("POSITION", 0), ("TEMPO", 120)]
NOTE = [("PROGRAM", 40), ("PITCH", 60), ("DURATION", 11), ("VELOCITY", 20)]
FLAT_START, GROUPED_START = BAR + TEMPO, BAR + PADS[:2] + TEMPO + PADS


def after(grammar, events):
    """The state after these events."""
    state = grammar.start(1)
    for event in events:
        id_ = grammar.vocabulary.id(*event)
        assert grammar.allowed(state)[0, id_], event
        grammar.advance(state, np.array([id_]))
    return state


def allowed_values(grammar, events, kind):
    """The values of a kind that may follow these events."""
    ids = np.flatnonzero(grammar.allowed(after(grammar, events))[0])
    return {e.value for e in map(grammar.vocabulary.event, ids) if e.kind == kind}


@pytest.mark.parametrize(
    ("grammar", "events", "kinds"),
    [
        (FLAT, [], {"BAR"}),
        (FLAT, BAR[:1], {"METER"}),
        (FLAT, BAR[:2], {"KEY"}),
        (FLAT, BAR, {"POSITION"}),
        (FLAT, BAR + TEMPO[:1], {"TEMPO"}),
        (FLAT, FLAT_START, {"POSITION", "PROGRAM"}),
        (FLAT, FLAT_START + NOTE[:1], {"PITCH"}),
        (FLAT, [*FLAT_START, ("PROGRAM", 128)], {"DRUM"}),
        (FLAT, FLAT_START + NOTE[:2], {"DURATION"}),
        (FLAT, FLAT_START + NOTE[:3], {"VELOCITY"}),
        (FLAT, FLAT_START + NOTE, {"BAR", "POSITION", "PROGRAM", "PITCH"}),
        (FLAT, [*FLAT_START, *NOTE, ("POSITION", 6)], {"TEMPO", "PROGRAM", "PITCH"}),
        (FLAT, [*FLAT_START, *NOTE, *BAR], {"EOS", "BAR", "POSITION"}),
        (FLAT, [*FLAT_START, *NOTE, *BAR, *BAR], {"BAR", "POSITION"}),
        (FLAT, [*FLAT_START, *NOTE, *BAR, ("POSITION", 6), ("TEMPO", 90)], {"BAR", "POSITION", "PROGRAM", "PITCH"}),
        (FLAT, [*FLAT_START, *NOTE, *BAR, ("EOS", 0)], {"EOS"}),
        (GROUPED, BAR, {"PAD"}),
        (GROUPED, BAR + PADS[:2], {"POSITION"}),
        (GROUPED, BAR + PADS[:2] + TEMPO, {"PAD"}),
        (GROUPED, GROUPED_START, {"POSITION"}),
        (GROUPED, [*GROUPED_START, ("POSITION", 0)], {"PROGRAM"}),
        (GROUPED, [*GROUPED_START, ("POSITION", 6)], {"TEMPO", "PROGRAM"}),
        (GROUPED, [*GROUPED_START, ("POSITION", 0), *NOTE], {"BAR", "POSITION"}),
        (GROUPED, [*GROUPED_START, ("POSITION", 0), *NOTE, *BAR, *PADS[:2]], {"BAR", "POSITION", "EOS"}),
        (GROUPED, [*GROUPED_START, ("POSITION", 0), *NOTE, *BAR, *PADS[:2], ("EOS", 0)], {"EOS"}),
    ],
)
def test_what_may_follow(grammar, events, kinds):
    mask = grammar.allowed(after(grammar, events))[0]
    assert {grammar.vocabulary.event(i).kind for i in np.flatnonzero(mask)} == kinds


def test_positions_rise_within_their_bar():
    assert allowed_values(FLAT, BAR, "POSITION") == set(range(36))
    assert allowed_values(FLAT, FLAT_START, "POSITION") == set(range(1, 36))
    assert allowed_values(GROUPED, GROUPED_START, "POSITION") == set(range(36))


def test_a_tempo_changes_and_a_key_stays_known():
    later = [*FLAT_START, *NOTE, ("POSITION", 6)]
    assert allowed_values(FLAT, later, "TEMPO") == set(range(16, 321)) - {120}
    assert allowed_values(FLAT, [*FLAT_START, *NOTE, *BAR[:2]], "KEY") == set(range(1, 25))
    assert allowed_values(FLAT, BAR[:2], "KEY") == set(range(25))


@pytest.mark.parametrize(("grammar", "again"), [(FLAT, []), (GROUPED, [("POSITION", 0), ("PROGRAM", 40)])])
def test_notes_at_one_position_rise(grammar, again):
    start = FLAT_START if grammar is FLAT else [*GROUPED_START, ("POSITION", 0)]
    lowest_program = 41 if grammar is FLAT else 40
    assert min(allowed_values(grammar, start + NOTE + again[:1], "PROGRAM")) == lowest_program
    assert min(allowed_values(grammar, start + NOTE + again, "PITCH")) == 60
    assert min(allowed_values(grammar, [*start, *NOTE, *again, ("PITCH", 60)], "DURATION")) == 11
    assert min(allowed_values(grammar, [*start, *NOTE, *again, ("PITCH", 61)], "DURATION")) == 0
    equal = [*start, *NOTE, *again, ("PITCH", 60), ("DURATION", 11)]
    assert min(allowed_values(grammar, equal, "VELOCITY")) == 20
    higher = [*again[:-1], ("PROGRAM", 41)]
    assert min(allowed_values(grammar, [*start, *NOTE, *higher], "PITCH")) == 0


def test_closing_ends_the_bar_and_keeps_its_meter_and_key():
    state = after(FLAT, FLAT_START + NOTE)
    written = []
    while not FLAT.finished(state)[0]:
        (choice,) = np.flatnonzero(FLAT.closing(state)[0])
        written.append(tuple(FLAT.vocabulary.event(choice)))
        FLAT.advance(state, np.array([choice]))
    assert written == [*BAR, ("EOS", 0)]


def test_the_state_tells_what_sounds_and_where_it_is():
    state = after(FLAT, [*FLAT_START, *NOTE, ("PROGRAM", 128), ("DRUM", 38), *NOTE[2:], ("POSITION", 6)])
    columns, flags = FLAT.features(state)
    told = dict(zip(FLAT.feature_sizes, columns[0].tolist(), strict=True))
    assert np.flatnonzero(flags[0]).tolist() == [60]  # drums do not sound on
    assert (told["position"], told["step_of_quarter"], told["polyphony"], told["count"]) == (7, 7, 1, 0)
    FLAT.advance(state, np.array([FLAT.vocabulary.id("TEMPO", 60)]))
    FLAT.advance(state, np.array([FLAT.vocabulary.id("POSITION", 12)]))
    assert not FLAT.features(state).flags.any()
    bars, seconds = FLAT.length(state)
    assert bars[0] == pytest.approx(12 / 36)
    assert seconds[0] == pytest.approx(0.25 + 0.5)
