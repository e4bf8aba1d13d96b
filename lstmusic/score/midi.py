"""MIDI files <-> Score.

What decides where a file leaves room, as most programs decide it:

- A track is what one MIDI track plays on one channel with one program. Program and sustain pedal hold within their own
  MIDI track and channel.
- A note-off ends the earliest note of its pitch and channel that still sounds in its MIDI track. A note without an end
  sounds until the next onset of its pitch there, the end of the MIDI track, or a whole note later, whichever is first; a
  note without a length lasts one tick.
- Tempo, meter and key are taken from every MIDI track; what MIDI cannot mean (a tempo of 0, nine sharps) is dropped.
- The incomplete bar at the beginning is told by a text event, `lstmusic:pickup=TICKS`; other programs ignore it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lstmusic.errors import ReadError
from lstmusic.score import midi_events
from lstmusic.score.files import decoded, read_bytes
from lstmusic.score.midi_events import Events
from lstmusic.score.midi_writer import longest_tick, write
from lstmusic.score.pretty import PICKUP_TEXT, from_pretty_midi, to_pretty_midi, writable_meters
from lstmusic.score.remarks import Remarks
from lstmusic.score.score import (
    DEFAULT_METER,
    DEFAULT_US_PER_QUARTER,
    DRUM_CHANNEL,
    KEY_DTYPE,
    NOTE_DTYPE,
    PEDAL_DTYPE,
    SUSTAIN,
    TEMPO_DTYPE,
    Score,
    Track,
    settled,
    settled_pedals,
    sorted_notes,
    table,
)

__all__ = ["from_pretty_midi", "longest_tick", "read", "to_pretty_midi", "write"]

UNENDED_QUARTERS = 4  # how long a note without an end sounds at most
LYRICS_AND_MARKERS = (5, 6, 7)
TEXT, NAME, TEMPO, METER, KEY = 0x01, 0x03, 0x51, 0x58, 0x59


def read(path: Path, remarks: Remarks | None = None, data: bytes | None = None) -> Score:
    """Read one MIDI file. Nothing that is in it can take the process down.

    Args:
        path: the file.
        remarks: gathers what was mended and what a Score cannot hold.
        data: the file's bytes, where they are at hand (a member of an archive); `path` is then only its name.

    Raises:
        ReadError: the file is not MIDI, is torn, absurdly long, or holds no notes.
    """
    remarks = Remarks() if remarks is None else remarks
    events = midi_events.parse(read_bytes(path) if data is None else data, str(path), remarks)
    notes, part_of, parts = _notes(events, remarks)
    if not len(notes):
        raise ReadError(f"{path}: no notes, expected music")
    limit = longest_tick(events.ticks_per_quarter)
    end_tick = int((notes["onset_tick"] + notes["duration_tick"]).max())
    if end_tick > limit:
        raise ReadError(f"{path}: reaches tick {end_tick}, expected at most {limit}")
    names = {track: decoded(payload) for _, track, kind, payload in reversed(events.metas) if kind == NAME}
    tracks = [Track(program, channel == DRUM_CHANNEL, names.get(track, "")) for track, channel, program in parts]
    texts = [(tick, decoded(payload)) for tick, _, kind, payload in events.metas if kind == TEXT and tick <= limit]
    pickups = [text.removeprefix(PICKUP_TEXT) for _, text in texts if text.startswith(PICKUP_TEXT)]
    return Score(
        notes=notes,
        tracks=tuple(tracks),
        pedals=_pedals(events, part_of, limit, remarks),
        **_maps(events, limit, remarks),
        ticks_per_quarter=events.ticks_per_quarter,
        texts=tuple(sorted((text for text in texts if not text[1].startswith(PICKUP_TEXT)), key=lambda text: text[0])),
        pickup_tick=int(pickups[0][:9]) if pickups and pickups[0].isdecimal() else 0,
    )


def _notes(events: Events, remarks: Remarks) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int, int]]]:
    """The notes [N] in canonical order, the part of each (MIDI track, channel) and the parts themselves.

    Returns:
        notes; for each part its MIDI track and channel as one number, int64 [parts]; parts as (track, channel, program).
    """
    kind = events.status & 0xF0
    place = events.track * 16 + (events.status & 0x0F)
    is_on = (kind == midi_events.NOTE_ON) & (events.data2 > 0)
    is_note = is_on | (kind == midi_events.NOTE_OFF) | (kind == midi_events.NOTE_ON)
    which = np.flatnonzero(is_note)
    key = place[which] * 128 + events.data1[which]
    # Key and place in one number: sorting numbers is many times faster than sorting places by them.
    order = np.sort(key << 32 | np.arange(len(key))) & 0xFFFFFFFF
    on, off = _paired(key[order], is_on[which][order])
    onset, end = which[order[on]], np.where(off >= 0, which[order[off]], -1)
    onset_tick, end_tick = events.tick[onset], events.tick[end]
    if (end < 0).any():
        remarks.repairs["notes without an end given one"] += int((end < 0).sum())
        following = np.append(key[order[on]][1:] == key[order[on]][:-1], False)[: len(on)]
        next_onset = np.where(following, np.append(onset_tick[1:], 0)[: len(on)], np.iinfo(np.int64).max)
        longest = onset_tick + UNENDED_QUARTERS * events.ticks_per_quarter
        given = np.minimum(np.minimum(next_onset, longest), events.end_tick[events.track[onset]])
        end_tick = np.where(end < 0, given, end_tick)
    if (end_tick <= onset_tick).any():
        remarks.repairs["notes without a length given one tick"] += int((end_tick <= onset_tick).sum())
    program = _programs(events, kind, place, onset)
    part_of, part = np.unique(place[onset] * 128 + program, return_inverse=True)
    duration = np.maximum(end_tick - onset_tick, 1)
    notes = table(NOTE_DTYPE, onset_tick, duration, events.data1[onset], events.data2[onset], part)
    parts = [(code >> 11, code >> 7 & 15, code & 127) for code in part_of.tolist()]
    return sorted_notes(notes), part_of >> 7, parts


def _paired(key: np.ndarray, is_on: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each note-on [N] with the note-off that ends it (-1: none), first in first out per key.

    Args:
        key: int64 [K], sorted; MIDI track, channel and pitch of each note-on and note-off, in order of time for each key.
        is_on: bool [K].
    """
    first = np.append(True, key[1:] != key[:-1])[: len(key)]
    group = np.cumsum(first) - 1
    # How many sound, were note-offs without a note to count too; shifted so that each key's lowest is its own.
    total = np.cumsum(np.where(is_on, 1, -1))
    floor = -(group + 1) * (2 * len(key) + 2)
    sounding = total - np.append(0, total)[np.flatnonzero(first)][group] + floor
    lowest = np.minimum.accumulate(np.minimum(sounding, floor))
    idle = ~is_on & (sounding == lowest) & (np.append(0, lowest)[: len(key)] != lowest) & (sounding < floor)
    on, off = np.flatnonzero(is_on), np.flatnonzero(~is_on & ~idle)
    # The k-th note-on of a key goes with its k-th note-off that ends anything.
    on_rank, off_rank = (_numbered(group[index], len(key)) for index in (on, off))
    found = np.searchsorted(off_rank, on_rank)
    paired = np.append(off_rank, -1)[found] == on_rank
    return on, np.where(paired, np.append(off, -1)[found], -1)


