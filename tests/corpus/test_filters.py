"""Filters say what they found, what was expected, and which key says so."""

from collections import Counter
from dataclasses import replace

import pytest

from lstmusic.corpus import filters
from lstmusic.schema import FiltersConfig
from lstmusic.score.score import Track


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"min_notes": 33}, "32 notes, expected at least 33 (filters.min_notes)"),
        ({"min_notes": 32}, ""),
        ({"min_seconds": 4.5}, "lasts 4.00 s, expected at least 4.5 s (filters.min_seconds)"),
        ({"max_seconds": 3}, "lasts 4 s, expected at most 3 s (filters.max_seconds)"),
        ({"max_seconds": 4}, ""),
        ({"min_pitches": 128}, "19 pitches, expected at least 128 different pitches (filters.min_pitches)"),
        ({"require_drums": True}, "no drums: nothing on channel 10 (filters.require_drums)"),
        ({}, ""),
    ],
)
def test_the_reason_quotes_figure_limit_and_key(phrase, setting, reason):
    assert filters.judge(phrase(), FiltersConfig(**setting)) == reason


def test_all_on_one_pitch(score_of):
    score = score_of([(480 * k, 480, 60, 80, 0) for k in range(8)])
    expected = "all on pitch 60, expected at least 2 different pitches (filters.min_pitches)"
    assert filters.judge(score, FiltersConfig()) == expected
    assert filters.judge(score, FiltersConfig(min_pitches=1)) == ""


@pytest.mark.parametrize(
    ("name", "drums"),
    [
        *((name, True) for name in ("Drums", " DRUMS 2", "drum kit", "Drumkit", "Percussion", "Perc.", "the drums")),
        *((name, False) for name in ("Steel drums", "Drummer boy", "Piano", "", "Hang drum", "percussive organ")),
    ],
)
def test_a_track_named_drums_is_one(phrase, name, drums):
    score = replace(phrase(), tracks=(Track(5, False, name), Track(0, True, "drums"), Track(), Track()))
    repairs = Counter()
    repaired = filters.repaired(score, FiltersConfig(), repairs)
    assert [track.drum for track in repaired.tracks] == [drums, True, False, False]
    assert repaired.tracks[0].name == name
    assert repairs == ({"tracks named drums taken as drums": 1} if drums else {})
    assert filters.repaired(score, FiltersConfig(drums_by_name=False), repairs) is score
