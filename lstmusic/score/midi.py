"""MIDI files <-> Score. mido reads for a person, symusic reads in bulk; both give the same Score, in canonical form.

How a file becomes a Score, by either reader:

- A track is what one MIDI track plays on one channel with one program, named by its MIDI track; in the order of MIDI
  tracks, channels and programs. Channel 10 is the drum kit. A program change holds within its own MIDI track.
- A note-off ends the earliest note of its pitch and channel that still sounds in its MIDI track. A note without an end
  is dropped; a note without a length lasts one tick.
- Tempo, meter and key are taken from every MIDI track; what MIDI cannot mean (a tempo of 0, nine sharps) is dropped.
- The incomplete bar at the beginning is told by a text event, `lstmusic:pickup=TICKS`; other programs ignore it.
"""

from __future__ import annotations

import io
import re
import struct
from collections import defaultdict, deque
from pathlib import Path

import mido
import numpy as np
from mido.midifiles.meta import KeySignatureError

from lstmusic.errors import OutputError, ReadError
from lstmusic.files import whole
from lstmusic.score.files import read_bytes
from lstmusic.score.pretty import PICKUP_TEXT, from_pretty_midi, to_pretty_midi, writable_meters
from lstmusic.score.score import (
    DRUM_CHANNEL,
    KEY_DTYPE,
    MAX_US_PER_QUARTER,
    NOTE_DTYPE,
    SHARPS,
    TEMPO_DTYPE,
    Score,
    Track,
    table,
)

__all__ = ["from_pretty_midi", "longest_tick", "read", "read_bulk", "to_pretty_midi", "write"]

MELODIC_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
LONGEST_DELTA = 2**28 - 1  # ticks; four bytes of seven bits are all that a MIDI file has for a time
LONGEST_PIECE = 50_000  # quarters, seven hours at 120 a minute; what goes on for longer is a damaged file
ENDLESS = 2**40  # ticks
MAP_COLUMNS = {"tempo": 2, "meter": 3, "key": 3}
PICKUP_EVENT = re.compile(rb"\xff\x01(.)" + PICKUP_TEXT.encode() + rb"(\d{1,9})", re.DOTALL)
# A key signature of two bytes that are not -7..7 sharps and major or minor
BAD_KEY_EVENT = re.compile(rb"\xff\x59\x02(?=[\x08-\xf8]|.[\x02-\xff])", re.DOTALL)
UNKNOWN_KEY_EVENT = b"\xff\x7f\x02"

# The names mido has for 7 flats to 7 sharps
MAJOR_NAMES = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR_NAMES = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m")


def read(path: Path) -> Score:
    """Read one MIDI file in pure Python: nothing that is in it can take the process down.

    Raises:
        ReadError: the file is not MIDI, is torn, absurdly long, or holds no notes.
    """
    data = _midi_bytes(path)
    try:
        try:
            file = mido.MidiFile(file=io.BytesIO(data), clip=True)
        except KeySignatureError:
            # Only the notation of the key is lost: the event is given a type that nobody reads.
            file = mido.MidiFile(file=io.BytesIO(BAD_KEY_EVENT.sub(UNKNOWN_KEY_EVENT, data)), clip=True)
    except Exception as error:  # mido lets whatever its parser trips over through: IndexError, ValueError, OSError...
        reason = str(error) or type(error).__name__
        raise ReadError(f"{path}: torn or damaged ({reason}), expected a whole MIDI file") from error
    tracks: list[Track] = []
    rows: list[tuple[int, ...]] = []
    events: dict[str, list] = {what: [] for what in MAP_COLUMNS}
    texts: list[tuple[int, str]] = []
    for midi_track in file.tracks:
        name, parts = _walk(midi_track, events, texts)
        for channel, program in sorted(parts):
            rows.extend((*row, len(tracks)) for row in parts[channel, program])
            tracks.append(Track(program, channel == DRUM_CHANNEL, name))
    texts = [text for text in texts if not text[1].startswith(PICKUP_TEXT)]
    # A torn tick may have any number of bytes; what is far beyond every limit must still fit its table.
    maps = {what: _bounded(found, MAP_COLUMNS[what]) for what, found in events.items()}
    return _score(path, data, tracks, _bounded(rows, 5), maps, texts)


