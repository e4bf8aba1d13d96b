"""What may follow what in the `metrical` encoding, and what closes a piece soonest."""

from __future__ import annotations

import numpy as np

from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.metrical_state import (
    AT_DURATION,
    AT_KEY,
    AT_METER,
    AT_PAD,
    AT_PITCH,
    AT_VELOCITY,
    ENDING,
    EVENT,
    OPEN,
    bar_steps,
)


def allowed(rows: np.ndarray, grouped: bool) -> np.ndarray:
    """bool [N, V]: see `Grammar.allowed`; for states [N]."""
    mask = np.zeros((len(rows), len(v.VOCABULARY)), bool)
    by_slot = {
        OPEN: lambda mask, rows, at: _open(mask, rows, at, grouped),
        EVENT: lambda mask, rows, at: _event(mask, rows, at, grouped),
        AT_METER: lambda mask, rows, at: _put(mask, at, v.METER, True),
        AT_KEY: _keys,
        AT_PITCH: _pitches,
        AT_DURATION: lambda mask, rows, at: _not_below(mask, rows, at, v.DURATION),
        AT_VELOCITY: lambda mask, rows, at: _not_below(mask, rows, at, v.VELOCITY),
        AT_PAD: lambda mask, rows, at: _put(mask, at, v.PAD, True),
    }
    # Only the rows that stand before a slot are looked at for it: most of the vocabulary is closed to most rows.
    for slot, fill in by_slot.items():
        at = np.flatnonzero(rows["slot"] == slot)
        if len(at):
            fill(mask, rows, at)
    mask[:, v.EOS] |= rows["slot"] >= ENDING
    return mask


def _put(mask: np.ndarray, at: np.ndarray, kind: int, values: np.ndarray | bool) -> None:
    """Allow ids of one kind in the rows `at`: which of them, bool [len(at), ids of the kind]."""
    mask[at, v.IDS[kind]] = values


def _open(mask: np.ndarray, rows: np.ndarray, at: np.ndarray, grouped: bool) -> None:
    """A bar, a later position, another note at this one, or the end."""
    bars, position, struck = (rows[name][at] for name in ("bars", "position", "struck"))
    mask[at, v.BAR] = struck | (bars != 1)  # the first bar holds a note
    lowest = position + 1
    if grouped:
        lowest = np.maximum(position, 0)
    else:
        _notes(mask, rows, at[position >= 0], grouped)
    steps = np.arange(v.MAX_BAR)
    inside = (steps >= lowest[:, None]) & (steps < bar_steps(rows["meter"][at])[:, None])
    _put(mask, at, v.POSITION, inside & (bars > 0)[:, None])
    mask[at, v.EOS] = (position < 0) & rows["struck_before"][at]


def _event(mask: np.ndarray, rows: np.ndarray, at: np.ndarray, grouped: bool) -> None:
    """A change of tempo where nothing stands yet, or a note."""
    tempo = rows["tempo"][at][:, None]
    _put(mask, at, v.TEMPO, rows["fresh"][at][:, None] & (np.arange(v.LOWEST_QPM, v.HIGHEST_QPM + 1) != tempo))
    _notes(mask, rows, at[tempo[:, 0] > 0], grouped)


def _notes(mask: np.ndarray, rows: np.ndarray, at: np.ndarray, grouped: bool) -> None:
    """The first ids of a note: a program not below that of the note before; in the flat form another, or a pitch."""
    program, tied = rows["program"][at][:, None], rows["tied"][at][:, None]
    programs = np.arange(v.DRUM_KIT + 1)
    if grouped:
        _put(mask, at, v.PROGRAM, ~tied | (programs >= program))
    else:
        _put(mask, at, v.PROGRAM, np.where(tied, programs > program, programs != program))
        _pitches(mask, rows, at[program[:, 0] >= 0])


def _pitches(mask: np.ndarray, rows: np.ndarray, at: np.ndarray) -> None:
    drum = rows["program"][at] == v.DRUM_KIT
    for kind, mine in ((v.PITCH, at[~drum]), (v.DRUM, at[drum])):
        _put(mask, mine, kind, _floor(rows, mine, "pitch") <= np.arange(v.NUM_PITCHES))


def _not_below(mask: np.ndarray, rows: np.ndarray, at: np.ndarray, kind: int) -> None:
    name = {v.DURATION: "duration", v.VELOCITY: "velocity"}[kind]
    _put(mask, at, kind, _floor(rows, at, name) <= v.VALUE[v.IDS[kind]])


def _floor(rows: np.ndarray, at: np.ndarray, name: str) -> np.ndarray:
    """The lowest value [len(at), 1] that a note may have, given the one before it at its position."""
    return np.where(rows["tied"][at], rows[name][at], 0)[:, None]


def _keys(mask: np.ndarray, rows: np.ndarray, at: np.ndarray) -> None:
    _put(mask, at, v.KEY, (rows["key"][at] == 0)[:, None] | (np.arange(v.NUM_KEYS + 1) > 0))


def closing(rows: np.ndarray, grouped: bool) -> np.ndarray:
    """bool [N, V]: see `Grammar.closing`; for states [N]."""
    # The bar is ended as it is, after one more note where it has none; meter, key and tempo stay.
    mask = allowed(rows, grouped)
    ends, between = mask[:, v.EOS].copy(), rows["slot"] == OPEN
    bar = between & ~ends & (rows["struck"] | (rows["bars"] == 0))
    note = between & ~ends & ~bar
    mask[ends | bar] = False
    mask[ends, v.EOS] = mask[bar, v.BAR] = True
    mask[note, v.BAR] = False
    if not grouped:  # where the position stands already, no other is sought
        mask[note & (rows["position"] >= 0), v.IDS[v.POSITION]] = False
    mask[rows["tempo"] > 0, v.IDS[v.TEMPO]] = False
    for slot, kind, name in ((AT_METER, v.METER, "meter"), (AT_KEY, v.KEY, "key")):
        at = np.flatnonzero((rows["slot"] == slot) & (rows[name] >= 0))
        mask[at, v.IDS[kind]] = rows[name][at][:, None] == v.VALUE[v.IDS[kind]]
    return mask
