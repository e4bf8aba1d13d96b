"""Kinds of events: what each id is about in every encoding, and what it strikes."""

import pytest

from lstmusic.events import codec as codecs
from lstmusic.events.kinds import OTHER, PITCH, TIME, VELOCITY, event_kinds, struck_pitches
from lstmusic.events.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("encoding", "events"),
    [
        ("chorale", {"BOS": OTHER, "EOS": OTHER, "METER": OTHER, "KEY": OTHER, "TEMPO": OTHER}),
        ("chorale", {"HOLD": TIME, "REST": TIME, "POSITION": TIME, ("PITCH", 60): PITCH}),
        ("melody", {("DURATION", 12): TIME, ("PITCH", 60): PITCH, "KEY": OTHER}),
        ("metrical", {"PAD": OTHER, "BAR": TIME, "PROGRAM": PITCH, "DRUM": PITCH, ("VELOCITY", 3): VELOCITY}),
        ("performance", {"NOTE_ON": PITCH, "NOTE_OFF": TIME, ("TIME_SHIFT", 5): TIME, ("VELOCITY", 3): VELOCITY}),
        ("frames", {("KEY", 1): PITCH, ("FIRST", 0): PITCH, "EOS": OTHER}),
    ],
)
def test_what_an_event_is_about(encoding, events):
    vocabulary = codecs.build(encoding).vocabulary
    kinds = event_kinds(vocabulary)
    for event, kind in events.items():
        assert kinds[vocabulary.id(*([event] if isinstance(event, str) else event))] == kind, event


def test_what_miditoks_events_are_about():
    names = ("PAD", "Pitch", "Velocity", "Duration", "TimeShift", "NoteOff", "PitchDrum", "Tempo", "BPE")
    kinds = event_kinds(Vocabulary([(name, 0, 1) for name in names]))
    assert kinds[::2].tolist() == [OTHER, PITCH, VELOCITY, TIME, TIME, TIME, PITCH, OTHER, OTHER]


def test_drums_strike_no_pitch():
    vocabulary = codecs.build("metrical").vocabulary
    pitches = struck_pitches(vocabulary)
    assert pitches[vocabulary.id("PITCH", 60)] == 60
    assert set(pitches[vocabulary.slice_of("DRUM")]) == {-1}
