"""MusicXML, ABC and Humdrum -> Score, through music21.

A part becomes a track. Tied notes become one; grace notes, chord symbols and repeat signs are left out and counted (a
repeated section is there once), fermatas and dynamics are left out. 480 ticks a quarter, which every tuplet of notation up
to 1/32 divides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lstmusic.errors import ReadError
from lstmusic.score.files import read_bytes
from lstmusic.score.pretty import writable_meters
from lstmusic.score.score import (
    DRUM_CHANNEL,
    KEY_DTYPE,
    MAX_US_PER_QUARTER,
    MICROSECONDS_PER_MINUTE,
    NOTE_DTYPE,
    TEMPO_DTYPE,
    Score,
    Track,
    settled,
    table,
)

if TYPE_CHECKING:
    import music21

    from lstmusic.score.remarks import Remarks

TICKS_PER_QUARTER = 480
DEFAULT_VELOCITY = 90
MINOR_MODES = ("minor", "dorian", "phrygian", "aeolian", "locrian")


def read(path: Path, remarks: Remarks | None = None) -> Score:
    """Read one file of notation, with one piece in it.

    Args:
        path: the file.
        remarks: gathers what is left out.

    Raises:
        ReadError: music21 cannot read it, it holds several pieces, or none with notes.
    """
    import music21

    read_bytes(path)  # for its checks alone: music21 opens the file itself, to see from its name what it is
    try:
        converter = music21.converter.Converter()
        converter.parseFile(path, forceSource=True, storePickle=False)  # never a pickle from a folder all can write to
        stream = converter.stream
        if isinstance(stream, music21.stream.Opus):
            pieces = list(stream.scores)
            if len(pieces) != 1:
                raise ReadError(f"{path}: holds {len(pieces)} pieces, expected one")
            stream = pieces[0]
        score = from_music21(stream, remarks)
    except ReadError:
        raise
    except Exception as error:  # a parser of many formats, with as many kinds of failure
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ReadError(f"{path}: cannot be read as notation ({reason}), expected MusicXML, ABC or Humdrum") from error
    if not len(score.notes):
        raise ReadError(f"{path}: no notes, expected music")
    return score


def from_music21(stream: music21.stream.Stream, remarks: Remarks | None = None) -> Score:
    """The Score, in canonical form, of a music21 Score or Part, at sounding pitch.

    The meters are those that are written; a first bar that is shorter than its meter becomes `pickup_tick`.

    Args:
        stream: what music21 read.
        remarks: gathers what is left out.
    """
    import music21

    losses = remarks.losses if remarks else Counter()

    if any(instrument.transposition for instrument in stream[music21.instrument.Instrument]):
        stream = stream.toSoundingPitch()
    parts = list(stream.parts) if isinstance(stream, music21.stream.Score) and stream.parts else [stream]
    notes = [(*row, k) for k, part in enumerate(parts) for row in _part_notes(part, losses)]
    if repeats := len(parts[0][music21.bar.Repeat]):
        losses["repeat signs left out"] += repeats
    onset, duration, pitch, velocity, track = np.array(notes, np.int64).reshape(-1, 5).T
    meters = _first_map(parts, music21.meter.TimeSignature, lambda m: (m.numerator, m.denominator), 2)
    keys = _first_map(parts, music21.key.KeySignature, _tonic_and_mode, 2)
    return Score(
        notes=table(NOTE_DTYPE, onset, np.maximum(duration, 1), pitch, velocity, track),
        tracks=tuple(_track(part) for part in parts),
        tempi=_tempi(stream),
        meters=writable_meters(*meters.T),
        keys=table(KEY_DTYPE, *keys.T),
        ticks_per_quarter=TICKS_PER_QUARTER,
        pickup_tick=_pickup_tick(parts[0]),
    ).canonical()


def _tick(quarters: float | Fraction) -> int:
    return round(quarters * TICKS_PER_QUARTER)


def _part_notes(part: music21.stream.Stream, losses: Counter) -> list[tuple[int, int, int, int]]:
    """(onset_tick, duration_tick, pitch, velocity) of what sounds in a part; a chain of ties is one note."""
    import music21

    notes: list[list[int]] = []
    open_ties: dict[int, int] = {}  # pitch -> where in `notes` a note is that goes on
    for element in part.flatten().notes:
        if element.duration.isGrace or isinstance(element, music21.harmony.Harmony):
            losses["grace notes left out" if element.duration.isGrace else "chord symbols left out"] += 1
            continue
        onset = _tick(element.offset)
        offset = _tick(element.offset + element.duration.quarterLength)
        for member in element.notes if isinstance(element, music21.chord.ChordBase) else [element]:
            pitch, tie = _midi_pitch(member), member.tie.type if member.tie else None
            before = open_ties.pop(pitch, None)
            if before is not None and tie in ("continue", "stop") and sum(notes[before][:2]) == onset:
                notes[before][1] = offset - notes[before][0]
            else:
                before = len(notes)
                notes.append([onset, offset - onset, pitch, member.volume.velocity or DEFAULT_VELOCITY])
            if tie in ("start", "continue"):
                open_ties[pitch] = before
    return [(onset, duration, pitch, velocity) for onset, duration, pitch, velocity in notes]


def _midi_pitch(note: music21.note.NotRest) -> int:
    """0-127; for a percussion note without a pitch its sound in the drum kit, or else where it stands on the staff."""
    import music21

    if isinstance(note, music21.note.Unpitched):
        sound = getattr(note.storedInstrument, "percMapPitch", None)
        return note.displayPitch().midi if sound is None else sound
    return note.pitch.midi


def _track(part: music21.stream.Stream) -> Track:
    """Program, drum kit and name of a part; what it does not say is the piano."""
    import music21

    instrument = part[music21.instrument.Instrument].first()
    name = getattr(part, "partName", None) or (instrument.partName if instrument else None) or ""
    drum = getattr(instrument, "midiChannel", None) == DRUM_CHANNEL or bool(part[music21.note.Unpitched])
    return Track((instrument.midiProgram if instrument else None) or 0, drum, name)


def _first_map(parts: list, kind: type, values: Callable, width: int) -> np.ndarray:
    """Rows (tick, *values) [K, 1 + width] of the first part that has elements of this kind; the others repeat it."""
    for part in parts:
        rows = [(_tick(element.offset), *values(element)) for element in part.flatten().getElementsByClass(kind)]
        if rows:
            return np.array(rows, np.int64)
    return np.zeros((0, 1 + width), np.int64)


def _tonic_and_mode(signature: music21.key.KeySignature) -> tuple[int, bool]:
    """Pitch class, and whether the third above it is minor; a bare signature is taken for its major key."""
    key = signature if hasattr(signature, "mode") else signature.asKey("major")
    return key.tonic.pitchClass, key.mode in MINOR_MODES


def _tempi(stream: music21.stream.Stream) -> np.ndarray:
    """The tempo map [K] of the metronome marks that give a number, in whichever part they stand."""
    import music21

    marks = stream.flatten().getElementsByClass(music21.tempo.MetronomeMark)
    rows = [(_tick(mark.offset), mark.getQuarterBPM()) for mark in marks]
    rows = [(tick, round(MICROSECONDS_PER_MINUTE / qpm)) for tick, qpm in rows if qpm]
    tick, us_per_quarter = np.array(rows, np.int64).reshape(-1, 2).T
    return settled(table(TEMPO_DTYPE, tick, us_per_quarter.clip(1, MAX_US_PER_QUARTER)))


def _pickup_tick(part: music21.stream.Stream) -> int:
    """How long the first measure lasts, if that is less than its meter says and another measure follows; else 0."""
    measures = list(part.getElementsByClass("Measure")[:2])
    if len(measures) < 2:
        return 0
    length = measures[1].offset - measures[0].offset
    return _tick(length) if length < measures[0].barDuration.quarterLength else 0