def _numbered(group: np.ndarray, size: int) -> np.ndarray:
    """One number for each member of sorted groups [N]: its group and its place in it."""
    return group * size + np.arange(len(group)) - np.searchsorted(group, group)


def _programs(events: Events, kind: np.ndarray, place: np.ndarray, onset: np.ndarray) -> np.ndarray:
    """The program in force at each note-on (numbers of events, [N])."""
    change = np.flatnonzero(kind == midi_events.PROGRAM)
    if not len(change):
        return np.zeros(len(onset), np.int64)
    size = len(kind)
    code = place[change] * size + change
    order = np.argsort(code)
    last = np.searchsorted(code[order], place[onset] * size + onset) - 1
    change = change[order[np.maximum(last, 0)]]
    in_force = (last >= 0) & (place[change] == place[onset])
    return np.where(in_force, events.data1[change], 0)


def _pedals(events: Events, part_of: np.ndarray, limit: int, remarks: Remarks) -> np.ndarray:
    """The sustain pedal of every part; other controllers are counted."""
    kind, place = events.status & 0xF0, events.track * 16 + (events.status & 0x0F)
    control = np.flatnonzero(kind == midi_events.CONTROL)
    is_pedal = events.data1[control] == SUSTAIN
    pedal = control[is_pedal]
    reached = _are_among(place[pedal], part_of) & (events.tick[pedal] <= limit)
    programs = place[kind == midi_events.PROGRAM]
    for what, count in (
        ("pedal changes without notes left out", int((~reached).sum())),
        ("program changes without notes left out", int((~_are_among(programs, part_of)).sum())),
        ("controller changes left out", int((~is_pedal).sum())),
        ("pitch bends left out", int((kind == midi_events.BEND).sum())),
        ("aftertouch left out", int(((kind == midi_events.AFTERTOUCH) | (kind == midi_events.PRESSURE)).sum())),
        ("lyrics and markers left out", sum(meta[2] in LYRICS_AND_MARKERS for meta in events.metas)),
    ):
        if count:
            remarks.losses[what] += count
    pedal = pedal[reached]
    if not len(pedal):
        return np.zeros(0, PEDAL_DTYPE)
    rows = [
        table(PEDAL_DTYPE, events.tick[mine], part, events.data2[mine] >= 64)
        for part, code in enumerate(part_of.tolist())
        for mine in [pedal[place[pedal] == code]]
    ]
    return settled_pedals(np.concatenate(rows))


