"""Score -> MusicXML, through music21."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from lstmusic.files import whole
from lstmusic.score.score import DRUM_CHANNEL, MICROSECONDS_PER_MINUTE, SHARPS, Score, Track

if TYPE_CHECKING:
    import music21
    import numpy as np


def write_musicxml(score: Score, path: Path) -> None:
    """Write a MusicXML file (uncompressed), whole or not at all; times are rounded as by `to_music21`.

    Raises:
        OutputError: the file cannot be written.
    """
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    notation = GeneralObjectExporter(to_music21(score)).parse()
    with whole(path) as beside:
        beside.write_bytes(notation)


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
