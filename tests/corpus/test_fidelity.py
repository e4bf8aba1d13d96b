"""Fidelity: pieces with errors that are known."""

from dataclasses import replace

import numpy as np
import pytest

from lstmusic.corpus import fidelity
from lstmusic.corpus.fidelity import Fidelity
from lstmusic.events import codec as codecs
from lstmusic.score.score import (
    KEY_DTYPE,
    METER_DTYPE,
    NOTE_DTYPE,
    PEDAL_DTYPE,
    TEMPO_DTYPE,
    Score,
    Track,
    sorted_notes,
    table,
)

QUARTER = 480


class Decoder:
    """An encoding that decodes whatever it is given to one Score."""

    def __init__(self, decoded, in_seconds=False):
        self.decoded, self.in_seconds = decoded, in_seconds

    def decode(self, ids):
        return self.decoded


def compare(score, decoded, **options):
    return fidelity.measure(Decoder(decoded, **options), score, np.zeros(0, np.uint16))


def piece(onset, duration=QUARTER, pitch=60, track=0, **maps):
    """Notes in ticks of 480 to a quarter, at 120 quarters a minute unless `maps` say otherwise; track 1 is drums."""
    rows = table(NOTE_DTYPE, np.asarray(onset), duration, pitch, 80, track)
    return Score(sorted_notes(rows), (Track(), Track(drum=True)), **maps)


QUARTERS = piece(np.arange(16) * QUARTER, pitch=60 + np.arange(16) % 5)


def test_nothing_is_lost_of_the_same():
    assert compare(QUARTERS, QUARTERS) == Fidelity(notes=16, tempi=1, meters=1)


def test_errors_by_hand():
    """A 16th (120 ticks) is 125 ms: one onset of 16 is late by 24 ticks (25 ms), one duration is short by 48 (50 ms)."""
    decoded = replace(QUARTERS, notes=QUARTERS.notes.copy())
    decoded.notes["onset_tick"][3] += 24
    decoded.notes["duration_tick"][5] -= 48
    found = compare(QUARTERS, decoded)
    assert (found.lost, found.added) == (0, 0)
    assert found.onset_error_ms == pytest.approx(25 / 16)
    assert found.max_onset_error_ms == pytest.approx(25)
    assert found.duration_error_ms == pytest.approx(50 / 16)


def test_notes_lost_and_added():
    fewer = replace(QUARTERS, notes=QUARTERS.notes[[0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]])
    found = compare(QUARTERS, fewer)
    assert (found.notes, found.lost, found.added, found.max_onset_error_ms) == (16, 2, 0, 0)
    found = compare(fewer, QUARTERS)
    assert (found.notes, found.lost, found.added, found.max_onset_error_ms) == (14, 0, 2, 0)


def test_another_pitch_is_another_note():
    decoded = replace(QUARTERS, notes=QUARTERS.notes.copy())
    decoded.notes["pitch"][4] = 90
    found = compare(QUARTERS, decoded)
    assert (found.lost, found.added) == (1, 1)


def test_a_note_far_away_is_another_note():
    score = piece([0, 480, 960, 4800], pitch=[60, 62, 64, 65])
    decoded = piece([0, 480, 960, 5280], pitch=[60, 62, 64, 65])
    assert compare(score, decoded)[:3] == (4, 1, 1)


def test_drums_are_no_pitches():
    score = piece([0, 0, 480], pitch=[40, 40, 50], track=[0, 1, 0])
    decoded = piece([0, 480], pitch=[40, 50], track=[0, 0])
    assert compare(score, decoded)[:3] == (3, 1, 0)
    assert compare(score, score)[:3] == (3, 0, 0)


def test_unisons_are_as_many_notes_as_they_are():
    score = piece([0, 0, 0, 480], pitch=[60, 60, 60, 62])
    assert compare(score, score)[:3] == (4, 0, 0)
    assert compare(score, piece([0, 480], pitch=[60, 62]))[:3] == (4, 2, 0)
    assert compare(score, piece([0, 0, 490], pitch=[60, 60, 62]))[:3] == (4, 1, 0)


@pytest.mark.parametrize("quarters", [0, 1, 8, 37])
def test_silence_left_out_at_the_start_is_no_error(quarters):
    late = replace(QUARTERS, notes=QUARTERS.notes.copy())
    late.notes["onset_tick"] += quarters * QUARTER
    found = compare(late, QUARTERS)
    assert found == Fidelity(notes=16, tempi=1, meters=1)


@pytest.mark.parametrize("late", [0, 50, 70, -50])
def test_a_whole_piece_beside_the_grid_is_as_good_as_on_it(late):
    """Repeated 16ths, a little before or after their places, are not taken for their neighbours."""
    onset = 480 + np.arange(64) * 120
    found = compare(piece(onset + late), piece(onset - 480))
    assert (found.lost, found.added) == (0, 0)
    assert found.max_onset_error_ms == pytest.approx(0, abs=1e-6)
    assert found.duration_error_ms == pytest.approx(0, abs=1e-6)


