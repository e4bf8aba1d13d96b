"""Score <-> pretty_midi, the object that people pass around. It counts in seconds; the ticks survive all the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lstmusic.score.score import (
    DEFAULT_METER,
    DEFAULT_US_PER_QUARTER,
    DENOMINATORS,
    KEY_DTYPE,
    MAX_NUMERATOR,
    MAX_US_PER_QUARTER,
    METER_DTYPE,
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
from lstmusic.score.tempo import TempoMap, seconds_at, tempo_map, ticks_at

if TYPE_CHECKING:
    import pretty_midi

PICKUP_TEXT = "lstmusic:pickup="  # followed by ticks: how a MIDI file or object tells `Score.pickup_tick`


def to_pretty_midi(score: Score) -> pretty_midi.PrettyMIDI:
    """The same music as a pretty_midi object, exact to the tick, also after pretty_midi has written it.

    Raises:
        ValueError: the music reaches beyond the last tick that pretty_midi can hold.
    """
    import pretty_midi

    limit = int(pretty_midi.pretty_midi.MAX_TICK)
    if score.end_tick >= limit:
        raise ValueError(f"the music lasts {score.end_tick} ticks, pretty_midi holds fewer than {limit}")
    midi = pretty_midi.PrettyMIDI(resolution=score.ticks_per_quarter, charset="utf-8")
    tempi = settled(score.tempi, DEFAULT_US_PER_QUARTER)
    scales = [_tick_scale(us, score.ticks_per_quarter) for us in tempi["us_per_quarter"].tolist()]
    midi._tick_scales = list(zip(tempi["tick"].tolist(), scales, strict=True))
    midi._update_tick_to_time(score.end_tick)
    clock = _clock(midi)

    def at(tick: int) -> float:
        return float(seconds_at(clock, tick))

    midi.time_signature_changes = [pretty_midi.TimeSignature(n, d, at(tick)) for tick, n, d in score.meters.tolist()]
    midi.key_signature_changes = [
        pretty_midi.KeySignature(tonic + 12 * minor, at(tick)) for tick, tonic, minor in score.keys.tolist()
    ]
    pickup = [(0, f"{PICKUP_TEXT}{score.pickup_tick}")] if score.pickup_tick else []
    midi.text_events = [pretty_midi.Text(text, at(tick)) for tick, text in [*pickup, *score.texts]]
    midi.instruments = [pretty_midi.Instrument(track.program, track.drum, track.name) for track in score.tracks]
    onset_s = seconds_at(clock, score.notes["onset_tick"]).tolist()
    offset_s = seconds_at(clock, score.notes["onset_tick"] + score.notes["duration_tick"]).tolist()
    for note, start, end in zip(score.notes.tolist(), onset_s, offset_s, strict=True):
        _, _, pitch, velocity, track = note
        midi.instruments[track].notes.append(pretty_midi.Note(velocity, pitch, start, end))
    for tick, track, down in score.pedals.tolist():
        midi.instruments[track].control_changes.append(pretty_midi.ControlChange(SUSTAIN, 127 * down, at(tick)))
    return midi


def from_pretty_midi(source: pretty_midi.PrettyMIDI) -> Score:
    """The Score of a pretty_midi object: its notes at the nearest ticks, every instrument a track.

    Tempo and meter begin at tick 0, as in every Score that comes from outside; lyrics, bends and
    controllers other than the sustain pedal are left out.
    """
    clock = _clock(source)
    notes = [
        (note.start, note.end, note.pitch, note.velocity, k)
        for k, instrument in enumerate(source.instruments)
        for note in instrument.notes
    ]
    start, end, pitch, velocity, track = np.array(notes, np.float64).reshape(-1, 5).T
    onset_tick = ticks_at(clock, start)
    duration_tick = np.maximum(ticks_at(clock, end) - onset_tick, 1)
    texts = [(int(ticks_at(clock, text.time)), text.text) for text in source.text_events]
    pickups = [text.removeprefix(PICKUP_TEXT) for _, text in texts if text.startswith(PICKUP_TEXT)]
    keys = [(key.time, key.key_number) for key in source.key_signature_changes]
    key_s, key_number = np.array(keys, np.float64).reshape(-1, 2).T
    pedals = [
        (control.time, k, control.value >= 64)
        for k, instrument in enumerate(source.instruments)
        for control in instrument.control_changes
        if control.number == SUSTAIN
    ]
    pedal_s, pedal_track, down = np.array(pedals, np.float64).reshape(-1, 3).T
    meters = [(meter.time, meter.numerator, meter.denominator) for meter in source.time_signature_changes]
    meter_s, over, under = np.array(meters, np.float64).reshape(-1, 3).T
    tick, _, seconds_per_tick = clock
    us_per_quarter = np.rint(seconds_per_tick * source.resolution * 1e6).clip(1, MAX_US_PER_QUARTER)
    return Score(
        notes=sorted_notes(table(NOTE_DTYPE, onset_tick, duration_tick, pitch, velocity, track)),
        tracks=tuple(Track(int(i.program), bool(i.is_drum), i.name) for i in source.instruments),
        tempi=settled(table(TEMPO_DTYPE, tick, us_per_quarter)),
        meters=settled(writable_meters(ticks_at(clock, meter_s), over, under), *DEFAULT_METER),
        keys=settled(table(KEY_DTYPE, ticks_at(clock, key_s), key_number % 12, key_number >= 12)),
        pedals=settled_pedals(table(PEDAL_DTYPE, ticks_at(clock, pedal_s), pedal_track, down)),
        ticks_per_quarter=int(source.resolution),
        texts=tuple(text for text in texts if not text[1].startswith(PICKUP_TEXT)),
        pickup_tick=int(pickups[0]) if pickups and pickups[0].isdigit() else 0,
    )


def writable_meters(tick: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The meter map [K] of those rows that a MIDI file can hold and that mean something (not 0/4, not 4/5)."""
    known = np.isin(denominator, DENOMINATORS) & (numerator >= 1) & (numerator <= MAX_NUMERATOR)
    return table(METER_DTYPE, tick[known], numerator[known], denominator[known])


def _clock(midi: pretty_midi.PrettyMIDI) -> TempoMap:
    """pretty_midi's own tempo map, computed as it does it, so that both find the same float for a tick."""
    tick, seconds_per_tick = zip(*midi._tick_scales, strict=True)
    return tempo_map(np.array(tick, np.int64), np.array(seconds_per_tick, np.float64))


def _tick_scale(us_per_quarter: int, resolution: int) -> float:
    """Seconds per tick such that pretty_midi, which rounds down when it writes, writes this very tempo."""
    scale = us_per_quarter / 1e6 / resolution
    while int(6e7 / (60.0 / (scale * resolution))) < us_per_quarter:
        scale = math.nextafter(scale, math.inf)
    return scale
