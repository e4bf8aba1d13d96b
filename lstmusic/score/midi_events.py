"""The bytes of a MIDI file -> tables of its events, vectorised: a regular expression finds them, NumPy reads them.

Four times faster than a loop in Python over a small file, thirty times over a large one, and unlike a parser in C it
cannot take the process down. Source of the format: Standard MIDI Files 1.0.
"""

from __future__ import annotations

import re
import struct
from itertools import chain
from typing import NamedTuple

import numpy as np

from lstmusic.errors import ReadError
from lstmusic.score.remarks import Remarks

NOTE_OFF, NOTE_ON, AFTERTOUCH, CONTROL, PROGRAM, PRESSURE, BEND = range(0x80, 0xF0, 0x10)
META = 0xFF

_DELTA = rb"[\x80-\xff]{0,3}[\x00-\x7f]"
# A length and what it announces, for lengths of one byte; longer ones are read by `_long_event`.
_SIZED = rb"(?:" + rb"|".join(re.escape(bytes([n])) + rb".{%d}" % n for n in range(128)) + rb")"
_CHOICES = (
    rb"[\x80-\xbf\xe0-\xef]..",  # a status and two data bytes, whatever they are: they are clipped later
    rb"[\x00-\x7f].",  # two data bytes under the status before
    rb"[\xc0-\xdf].(?:"
    + _DELTA
    + rb"[\x00-\x7f])*+",  # one data byte; those that follow under this status belong to it
    rb"\xff[\x00-\x7f]" + _SIZED,
    rb"[\xf0\xf7]" + _SIZED,
    rb"[\xf4-\xf6\xf8-\xfe]|[\xf1\xf3].|\xf2..",  # what belongs on a cable, not into a file: it is left out
)
_EVENT = re.compile(rb"(?s)" + _DELTA + rb"(?:" + rb"|".join(_CHOICES) + rb")")
_EVENTS = re.compile(rb"(?s)(?:" + _EVENT.pattern.removeprefix(rb"(?s)") + rb")*+")
# A run under one status of one data byte
_RUN_EVENT = re.compile(rb"(?s)(" + _DELTA + rb")([\xc0-\xdf])(.)((?:" + _DELTA + rb"[\x00-\x7f])+)")
_RUN_MEMBER = re.compile(rb"(" + _DELTA + rb")([\x00-\x7f])")
_END = b"\xff\x2f\x00"
_LONG_EVENT = re.compile(rb"(?s)" + _DELTA + rb"(?:\xff.|[\xf0\xf7])([\x80-\xff]{1,3}[\x00-\x7f])")


class Events(NamedTuple):
    """The events of a file, MIDI track by MIDI track, in their order.

    Attributes:
        ticks_per_quarter: the file's resolution.
        tick, track: int64 [K], the time and the MIDI track of each channel event.
        status, data1, data2: uint8 [K], its bytes, the status with its channel.
        metas: (tick, MIDI track, type, payload) of each meta event.
        end_tick: int64 [MIDI tracks], when each ends.
    """

    ticks_per_quarter: int
    tick: np.ndarray
    track: np.ndarray
    status: np.ndarray
    data1: np.ndarray
    data2: np.ndarray
    metas: list[tuple[int, int, int, bytes]]
    end_tick: np.ndarray


def parse(data: bytes, name: str, remarks: Remarks) -> Events:
    """The events of a file.

    Args:
        data: the whole file.
        name: for messages.
        remarks: counts what was mended.

    Raises:
        ReadError: it is not MIDI, or torn.
    """
    if len(data) < 14 or data[:4] != b"MThd":
        raise ReadError(f"{name}: begins with {data[:16]!r}, expected b'MThd' and the rest of a MIDI file")
    (division,) = struct.unpack(">h", data[12:14])
    if division < 1:
        raise ReadError(f"{name}: time division {division}, expected ticks per quarter (1 to 32767)")
    chunks = _chunks(data, name, remarks)
    tracks = [_tokens(chunk, f"{name}: track {k}", remarks) for k, chunk in enumerate(chunks, start=1)]
    return _decode(tracks, division, name, remarks)


def _chunks(data: bytes, name: str, remarks: Remarks) -> list[bytes]:
    """The bodies of all track chunks; more than the header announces are read too.

    Raises:
        ReadError: there are fewer than the header announces, or one of them is not whole.
    """
    header_bytes, _, announced = struct.unpack(">IHH", data[4:12])
    chunks: list[bytes] = []
    at = 8 + header_bytes
    while len(chunks) < announced or data[at : at + 4] == b"MTrk":
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        start, at = at + 8, at + 8 + size
        if kind == b"MTrk" and not _is_whole(data, start, at):
            at = _end_of_track(data, start)
            if at:
                remarks.repairs["wrong track lengths corrected"] += 1
        if not at or at > len(data) or len(kind) < 4:
            raise ReadError(f"{name}: torn in track {len(chunks) + 1} of {announced}, expected a whole MIDI file")
        if kind == b"MTrk":
            chunks.append(data[start:at])
        else:
            remarks.repairs["foreign chunks skipped"] += 1
    if len(chunks) > announced:
        remarks.repairs["tracks that the header does not announce"] += len(chunks) - announced
    if at < len(data):
        remarks.repairs["bytes after the last track left out"] += 1
    return chunks


def _is_whole(data: bytes, start: int, end: int) -> bool:
    """Whether a track may end here: with its end, with the file, or where another chunk begins."""
    return end <= len(data) and (data[start:end].endswith(_END) or end == len(data) or data[end : end + 4].isalpha())


