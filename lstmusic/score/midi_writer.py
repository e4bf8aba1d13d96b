"""Score -> MIDI file, through mido: the same bytes for the same Score."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import numpy as np

from lstmusic.errors import OutputError
from lstmusic.files import whole
from lstmusic.score.pretty import PICKUP_TEXT
from lstmusic.score.score import DRUM_CHANNEL, SHARPS, SUSTAIN, Score, Track

MELODIC_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
LONGEST_DELTA = 2**28 - 1  # ticks; four bytes of seven bits are all that a MIDI file has for a time
LONGEST_PIECE = 50_000  # quarters, seven hours at 120 a minute; what goes on for longer is a damaged file

# The names mido has for 7 flats to 7 sharps
MAJOR_NAMES = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR_NAMES = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m")


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
        notes, pedals = (rows[rows["track"] == k] for rows in (score.notes, score.pedals))
        file.tracks.append(_relative(_track_events(score.tracks[k], channel, notes, pedals)))
    data = io.BytesIO()
    file.save(file=data)
    with whole(path) as beside:
        beside.write_bytes(data.getvalue())


def longest_tick(ticks_per_quarter: int) -> int:
    """The last tick that a file of this resolution may reach."""
    return min(LONGEST_PIECE * ticks_per_quarter, LONGEST_DELTA)


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


def _track_events(
    track: Track, channel: int, notes: np.ndarray, pedals: np.ndarray
) -> list[tuple[int, mido.MetaMessage | mido.Message]]:
    """(tick, event) of one track, by tick; at one tick, notes end, the pedal moves, others begin."""
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
        (tick, mido.Message("control_change", control=SUSTAIN, value=127 * down, channel=channel))
        for tick, _, down in pedals.tolist()
    )
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