def _are_among(values: np.ndarray, some: np.ndarray) -> np.ndarray:
    """bool [N]: which of the values are among some sorted ones, of which there is at least one."""
    return some[np.minimum(np.searchsorted(some, values), len(some) - 1)] == values


def _maps(events: Events, limit: int, remarks: Remarks) -> dict[str, np.ndarray]:
    """The tempo, meter and key map, without the rows that mean nothing in MIDI."""
    rows: dict[int, list[tuple[int, ...]]] = {TEMPO: [], METER: [], KEY: []}
    far = 0
    for tick, _, kind, payload in events.metas:
        if kind in rows and tick > limit:
            far += 1
        elif kind == TEMPO:
            rows[kind].append((tick, int.from_bytes(payload[:3], "big") if len(payload) > 2 else 0))
        elif kind == METER:
            over, exponent = payload[:2] if len(payload) > 1 else (0, 0)
            rows[kind].append((tick, over, 2 ** min(exponent, 8)))
        elif kind == KEY:
            sharps, minor = payload[:2] if len(payload) > 1 else (8, 0)
            rows[kind].append((tick, sharps - 256 * (sharps > 127), minor))
    tempo, meter, key = (
        np.array(rows[k], np.int64).reshape(-1, width) for k, width in ((TEMPO, 2), (METER, 3), (KEY, 3))
    )
    known_tempo = tempo[tempo[:, 1] > 0]
    known_meter = writable_meters(*meter.T)
    tick, sharps, minor = key[(np.abs(key[:, 1]) <= 7) & (key[:, 2] <= 1)].T
    for what, count in (
        ("tempi of no meaning dropped", len(tempo) - len(known_tempo)),
        ("meters of no meaning dropped", len(meter) - len(known_meter)),
        ("keys of no meaning dropped", len(key) - len(tick)),
        ("tempi, meters and keys far beyond the music cut", far),
    ):
        if count:
            remarks.repairs[what] += count
    return {
        "tempi": settled(table(TEMPO_DTYPE, *known_tempo.T), DEFAULT_US_PER_QUARTER),
        "meters": settled(known_meter, *DEFAULT_METER),
        "keys": settled(table(KEY_DTYPE, tick, (7 * sharps + np.where(minor, 9, 0)) % 12, minor)),
    }
