"""How many notes sound together, known before the id comes; and whose turn it is."""

import numpy as np
import pytest

from lstmusic.events import codec as codecs
from lstmusic.events import metrical_vocabulary as v

SONGS = 8
KEYED = ("chorale", "canonical", "melody", "metrical", "flat", "performance", "pedals")
OPTIONS = {
    "canonical": ("chorale", {"strikes": False}),
    "flat": ("metrical", {"grouped": False}),
    "pedals": ("performance", {"pedals": True}),
}


def build(name):
    name, options = OPTIONS.get(name, (name, {}))
    return codecs.build(name, **options)


def most_at_once(score):
    """The most notes that sound at once, drums aside."""
    drum = np.array([track.drum for track in score.tracks], bool)
    notes = score.notes[~drum[score.notes["track"]]]
    start = notes["onset_tick"].astype(np.int64)
    sounds = (start <= start[:, None]) & (start + notes["duration_tick"] > start[:, None])  # at each onset
    return int(sounds.sum(axis=1).max(initial=0))


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize("name", KEYED)
def test_under_a_limit_no_more_notes_sound_and_some_id_is_always_left(draw, name, limit):
    codec = build(name)
    grammar, rng = codec.grammar, np.random.default_rng(limit)
    state, written = grammar.start(SONGS), []
    eos = codec.vocabulary.id("EOS")
    for _ in range(60 * max(grammar.group_size, 4)):
        mask = grammar.allowed(state) & (grammar.crowd(state) <= limit)
        mask[:, eos] &= mask.sum(axis=1) == 1  # go on for as long as one can
        written.append(draw(rng, codec.vocabulary, mask, by_kind=limit % 2 == 0))
        grammar.advance(state, written[-1])
    most = [most_at_once(codec.decode(np.r_[grammar.bos(), ids])) for ids in np.stack(written, axis=1)]
    assert max(most) == (1 if name == "melody" else limit)


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize("limit", [1, 2])
def test_under_a_limit_songs_still_end_where_they_are_to(draw, name, limit):
    codec = build(name)
    grammar, rng = codec.grammar, np.random.default_rng(limit)
    state, bars = grammar.start(SONGS), np.resize([1, 2, 3], SONGS)
    while not (full := grammar.full(state, left := bars - grammar.length(state)[0], np.inf)).all():
        mask = grammar.allowed(state) & grammar.within(state, left, np.inf) & (grammar.crowd(state) <= limit)
        ids = draw(rng, codec.vocabulary, np.where(full[:, None], grammar.closing(state), mask), by_kind=limit == 2)
        grammar.advance(state, ids)
    assert np.array_equal(grammar.length(state)[0], bars)


def test_told_in_every_shape_and_nothing_by_what_starts_no_note(codec, random_walk):
    grammar = codec.grammar
    state = grammar.trajectory(random_walk(grammar, np.random.default_rng(3), 40))
    told, voice = grammar.crowd(state), grammar.voice(state)
    shape = (-1, grammar.group_size)
    assert np.array_equal(grammar.crowd(state.reshape(shape)).reshape(told.shape), told)
    assert np.array_equal(grammar.voice(state.reshape(shape)).reshape(-1), voice)
    for k in range(0, len(state), 7):
        assert np.array_equal(grammar.crowd(state[k]), told[k])
    assert voice.shape == state.shape and voice.max() == len(grammar.voices) - 1
    silent = {
        "BOS",
        "EOS",
        "HOLD",
        "REST",
        "KEY",
        "BAR",
        "METER",
        "TEMPO",
        "TIME_SHIFT",
        "NOTE_OFF",
        "DURATION",
        "DRUM",
    }
    for kind in silent & {kind for kind, _, _ in codec.vocabulary.ranges}:
        assert not told[:, codec.vocabulary.slice_of(kind)].any(), kind