def _bounded(rows: list, columns: int) -> np.ndarray:
    """Rows of integers of any size as int64 [K, columns]."""
    return np.array(rows, dtype=object).reshape(-1, columns).clip(max=ENDLESS).astype(np.int64)


def read_bulk(path: Path) -> Score:
    """What `read` gives, a hundred times faster, without the texts. symusic may kill the process: only for workers.

    Raises:
        ReadError: the file is not MIDI, is torn, absurdly long, or holds no notes.
    """
    import symusic

    data = _midi_bytes(path)
    try:
        file = symusic.Score.from_midi(data)
    except Exception as error:  # symusic raises RuntimeError, ValueError or UnicodeError
        raise ReadError(f"{path}: torn or damaged ({error}), expected a whole MIDI file") from error
    parts = [part for part in file.tracks if len(part.notes)]
    fields = ("time", "duration", "pitch", "velocity")
    columns = [[rows[field].astype(np.int64) for field in fields] for rows in (part.notes.numpy() for part in parts)]
    tables = [np.stack([*column, np.full(len(column[0]), k)], axis=1) for k, column in enumerate(columns)]
    notes = np.concatenate([np.zeros((0, 5), np.int64), *tables])
    tempi, meters, keys = (rows.numpy() for rows in (file.tempos, file.time_signatures, file.key_signatures))
    maps = {
        "tempo": np.stack([tempi["time"], tempi["mspq"]], axis=1).astype(np.int64),
        "meter": np.stack([meters[name].astype(np.int64) for name in ("time", "numerator", "denominator")], axis=1),
        "key": np.stack([keys[name].astype(np.int64) for name in ("time", "key", "tonality")], axis=1),
    }
    if _is_ambiguous(parts, notes, maps):
        return read(path)
    tracks = [Track(part.program, part.is_drum, part.name) for part in parts]
    return _score(path, data, tracks, notes, maps, [])


def _pickup_tick(data: bytes) -> int:
    """What the pickup event of a file says; its length counts, since the next byte may look like one more digit."""
    event = PICKUP_EVENT.search(data)
    digits = event[2][: max(0, event[1][0] - len(PICKUP_TEXT))] if event else b""
    return int(digits or b"0")


def write(score: Score, path: Path) -> None:
    """Write a MIDI file, whole or not at all, the same bytes for the same Score; `read` gives `score.canonical()`.

    Raises:
        OutputError: the file cannot be written, or the music is too long for MIDI.
    """
    score = score.canonical()
    last_tick = max([score.end_tick, *(tick for tick, _ in _conductor_events(score))])
    if last_tick > longest_tick(score.ticks_per_quarter):
        limit = longest_tick(score.ticks_per_quarter)
        raise OutputError(f"{path}: the music lasts {last_tick} ticks, expected at most {limit}")
    file = mido.MidiFile(ticks_per_beat=score.ticks_per_quarter, charset="utf-8")
    file.tracks.append(_relative(_conductor_events(score)))
    for k, channel in enumerate(_channels(score.tracks)):
        file.tracks.append(_relative(_track_events(score.tracks[k], channel, score.notes[score.notes["track"] == k])))
    data = io.BytesIO()
    file.save(file=data)
    with whole(path) as beside:
        beside.write_bytes(data.getvalue())


def longest_tick(ticks_per_quarter: int) -> int:
    """The last tick that a file of this resolution may reach."""
    return min(LONGEST_PIECE * ticks_per_quarter, LONGEST_DELTA)


