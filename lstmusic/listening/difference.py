"""Where two Scores first differ, in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstmusic.listening import palette
from lstmusic.score import Score

MAPS = {
    "tempi": "tempo (microseconds per quarter)",
    "meters": "meter",
    "keys": "key (tonic, minor)",
    "pedals": "pedal (track, down)",
}
WHOLE = {"ticks_per_quarter": "ticks per quarter", "pickup_tick": "upbeat of so many ticks", "tracks": "tracks"}


class Difference(NamedTuple):
    """Something at a tick that one Score has and the other has otherwise, each in words."""

    tick: int
    first: str
    second: str


def first_difference(first: Score, second: Score) -> str:
    """Where and in what two canonical Scores first differ, as `bar 3: C4 …, not D4 …`; nothing where they do not."""
    found = [_of_map(name, first, second) for name in MAPS]
    found += [_of_notes(first, second), *(_of_whole(name, first, second) for name in WHOLE)]
    differences = [difference for difference in found if difference]
    if not differences:
        return ""
    tick, there, here = min(differences, key=lambda difference: difference.tick)
    longer = max(first, second, key=lambda score: score.end_tick)
    bar = int(np.searchsorted(longer.bar_ticks(), tick, side="right")) - 1 + longer.first_bar
    return f"bar {bar}: {there}, not {here}"


def _first_row(first: np.ndarray, second: np.ndarray) -> int | None:
    """The first row in which two tables differ."""
    shorter = min(len(first), len(second))
    if (differ := first[:shorter] != second[:shorter]).any():
        return int(differ.argmax())
    return shorter if len(first) != len(second) else None


def _of_map(name: str, first: Score, second: Score) -> Difference | None:
    maps = getattr(first, name), getattr(second, name)
    row = _first_row(*maps)
    if row is None:
        return None
    values = [", ".join(map(str, rows[row].tolist()[1:])) if row < len(rows) else "none" for rows in maps]
    tick = min(int(rows["tick"][row]) for rows in maps if row < len(rows))
    return Difference(tick, f"{MAPS[name]} {values[0]}", values[1])


def _of_notes(first: Score, second: Score) -> Difference | None:
    scores = first, second
    row = _first_row(first.notes, second.notes)
    if row is None:
        return None
    tick = min(int(score.notes["onset_tick"][row]) for score in scores if row < len(score.notes))
    mine, other = (_notes_at(score, tick) for score in scores)
    only = [[note for note in notes if note not in others] for notes, others in ((mine, other), (other, mine))]
    return Difference(tick, *(" and ".join(notes) or "nothing" for notes in only))


def _notes_at(score: Score, tick: int) -> list[str]:
    """The notes that begin at a tick, in words."""
    names = palette.track_names(score)
    return [
        f"{palette.pitch_name(pitch)} of {length} ticks, velocity {velocity} ({names[track]})"
        for _, length, pitch, velocity, track in score.notes[score.notes["onset_tick"] == tick].tolist()
    ]


def _of_whole(name: str, first: Score, second: Score) -> Difference | None:
    mine, other = getattr(first, name), getattr(second, name)
    if mine == other:
        return None
    if name == "tracks":
        mine, other = (
            [f"{track.name or 'unnamed'}: program {track.program}" for track in tracks] for tracks in (mine, other)
        )
    return Difference(0, f"{WHOLE[name]} {mine}", str(other))