def test_silence_before_notes_that_are_lost_too():
    """The drums that began alone are left out, and the bars in which they did."""
    score = piece(
        np.r_[np.arange(8) * QUARTER, QUARTERS.notes["onset_tick"] + 8 * QUARTER],
        pitch=np.r_[np.full(8, 36), QUARTERS.notes["pitch"]],
        track=np.repeat([1, 0], [8, 16]),
    )
    found = compare(score, QUARTERS)
    assert (found.notes, found.lost, found.added, found.max_onset_error_ms) == (24, 8, 0, 0)


def test_a_rounded_tempo_is_no_error_of_onsets_in_beats():
    score = replace(QUARTERS, tempi=table(TEMPO_DTYPE, [0, 3840], [500_000, 400_000]))
    decoded = replace(QUARTERS, tempi=table(TEMPO_DTYPE, [0, 3840], [495_000, 400_000]))
    found = compare(score, decoded)
    assert (found.onset_error_ms, found.tempi, found.tempi_lost) == (0, 2, 0)
    assert found.max_tempo_error_ratio == pytest.approx(0.01, rel=0.02)


def test_beats_are_weighed_by_the_tempo_of_the_piece():
    """At 60 quarters a minute, 48 ticks are 100 ms."""
    score = replace(QUARTERS, tempi=table(TEMPO_DTYPE, [0], 1_000_000))
    decoded = replace(score, notes=score.notes.copy())
    decoded.notes["onset_tick"][15] += 48
    assert compare(score, decoded).max_onset_error_ms == pytest.approx(100)


def test_seconds_are_compared_in_seconds():
    """Half the tempo and half the ticks: the same seconds, the tempo lost."""
    score = replace(QUARTERS, tempi=table(TEMPO_DTYPE, [0], 1_000_000))
    decoded = piece(QUARTERS.notes["onset_tick"] * 2, duration=960, pitch=QUARTERS.notes["pitch"])
    found = compare(score, decoded, in_seconds=True)
    assert found == Fidelity(notes=16, tempi=1, tempi_lost=1, meters=1)


def test_maps_kept_and_lost():
    maps = {
        "tempi": table(TEMPO_DTYPE, [0, 1920, 3840], [500_000, 400_000, 300_000]),
        "meters": table(METER_DTYPE, [0, 1920], [4, 3], 4),
        "keys": table(KEY_DTYPE, [0, 3840], [0, 7], False),
    }
    score = replace(QUARTERS, **maps)
    assert compare(score, score) == Fidelity(notes=16, tempi=3, meters=2, keys=2)
    found = compare(score, replace(QUARTERS, **{name: rows[:1] for name, rows in maps.items()}))
    assert (found.tempi_lost, found.meters_lost, found.keys_lost) == (2, 1, 1)
    found = compare(score, QUARTERS)
    assert (found.tempi_lost, found.meters_lost, found.keys_lost) == (2, 1, 2)


def test_notes_that_the_pedal_held_may_be_long():
    score = replace(QUARTERS, pedals=table(PEDAL_DTYPE, [0, 7680], 0, [True, False]))
    long = replace(QUARTERS, notes=QUARTERS.notes.copy())
    long.notes["duration_tick"] = np.minimum(5 * QUARTER, 7680 - long.notes["onset_tick"])
    found = compare(score, long)
    assert (found.duration_error_ms, found.pedals, found.pedals_lost) == (0, 2, 2)
    found = compare(score, score)
    assert (found.duration_error_ms, found.pedals, found.pedals_lost) == (0, 2, 0)


def test_total_is_weighed_by_notes():
    first = Fidelity(notes=30, lost=10, onset_error_ms=4, max_onset_error_ms=9, tempi=1, max_tempo_error_ratio=0.01)
    second = Fidelity(notes=60, added=1, onset_error_ms=8, max_onset_error_ms=8, tempi=2, tempi_lost=1)
    expected = Fidelity(notes=90, lost=10, added=1, onset_error_ms=7, max_onset_error_ms=9, tempi=3, tempi_lost=1)
    assert fidelity.total([first, second]) == expected._replace(max_tempo_error_ratio=0.01)
    assert fidelity.total([]) == Fidelity()


@pytest.mark.parametrize(("name", "limit_ms"), [("performance", 10.0), ("metrical", 0.0), ("chorale", 0.0)])
def test_real_encodings(name, limit_ms, phrase):
    codec, score = codecs.build(name), phrase(bars=8)
    found = fidelity.measure(codec, score, codec.encode(score))
    assert found.notes == 128 and found.added == 0
    assert found.max_onset_error_ms <= limit_ms + 1e-6
    assert found.lost == (0 if name != "performance" else 128 - codec.num_notes(codec.encode(score)))