def _midi_bytes(path: Path) -> bytes:
    """The bytes of a file that at least begins as a MIDI file in ticks per quarter does."""
    data = read_bytes(path)
    if len(data) < 14 or data[:4] != b"MThd":
        raise ReadError(f"{path}: begins with {data[:16]!r}, expected b'MThd' and the rest of a MIDI file")
    (division,) = struct.unpack(">h", data[12:14])
    if division < 1:
        raise ReadError(f"{path}: time division {division}, expected ticks per quarter (1 to 32767)")
    return data


def _walk(midi_track: mido.MidiTrack, maps: dict[str, list], texts: list) -> tuple[str, dict[tuple[int, int], list]]:
    """The name of a MIDI track and, by (channel, program), its notes as (onset, duration, pitch, velocity).

    What its meta events say is appended to `maps` and `texts`, with absolute ticks.
    """
    tick, name, programs = 0, "", [0] * 16
    # (channel, pitch) -> notes as (onset, velocity, program), the earliest first
    sounding: defaultdict[tuple[int, int], deque] = defaultdict(deque)
    parts = defaultdict(list)
    for event in midi_track:
        tick += event.time
        kind = event.type
        if kind == "note_on" and event.velocity:
            sounding[event.channel, event.note].append((tick, event.velocity, programs[event.channel]))
        elif kind in ("note_on", "note_off"):
            if waiting := sounding[event.channel, event.note]:
                onset, velocity, program = waiting.popleft()
                parts[event.channel, program].append((onset, tick - onset, event.note, velocity))
        elif kind == "program_change":
            programs[event.channel] = event.program
        elif kind == "set_tempo":
            maps["tempo"].append((tick, event.tempo))
        elif kind == "time_signature":
            # The exponent is a byte: 2 ** 255 would not fit a table
            maps["meter"].append((tick, event.numerator, min(event.denominator, 256)))
        elif kind == "key_signature":
            minor = event.key.endswith("m")
            maps["key"].append((tick, (MINOR_NAMES if minor else MAJOR_NAMES).index(event.key) - 7, minor))
        elif kind == "track_name":
            name = _decoded(event.name)
        elif kind == "text":
            texts.append((tick, _decoded(event.text)))
    return name, parts


def _decoded(latin1: str) -> str:
    """What mido read as Latin-1: MIDI names no encoding, so UTF-8 where it is that."""
    try:
        return latin1.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return latin1


def _is_ambiguous(parts: list, notes: np.ndarray, maps: dict[str, np.ndarray]) -> bool:
    """Whether symusic lost what decides: the order of events in one tick, a name not in UTF-8, a wrong byte."""
    for rows in maps.values():
        distinct = np.unique(rows, axis=0)
        if len(np.unique(distinct[:, 0])) < len(distinct):
            return True
    return any("\ufffd" in part.name for part in parts) or bool((notes[:, 2:4] < 0).any())


def _score(path: Path, data: bytes, tracks: list, notes: np.ndarray, maps: dict[str, np.ndarray], texts: list) -> Score:
    """The canonical Score of what a reader found.

    Args:
        path: for messages.
        data: the file, for its resolution and pickup.
        tracks: what the notes' last column points to.
        notes: int64 [N, 5]: onset_tick, duration_tick, pitch, velocity, track.
        maps: int64 [K, ...]: "tempo" (tick, microseconds), "meter" (tick, over, under), "key" (tick, sharps, minor).
        texts: (tick, text).
    """
    if not len(notes):
        raise ReadError(f"{path}: no notes, expected music")
    (ticks_per_quarter,) = struct.unpack(">h", data[12:14])
    ticks = np.concatenate([notes[:, 0] + notes[:, 1], notes[:, 0], *(rows[:, 0] for rows in maps.values())])
    limit = longest_tick(ticks_per_quarter)
    if ticks.max() > limit or ticks.min() < 0:
        raise ReadError(f"{path}: reaches tick {ticks.max()}, expected at most {limit}")
    onset, duration, pitch, velocity, track = notes.T
    return Score(
        notes=table(NOTE_DTYPE, onset, np.maximum(duration, 1), pitch, velocity, track),
        tracks=tuple(tracks),
        **_meaningful(maps),
        ticks_per_quarter=ticks_per_quarter,
        texts=tuple(texts),
        pickup_tick=_pickup_tick(data),
    ).canonical()


