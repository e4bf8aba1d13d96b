"""Which music a corpus takes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np

from lstmusic.schema import FiltersConfig
from lstmusic.score import Score

# The whole name: a steel drum is a melodic instrument
DRUM_NAME = re.compile(r"(the )?(drums?|drum ?(kit|set|track)s?|percussion|perc)\W*\d*\W*", re.IGNORECASE)


def repaired(score: Score, filters: FiltersConfig, repairs: Counter) -> Score:
    """The score with tracks that are named drums or percussion marked as drums, whatever their channel.

    Args:
        repairs: gathers what was done, by kind.
    """
    named = [not track.drum and bool(DRUM_NAME.fullmatch(track.name.strip())) for track in score.tracks]
    if not filters.drums_by_name or not any(named):
        return score
    repairs["tracks named drums taken as drums"] += sum(named)
    tracks = (replace(track, drum=track.drum or drum) for track, drum in zip(score.tracks, named, strict=True))
    return replace(score, tracks=tuple(tracks))


def judge(score: Score, filters: FiltersConfig) -> str:
    """Why the filters keep a piece out, with what was found, what was expected and the key; empty if they do not."""
    notes, pitches, length_s = len(score.notes), np.unique(score.notes["pitch"]), score.length_s
    if notes < filters.min_notes:
        return f"{notes} notes, expected at least {filters.min_notes} (filters.min_notes)"
    if len(pitches) < filters.min_pitches:
        found = f"all on pitch {pitches[0]}" if len(pitches) == 1 else f"{len(pitches)} pitches"
        return f"{found}, expected at least {filters.min_pitches} different pitches (filters.min_pitches)"
    if length_s < filters.min_seconds:
        return f"lasts {length_s:.2f} s, expected at least {filters.min_seconds:g} s (filters.min_seconds)"
    if length_s > filters.max_seconds:
        return f"lasts {length_s:.0f} s, expected at most {filters.max_seconds:g} s (filters.max_seconds)"
    if filters.require_drums and not any(track.drum for track in score.tracks):
        return "no drums: nothing on channel 10 (filters.require_drums)"
    return ""
