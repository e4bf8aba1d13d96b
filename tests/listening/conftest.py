"""Small scores that the tests of the listening room share."""

import numpy as np
import pytest

from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes, table

CHORDS = np.array([[72, 67, 64, 48], [72, 69, 65, 53], [71, 67, 62, 43], [72, 67, 64, 48]])
VOICES = ("Soprano", "Alto", "Tenor", "Bass")


@pytest.fixture
def chorale():
    """A function: a four-voice phrase of so many bars, a chord a beat, at 100 quarters a minute."""

    def build(bars: int = 4, program: int = 52) -> Score:
        beats = np.arange(4 * bars)
        onset, pitch = np.repeat(beats * 480, 4), CHORDS[beats % 4].ravel()
        notes = table(NOTE_DTYPE, onset, 480, pitch, 80, np.tile(np.arange(4), len(beats)))
        return Score(
            sorted_notes(notes),
            tuple(Track(program, False, name) for name in VOICES),
            tempi=table(TEMPO_DTYPE, [0], [600_000]),
            meters=table(METER_DTYPE, [0], [4], [4]),
        )

    return build


@pytest.fixture
def melody():
    """A function: one track of notes given as (onset_tick, duration_tick, pitch, velocity), with these tempi."""

    def build(rows, *, tempi=((0, 500_000),), program: int = 0, drum: bool = False) -> Score:
        notes = table(NOTE_DTYPE, *(np.array(column) for column in zip(*rows, strict=True)), 0)
        tempo_table = table(TEMPO_DTYPE, *(np.array(column) for column in zip(*tempi, strict=True)))
        return Score(sorted_notes(notes), (Track(program, drum),), tempi=tempo_table)

    return build
