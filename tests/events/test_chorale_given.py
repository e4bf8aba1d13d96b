"""What of a chorale is given, cell by cell."""

import numpy as np
import pytest

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.events.chorale_grammar import EOS, HOLD, REST, VOCABULARY

STEP = 120  # ticks
P60, P62, P64 = (VOCABULARY.id("PITCH", pitch) for pitch in (60, 62, 64))
PITCHES = set(range(VOCABULARY.id("PITCH", 24), VOCABULARY.id("PITCH", 96) + 1))
HEADER = [VOCABULARY.id(kind, value) for kind, value in (("METER", 0), ("POSITION", 0), ("TEMPO", 30), ("KEY", 24))]


def piece_of(*steps):
    """A piece of steps of four ids each."""
    return np.array([[0] * 4, HEADER, *steps, [EOS] * 4]).reshape(-1)


def left(codec, given, *written):
    """The ids that may come after the prefix and so many more."""
    rows = codec.grammar.trajectory(given.prefix)[-1:].copy()
    codec.grammar.advance(rows, given.prefix[-1:])
    for value in written:
        assert given.mask(rows)[0, value], f"{VOCABULARY.event(value)} may not come"
        codec.grammar.advance(rows, np.array([value]))
    return set(np.flatnonzero(given.mask(rows)[0]).tolist())


# Steps 1 and 2 are the gap. The soprano's note rings into it, the alto's lies in it, the tenor's is struck in it and rings
# out, the bass is silent until after it.
PIECE = piece_of([P60, P60, P60, HOLD], [HOLD, P62, HOLD, HOLD], [REST, HOLD, P64, HOLD], [P60, REST, HOLD, P62])


def test_notes_that_ring_into_the_gap_or_out_of_it_are_given():
    codec = codecs.build("chorale")
    given = codec.given(PIECE, STEP, 3 * STEP)
    assert given.prefix.tolist() == PIECE[:12].tolist()
    assert left(codec, given) == {HOLD}  # the soprano rings on,
    alto = [HOLD]
    assert left(codec, given, *alto) == {REST, *PITCHES}  # the alto's note before the gap ends with it,
    tenor = [*alto, REST]
    assert left(codec, given, *tenor) == {HOLD}
    bass = [*tenor, HOLD]
    assert left(codec, given, *bass) == {HOLD, *PITCHES}  # and the bass is free to go on silent;
    step_2 = [*bass, P64]
    assert left(codec, given, *step_2) == {REST, *PITCHES}  # the soprano's note ends where it did,
    assert left(codec, given, *step_2, P62) == {HOLD, *PITCHES}
    assert left(codec, given, *step_2, P62, HOLD) == {P64}  # and the tenor's begins where it did


def test_after_the_gap_the_ids_follow_from_what_sounds():
    codec = codecs.build("chorale")
    given = codec.given(PIECE, STEP, 3 * STEP)
    gap = [HOLD, REST, HOLD, HOLD, REST, HOLD, P64, HOLD]
    assert left(codec, given, *gap) == {P60}
    assert left(codec, given, *gap, P60) == {HOLD}  # the alto is silent already,
    sounding = [HOLD, P62, HOLD, HOLD, REST, HOLD, P64, HOLD]
    assert left(codec, given, *sounding, P60) == {REST}  # or falls silent
    assert left(codec, given, *gap, P60, HOLD, HOLD, P62) == {EOS}
    assert left(codec, given, *gap, P60, HOLD, HOLD, P62, *[EOS] * 4) == {EOS}


def test_in_the_canonical_form_no_pitch_sounds_before_a_given_strike_of_it():
    codec = codecs.build("chorale", strikes=False)
    given = codec.given(PIECE, STEP, 3 * STEP)
    gap = [HOLD, REST, HOLD, HOLD]  # then the soprano's 60 is to be struck, and the bass's 62
    assert left(codec, given, *gap) == {REST, *PITCHES} - {P60}
    assert left(codec, given, *gap, REST, HOLD, P64) == {HOLD, *PITCHES} - {P62}
    assert left(codec, given, HOLD, REST, HOLD, P62, REST, HOLD, P64) == {REST, *PITCHES} - {P62}
    strikes = codecs.build("chorale")
    given = strikes.given(PIECE, STEP, 3 * STEP)
    assert left(strikes, given, HOLD, REST, HOLD, P62, REST, HOLD, P64) == {HOLD, REST, *PITCHES}


def test_voices_are_kept_inside_the_gap():
    codec = codecs.build("chorale")
    given = codec.given(PIECE, 0, 4 * STEP, keep=("soprano", "Bass"))
    assert given.prefix.tolist() == PIECE[:8].tolist()
    assert left(codec, given) == {P60}
    assert left(codec, given, P60) == {HOLD, *PITCHES}
    assert left(codec, given, P60, HOLD, HOLD) == {HOLD}
    with pytest.raises(ConfigError, match="keep=Violin: there is no such voice, expected some of Soprano, Alto"):
        codec.given(PIECE, 0, STEP, keep=("Violin",))


def test_what_is_written_has_a_note_and_sounds_to_the_end():
    codec = codecs.build("chorale")
    given = codec.given(PIECE, 0, 4 * STEP)
    silent = [HOLD] * 15
    assert left(codec, given, *silent) == PITCHES
    sung = [*silent[:14], P60]
    assert left(codec, given, *sung) == {HOLD, *PITCHES}
    ended = [P60, *[HOLD] * 11, REST, HOLD, HOLD]
    assert left(codec, given, *ended) == PITCHES
    bass = [HOLD, HOLD, HOLD, P60, *[HOLD] * 11]
    assert left(codec, given, *bass) == {HOLD, *PITCHES}


def test_something_is_free_until_the_last_free_cell():
    codec = codecs.build("chorale")
    given = codec.given(PIECE, STEP, 3 * STEP)
    states = codec.grammar.trajectory(PIECE)[4:]
    assert given.open(states).tolist() == [True] * 16 + [False] * 8
    nothing = codec.given(PIECE, STEP, 2 * STEP - 1)  # less than a step
    assert not nothing.open(states).any()
    assert nothing.prefix.tolist() == PIECE[:-4].tolist()