def _meaningful(maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The maps of a Score, without the rows that mean nothing in MIDI."""
    tempo, (key_tick, sharps, minor) = maps["tempo"], maps["key"].reshape(-1, 3).T
    tempo = tempo[(tempo[:, 1] > 0) & (tempo[:, 1] <= MAX_US_PER_QUARTER)]
    known = (np.abs(sharps) <= 7) & ((minor == 0) | (minor == 1))
    tonic = (7 * sharps + np.where(minor, 9, 0)) % 12
    return {
        "tempi": table(TEMPO_DTYPE, *tempo.T),
        "meters": writable_meters(*maps["meter"].T),
        "keys": table(KEY_DTYPE, key_tick[known], tonic[known], minor[known]),
    }


def _conductor_events(score: Score) -> list[tuple[int, mido.MetaMessage]]:
    """(tick, event) of all that holds for the whole piece, by tick."""
    events = [(tick, mido.MetaMessage("set_tempo", tempo=us)) for tick, us in score.tempi.tolist()]
    for tick, over, under in score.meters.tolist():
        events.append((tick, mido.MetaMessage("time_signature", numerator=over, denominator=under)))
    for tick, tonic, minor in score.keys.tolist():
        # a minor key has the signature of the major key three semitones above
        name = MINOR_NAMES[SHARPS[(tonic + 3) % 12] + 7] if minor else MAJOR_NAMES[SHARPS[tonic] + 7]
        events.append((tick, mido.MetaMessage("key_signature", key=name)))
    if score.pickup_tick:
        events.append((0, mido.MetaMessage("text", text=f"{PICKUP_TEXT}{score.pickup_tick}")))
    events.extend((tick, mido.MetaMessage("text", text=text)) for tick, text in score.texts)
    return sorted(events, key=lambda event: event[0])


def _track_events(track: Track, channel: int, notes: np.ndarray) -> list[tuple[int, mido.MetaMessage | mido.Message]]:
    """(tick, event) of one track, by tick; at one tick, notes end before others begin."""
    named = [(0, mido.MetaMessage("track_name", name=track.name))] if track.name else []
    program = [(0, mido.Message("program_change", program=track.program, channel=channel))]
    order = np.argsort(notes["onset_tick"] + notes["duration_tick"], kind="stable")
    ended = notes[order]
    off_tick = (ended["onset_tick"] + ended["duration_tick"]).tolist()
    events = [
        (tick, mido.Message("note_off", note=pitch, velocity=0, channel=channel))
        for tick, pitch in zip(off_tick, ended["pitch"].tolist(), strict=True)
    ]
    events.extend(
        (tick, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel))
        for tick, _, pitch, velocity, _ in notes.tolist()
    )
    return named + program + sorted(events, key=lambda event: event[0])


def _channels(tracks: tuple[Track, ...]) -> list[int]:
    """A channel for each track: its own while there are enough, then one for each program, then shared in turn."""
    melodic = [k for k, track in enumerate(tracks) if not track.drum]
    programs = sorted({tracks[k].program for k in melodic})
    channels = [DRUM_CHANNEL] * len(tracks)
    for nth, k in enumerate(melodic):
        turn = nth if len(melodic) <= len(MELODIC_CHANNELS) else programs.index(tracks[k].program)
        channels[k] = MELODIC_CHANNELS[turn % len(MELODIC_CHANNELS)]
    return channels


def _relative(events: list[tuple[int, mido.MetaMessage | mido.Message]]) -> mido.MidiTrack:
    """A MIDI track of events in order of their ticks: each with the ticks since the one before."""
    track, last = mido.MidiTrack(), 0
    for tick, event in events:
        event.time = tick - last
        track.append(event)
        last = tick
    return track