def _end_of_track(data: bytes, start: int) -> int:
    """Where a track of a wrong length ends: before the next one or with the file, if it is whole; else 0."""
    following = data.find(b"MTrk", start)
    end = following if following >= 0 else len(data)
    return end if data[start:end].endswith(_END) else 0


def _tokens(track: bytes, name: str, remarks: Remarks) -> list[bytes]:
    """The events of a track chunk, each with its time before it, up to and including its end of track."""
    tokens: list[bytes] = _EVENT.findall(track)
    at = len(track)
    if sum(map(len, tokens)) < len(track):  # a long text, or damage that findall went over
        tokens, at = _tokens_one_by_one(track)
    if at < len(track) or not tokens or not tokens[-1].endswith(_END) or track.count(_END) > 1:
        ends = [k for k, token in enumerate(tokens) if token.endswith(_END)]
        if not ends and at < len(track):
            raise ReadError(f"{name}: damaged at its byte {at} of {len(track)}, expected a MIDI event")
        if not ends:
            remarks.repairs["missing ends of track"] += 1
        elif at < len(track) or ends[0] + 1 < len(tokens):
            remarks.repairs["bytes after the end of a track left out"] += 1
            tokens = tokens[: ends[0] + 1]
    return tokens


def _tokens_one_by_one(track: bytes) -> tuple[list[bytes], int]:
    """The events up to the end or the first damage, and where that is."""
    tokens: list[bytes] = []
    at = 0
    while at < len(track):
        match = _EVENTS.match(track, at)
        end = match.end() if match else at
        tokens += _EVENT.findall(track, at, end)
        at = end
        long = _LONG_EVENT.match(track, at)
        stop = long.end() + _number(long[1]) if long else len(track) + 1
        if stop > len(track):
            break
        tokens.append(track[at:stop])
        at = stop
    return tokens, at


def _number(variable: bytes) -> int:
    """A variable-length quantity."""
    value = 0
    for byte in variable:
        value = value << 7 | byte & 0x7F
    return value


def _decode(tracks: list[list[bytes]], division: int, name: str, remarks: Remarks) -> Events:
    """The tables of the tokens of each MIDI track."""
    tokens = list(chain.from_iterable(tracks))
    data = np.frombuffer(b"".join(tokens) + b"\0\0\0\0", np.uint8)
    size = np.fromiter(map(len, tokens), np.int64, len(tokens))
    at = np.cumsum(size) - size
    wait, status_at = _waits(data, at)
    status = data[status_at]
    if (((status & 0xE0) == 0xC0) & (at + size > status_at + 2)).any():
        return _decode([list(chain.from_iterable(map(_run_apart, track))) for track in tracks], division, name, remarks)
    lengths = np.array([len(track) for track in tracks], np.int64)
    track = np.repeat(np.arange(len(tracks)), lengths)
    elapsed = np.append(0, np.cumsum(wait))
    first = np.cumsum(lengths) - lengths
    tick = elapsed[1:] - elapsed[first][track]
    is_channel, stray = status < 0xF0, (status > 0xF0) & (status < META) & (status != 0xF7)
    if stray.any():
        remarks.repairs["system bytes left out"] += int(stray.sum())
    has_status = is_channel & (status > 0x7F)
    running = np.maximum.accumulate(np.where(has_status, np.arange(len(tokens)), -1))
    kept = np.flatnonzero(is_channel)
    if (running[kept] < first[track[kept]]).any():
        raise ReadError(f"{name}: a data byte without a status, expected a MIDI event")
    data_at = status_at[kept] + has_status[kept]
    status, data1, data2 = status[running[kept]], data[data_at], data[data_at + 1]
    over = (data1 > 127) | ((data2 > 127) & ((status & 0xE0) != 0xC0))  # a program or pressure has one data byte
    if over.any():
        remarks.repairs["data bytes over 127 clipped"] += int(over.sum())
    metas = [
        _meta(tokens[k], int(status_at[k] - at[k]), int(tick[k]), int(track[k]))
        for k in np.flatnonzero(data[status_at] == META).tolist()
    ]
    end_tick = elapsed[first + lengths] - elapsed[first]
    return Events(
        division, tick[kept], track[kept], status, np.minimum(data1, 127), np.minimum(data2, 127), metas, end_tick
    )


def _waits(data: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The time before each event, in ticks, and where its status (or first data byte) is; int64 [K] each."""
    byte = data[at]
    wait = (byte & 0x7F).astype(np.int64)
    place = at.copy()
    more = np.flatnonzero(byte > 127)
    while len(more):
        place[more] += 1
        byte = data[place[more]]
        wait[more] = wait[more] << 7 | byte & 0x7F
        more = more[byte > 127]
    return wait, place + 1


def _run_apart(token: bytes) -> list[bytes]:
    """The events of a run under one status of one data byte, each with its status; anything else as it is."""
    run = _RUN_EVENT.fullmatch(token)
    if run is None:
        return [token]
    return [run[1] + run[2] + run[3], *(wait + run[2] + value for wait, value in _RUN_MEMBER.findall(run[4]))]


def _meta(token: bytes, status_from: int, tick: int, track: int) -> tuple[int, int, int, bytes]:
    """(tick, MIDI track, type, payload) of a meta event."""
    payload_from = next(k for k in range(status_from + 2, len(token)) if token[k] < 128) + 1
    return tick, track, token[status_from + 1], token[payload_from:]