def after(codec, events):
    """What the ids tell after these events, int [V]."""
    grammar = codec.grammar
    state = grammar.start(1)
    for event in events:
        grammar.advance(state, np.array([grammar.vocabulary.id(*event)]))
    return grammar.crowd(state)[0]


def test_a_chorale_counts_the_other_voices_as_they_stand():
    codec = build("chorale")
    header = [("METER", 0), ("POSITION", 0), ("TEMPO", 9), ("KEY", 24)]
    chord = [("PITCH", p) for p in (72, 67, 60, 48)]
    pitch = codec.vocabulary.id("PITCH", 64)
    assert after(codec, header)[pitch] == 1
    assert after(codec, [*header, *chord[:2]])[pitch] == 3
    assert after(codec, [*header, *chord])[pitch] == 4
    assert after(codec, [*header, *chord, ("REST", 0), ("HOLD", 0)])[pitch] == 3
    assert codec.grammar.voices == ("Soprano", "Alto", "Tenor", "Bass")
    assert codec.grammar.voice(codec.grammar.trajectory(codec.vocabulary.ids("BOS", np.zeros(4)))).tolist() == [0] * 4


def test_in_a_performance_the_pedal_is_no_note_and_a_velocity_tells_of_its_onset():
    codec = build("pedals")
    told = after(codec, [("VELOCITY", 9), ("NOTE_ON", 60), ("NOTE_ON", 64), ("PEDAL_DOWN", 0)])
    for kind, value, together in (("NOTE_ON", 67, 3), ("VELOCITY", 3, 3), ("PEDAL_DOWN", 0, 0), ("TIME_SHIFT", 1, 0)):
        assert told[codec.vocabulary.id(kind, value)] == together


def test_in_metrical_music_a_position_tells_what_still_sounds_there():
    codec = build("metrical")
    pads = [("PAD", 0)] * 3
    bar = [("BAR", 0), ("METER", v.METERS.index((4, 4))), ("KEY", 0), *pads[:2]]
    tempo = [("POSITION", 0), ("TEMPO", 120), *pads]
    notes = [
        event
        for pitch, duration in ((60, 11), (64, 23))  # 12 and 24 steps
        for event in (("POSITION", 0), ("PROGRAM", 0), ("PITCH", pitch), ("DURATION", duration), ("VELOCITY", 9))
    ]
    kit = [("POSITION", 0), ("PROGRAM", v.DRUM_KIT), ("DRUM", 36), ("DURATION", 40), ("VELOCITY", 9)]
    told = after(codec, [*bar, *tempo, *notes, *kit])
    at = told[codec.vocabulary.slice_of("POSITION")]
    assert at[[0, 11, 12, 23, 24, 95]].tolist() == [3, 3, 2, 2, 1, 1]
    begun = [*bar, *tempo, *notes, ("POSITION", 12)]
    programs = after(codec, begun)[codec.vocabulary.slice_of("PROGRAM")]
    assert programs[[0, 127, v.DRUM_KIT]].tolist() == [2, 2, 0]
    pitches = after(codec, [*begun, ("PROGRAM", 3)])[codec.vocabulary.slice_of("PITCH")]
    assert pitches[60] == 2
    assert pitches[64] > v.NUM_PITCHES  # it sounds: how many notes it has a state does not know


def test_a_program_whose_last_key_sounds_is_closed():
    codec = build("metrical")
    pads = [("PAD", 0)] * 3
    top = [("POSITION", 0), ("PROGRAM", 5), ("PITCH", 127), ("DURATION", 11), ("VELOCITY", 9)]
    events = [
        ("BAR", 0),
        ("METER", 20),
        ("KEY", 0),
        *pads[:2],
        ("POSITION", 0),
        ("TEMPO", 120),
        *pads,
        *top,
        ("POSITION", 0),
    ]
    programs = after(codec, events)[codec.vocabulary.slice_of("PROGRAM")]
    assert programs[5] > v.NUM_PITCHES
    assert programs[6] == 2
