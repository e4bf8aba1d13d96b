"""What kind of event each id of a vocabulary is, and which pitch it strikes, in whatever encoding."""

from __future__ import annotations

import numpy as np

from lstmusic.events.conditions import NOTE_KINDS
from lstmusic.events.frames_grammar import FRAME_KINDS
from lstmusic.events.vocabulary import Vocabulary

OTHER, PITCH, TIME, VELOCITY = range(4)  # kinds of event
# By the names of our own vocabularies and of MidiTok's; everything else is OTHER
KIND_NAMES = {
    PITCH: (
        *("PITCH", "NOTE_ON", "DRUM", "PROGRAM", "FIRST"),
        *("Pitch", "PitchDrum", "PitchIntervalTime", "PitchIntervalChord", "NoteOn", "DrumOn", "Chord", "Program"),
    ),
    TIME: (
        *("HOLD", "REST", "DURATION", "TIME_SHIFT", "POSITION", "BAR", "NOTE_OFF", "PEDAL_DOWN", "PEDAL_UP"),
        *("TimeShift", "Rest", "Duration", "Position", "Bar", "NoteOff", "DrumOff", "Pedal", "PedalOff", "Pattern"),
    ),
    VELOCITY: ("VELOCITY", "Velocity"),
}
NO_PITCH = -1


def event_kinds(vocabulary: Vocabulary) -> np.ndarray:
    """What each id is about, int8 [V]: OTHER, PITCH, TIME or VELOCITY."""
    kinds = np.full(len(vocabulary), OTHER, np.int8)
    present = {r.kind for r in vocabulary.ranges}
    for kind, names in KIND_NAMES.items():
        for name in present.intersection(names):
            kinds[vocabulary.slice_of(name)] = kind
    if present.issuperset(FRAME_KINDS):  # a piano's keys: elsewhere KEY is a piece's
        kinds[vocabulary.slice_of("KEY")] = PITCH
    return kinds


def struck_pitches(vocabulary: Vocabulary) -> np.ndarray:
    """The MIDI pitch that each id strikes, int16 [V]; NO_PITCH where it strikes none, or a drum."""
    pitches = np.full(len(vocabulary), NO_PITCH, np.int16)
    for kind, low, high in vocabulary.ranges:
        if kind in NOTE_KINDS:
            pitches[vocabulary.slice_of(kind)] = np.arange(low, high + 1)
    return pitches
