"""MusicXML, ABC and Humdrum <-> Score, through music21.

A part becomes a track. Tied notes become one; grace notes, fermatas, dynamics, chord symbols and repeat signs are left
out (a repeated section is there once). 480 ticks a quarter, which every tuplet of notation up to 1/32 divides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lstmusic.errors import ReadError
from lstmusic.files import whole
from lstmusic.score.files import read_bytes
from lstmusic.score.pretty import writable_meters
from lstmusic.score.score import (
    DRUM_CHANNEL,
    KEY_DTYPE,
    MAX_US_PER_QUARTER,
    MICROSECONDS_PER_MINUTE,
    NOTE_DTYPE,
    SHARPS,
    TEMPO_DTYPE,
    Score,
    Track,
    settled,
    table,
)

if TYPE_CHECKING:
    import music21

TICKS_PER_QUARTER = 480
DEFAULT_VELOCITY = 90
MINOR_MODES = ("minor", "dorian", "phrygian", "aeolian", "locrian")


def read(path: Path) -> Score:
    """Read one file of notation, with one piece in it.

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
        score = from_music21(stream)
    except ReadError:
        raise
    except Exception as error:  # a parser of many formats, with as many kinds of failure
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ReadError(f"{path}: cannot be read as notation ({reason}), expected MusicXML, ABC or Humdrum") from error
    if not len(score.notes):
        raise ReadError(f"{path}: no notes, expected music")
    return score


def from_music21(stream: music21.stream.Stream) -> Score:
    """The Score, in canonical form, of a music21 Score or Part, at sounding pitch.

    The meters are those that are written; a first bar that is shorter than its meter becomes `pickup_tick`.
    """
    import music21

    if any(instrument.transposition for instrument in stream[music21.instrument.Instrument]):
        stream = stream.toSoundingPitch()
    parts = list(stream.parts) if isinstance(stream, music21.stream.Score) and stream.parts else [stream]
    notes = [(*row, k) for k, part in enumerate(parts) for row in _part_notes(part)]
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


def write_musicxml(score: Score, path: Path) -> None:
    """Write a MusicXML file (uncompressed), whole or not at all; times are rounded as by `to_music21`.

    Raises:
        OutputError: the file cannot be written.
    """
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    notation = GeneralObjectExporter(to_music21(score)).parse()
    with whole(path) as beside:
        beside.write_bytes(notation)


def _tick(quarters: float | Fraction) -> int:
    return round(quarters * TICKS_PER_QUARTER)


def _part_notes(part: music21.stream.Stream) -> list[tuple[int, int, int, int]]:
    """(onset_tick, duration_tick, pitch, velocity) of what sounds in a part; a chain of ties is one note."""
    import music21

    notes: list[list[int]] = []
    open_ties: dict[int, int] = {}  # pitch -> where in `notes` a note is that goes on
    for element in part.flatten().notes:
        if element.duration.isGrace or isinstance(element, music21.harmony.Harmony):
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


def to_music21(score: Score) -> music21.stream.Score:
    """The same music as a music21 Score, in measures, ready to be engraved.

    Notation cannot say what a performer does: times are rounded to the nearest 1/8 or 1/6 of a quarter.
    """
    import music21

    score = score.canonical()
    out = music21.stream.Score()
    for k, track in enumerate(score.tracks):
        part = music21.stream.Part()
        part.partName = track.name
        part.insert(0, _instrument(track))
        for element in [*_signatures(score), *(_marks(score) if k == 0 else ())]:
            part.insert(*element)
        for onset, chord in _chords(score, score.notes[score.notes["track"] == k]):
            part.insert(onset, chord)
        out.insert(0, _in_measures(part, _quarters(score, score.pickup_tick)))
    return out


def _instrument(track: Track) -> music21.instrument.Instrument:
    import music21

    instrument = music21.instrument.UnpitchedPercussion() if track.drum else music21.instrument.Instrument()
    if track.drum:
        instrument.midiChannel = DRUM_CHANNEL
    else:
        # A name music21 does not know: reading MusicXML, it would believe a known one rather than the program.
        instrument.instrumentName = f"Program {track.program + 1}"
    instrument.midiProgram, instrument.partName = track.program, track.name
    return instrument


def _quarters(score: Score, tick: int) -> Fraction:
    """The multiple of 1/8 or 1/6 of a quarter that is nearest to a tick."""
    exact = Fraction(tick, score.ticks_per_quarter)
    return min((Fraction(round(exact * grid), grid) for grid in (8, 6)), key=lambda rounded: abs(rounded - exact))


def _signatures(score: Score) -> list[tuple[Fraction, music21.base.Music21Object]]:
    """(offset, meter or key) of a whole score; with a pickup, a short meter that `_in_measures` takes out again."""
    import music21

    meters = [(_quarters(score, tick), music21.meter.TimeSignature(f"{n}/{d}")) for tick, n, d in score.meters.tolist()]
    if pickup := _quarters(score, score.pickup_tick):
        meters[0] = (pickup, meters[0][1])
        meters.insert(0, (Fraction(0), music21.meter.TimeSignature(f"{pickup.numerator}/{pickup.denominator * 4}")))
    keys = []
    for tick, tonic, minor in score.keys.tolist():
        sharps = SHARPS[(tonic + 3) % 12 if minor else tonic]
        keys.append((_quarters(score, tick), music21.key.KeySignature(sharps).asKey("minor" if minor else "major")))
    return meters + keys


def _marks(score: Score) -> list[tuple[Fraction, music21.tempo.MetronomeMark]]:
    import music21

    return [
        (_quarters(score, tick), music21.tempo.MetronomeMark(number=round(MICROSECONDS_PER_MINUTE / us, 3)))
        for tick, us in score.tempi.tolist()
    ]


def _chords(score: Score, notes: np.ndarray) -> list[tuple[Fraction, music21.note.NotRest]]:
    """(offset, note or chord) of one track: notes that begin and end together are a chord."""
    import music21

    # (onset, offset) -> pitch -> velocity
    together: defaultdict[tuple[Fraction, Fraction], dict[int, int]] = defaultdict(dict)
    for onset_tick, duration_tick, pitch, velocity, _ in notes.tolist():
        onset = _quarters(score, onset_tick)
        offset = max(_quarters(score, onset_tick + duration_tick), onset + Fraction(1, 8))
        together[onset, offset][pitch] = velocity
    chords = []
    for (onset, offset), velocities in sorted(together.items()):
        members = [music21.note.Note(pitch, quarterLength=offset - onset) for pitch in velocities]
        for member, velocity in zip(members, velocities.values(), strict=True):
            member.volume.velocity = velocity
        chord = members[0] if len(members) == 1 else music21.chord.Chord(members, quarterLength=offset - onset)
        chords.append((onset, chord))
    return chords


def _in_measures(part: music21.stream.Part, pickup: Fraction) -> music21.stream.Part:
    """The part with bar lines, ties across them, voices where notes overlap, and its first measure a pickup."""
    part.makeMeasures(inPlace=True)
    part.makeTies(inPlace=True)
    measures = list(part.getElementsByClass("Measure"))
    for measure in measures:
        if measure.isFlat and measure.notes and not measure.isSequence():
            measure.makeVoices(inPlace=True, fillGaps=True)
    if pickup and len(measures) > 1:
        short, first = measures[0], measures[1]
        meter = first.timeSignature
        first.remove(meter)
        short.timeSignature = meter
        short.paddingLeft = meter.barDuration.quarterLength - pickup
        for number, measure in enumerate(measures):
            measure.number = number
    return part
