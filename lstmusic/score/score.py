"""Score: a note table, tracks, and the tempo, meter and key maps. Ticks are the truth; seconds follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmusic.score.tempo import TempoMap, seconds_at, tempo_map, ticks_at

if TYPE_CHECKING:
    import pretty_midi

NOTE_DTYPE = np.dtype(
    [("onset_tick", "<i8"), ("duration_tick", "<i8"), ("pitch", "u1"), ("velocity", "u1"), ("track", "<u2")]
)
TEMPO_DTYPE = np.dtype([("tick", "<i8"), ("us_per_quarter", "<i4")])
METER_DTYPE = np.dtype([("tick", "<i8"), ("numerator", "<i2"), ("denominator", "<i2")])
KEY_DTYPE = np.dtype([("tick", "<i8"), ("tonic", "<i1"), ("minor", "?")])
PEDAL_DTYPE = np.dtype([("tick", "<i8"), ("track", "<u2"), ("down", "?")])

# The ranges that a MIDI file can hold; a Score never leaves them, so that every Score can be written.
MAX_TICKS_PER_QUARTER = 0x7FFF
MAX_US_PER_QUARTER = 0xFFFFFF
MAX_NUMERATOR = 255
DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)

DEFAULT_US_PER_QUARTER = 500_000  # 120 quarters a minute: what a MIDI file without a tempo means
DEFAULT_METER = (4, 4)
MICROSECONDS_PER_MINUTE = 60_000_000
DRUM_CHANNEL = 9  # of General MIDI, counted from 0
SUSTAIN = 64  # the controller of the sustain pedal
END_TEXT = "end"  # a text that says where a piece ends in silence
# Sharps (flats below zero) of the major key on each pitch class
SHARPS = (0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5)


@dataclass(frozen=True)
class Track:
    """One instrument: General MIDI program (0-127), whether it is a drum kit, and its name."""

    program: int = 0
    drum: bool = False
    name: str = ""


def table(dtype: np.dtype, *columns) -> np.ndarray:
    """Build a structured table from one array (or scalar) per field, in the order of the fields."""
    rows = max((np.size(column) for column in columns), default=0)
    if any(np.ndim(column) and len(column) == 0 for column in columns):
        rows = 0
    out = np.zeros(rows, dtype)
    for name, column in zip(dtype.names or (), columns, strict=True):
        out[name] = column
    return out


def check_range(what: str, values: np.ndarray, low: int, high: int | None = None) -> None:
    """Raise ValueError unless every value lies in low..high."""
    bad = (values < low) | (values > high if high is not None else False)
    if bad.any():
        raise ValueError(f"{what} is {values[bad][0]}: expected {low} to {'any' if high is None else high}")


def sorted_notes(notes: np.ndarray) -> np.ndarray:
    """Notes in canonical order: onset, then track, pitch, duration, velocity."""
    # Onset, track and pitch as one number, which sorts five times faster than five columns; where it cannot hold them, or
    # does not tell notes apart, the columns decide.
    key = notes["onset_tick"] << 23 | notes["track"].astype(np.int64) << 7 | notes["pitch"]
    fits = not len(notes) or notes["onset_tick"].max() >> 40 == 0
    if fits and (key[1:] > key[:-1]).all():
        return notes
    order = np.argsort(key)
    ordered = key[order]
    if not fits or (ordered[1:] == ordered[:-1]).any():
        columns = ("velocity", "duration_tick", "pitch", "track", "onset_tick")
        order = np.lexsort([notes[name] for name in columns])
    return notes[order]


def unnested_notes(notes: np.ndarray) -> np.ndarray:
    """Notes [N] such that, of two on one track and pitch, the one that starts first also ends first.

    A MIDI file says when a key goes down and up, not which up belongs to which down; the first down takes the first up.
    A note that lies inside another of its pitch therefore exchanges ends with it.
    """
    notes = sorted_notes(notes)
    key = notes["track"].astype(np.int64) * 128 + notes["pitch"]
    offset_tick = notes["onset_tick"] + notes["duration_tick"]
    by_onset = np.argsort(key, kind="stable")
    by_offset = np.lexsort((offset_tick, key))
    paired = notes.copy()
    paired["duration_tick"][by_onset] = offset_tick[by_offset] - notes["onset_tick"][by_onset]
    return sorted_notes(paired)


def settled(rows: np.ndarray, *default: int) -> np.ndarray:
    """A tempo, meter or key map [K] in canonical form.

    Sorted by tick, of several rows at one tick the last, none that repeats the row before it; and, if the values of a
    `default` row are given, beginning at tick 0.
    """
    if default:
        rows = np.concatenate([table(rows.dtype, 0, *default), rows])
    rows = rows[np.argsort(rows["tick"], kind="stable")]
    rows = rows[np.append(np.diff(rows["tick"]) > 0, True)[: len(rows)]]
    names = [name for name in rows.dtype.names or () if name != "tick"]
    changed = np.logical_or.reduce([rows[name][1:] != rows[name][:-1] for name in names])
    return rows[np.append(True, changed)[: len(rows)]]


def settled_pedals(rows: np.ndarray) -> np.ndarray:
    """Pedal changes [K] by track and tick: of several at one tick the last, and only those that change anything."""
    rows = rows[np.lexsort((rows["tick"], rows["track"]))]
    last = np.append((rows["tick"][1:] != rows["tick"][:-1]) | (rows["track"][1:] != rows["track"][:-1]), True)
    rows = rows[last[: len(rows)]]
    before = np.append(False, rows["down"][:-1] & (rows["track"][1:] == rows["track"][:-1]))[: len(rows)]
    return rows[rows["down"] != before]


@dataclass(frozen=True, eq=False)
class Score:
    """A piece of music. Tables are sorted by time; an empty tempo map means 120 qpm, an empty meter map 4/4.

    Scores that come from files are in canonical form (see `canonical`), where these defaults are written out.

    Attributes:
        notes: [N] of `NOTE_DTYPE`, in canonical order (`sorted_notes`), durations of at least one tick.
        tracks: what `notes["track"]` points to.
        tempi: [K] of `TEMPO_DTYPE`, microseconds per quarter as in MIDI, so that ticks and tempo stay whole numbers.
        meters: [K] of `METER_DTYPE`.
        keys: [K] of `KEY_DTYPE`; tonic is a pitch class (C = 0).
        pedals: [K] of `PEDAL_DTYPE`, the sustain pedal's changes, by track and tick; it is up at the beginning.
        ticks_per_quarter: the resolution of every tick here.
        texts: free text events as (tick, text); lstmusic keeps its provenance there, and `END_TEXT`.
        pickup_tick: how long the incomplete bar at the beginning lasts, in ticks; 0 if the first bar is whole.
    """

    notes: np.ndarray
    tracks: tuple[Track, ...]
    tempi: np.ndarray = field(default_factory=lambda: np.zeros(0, TEMPO_DTYPE))
    meters: np.ndarray = field(default_factory=lambda: np.zeros(0, METER_DTYPE))
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, KEY_DTYPE))
    pedals: np.ndarray = field(default_factory=lambda: np.zeros(0, PEDAL_DTYPE))
    ticks_per_quarter: int = 480
    pickup_tick: int = 0
    texts: tuple[tuple[int, str], ...] = ()

    def __post_init__(self) -> None:
        notes = self.notes
        if not 1 <= self.ticks_per_quarter <= MAX_TICKS_PER_QUARTER:
            raise ValueError(f"ticks_per_quarter={self.ticks_per_quarter}: expected 1 to {MAX_TICKS_PER_QUARTER}")
        if self.pickup_tick < 0:
            raise ValueError(f"pickup_tick={self.pickup_tick}: expected at least 0")
        check_range("a note's track", notes["track"], 0, len(self.tracks) - 1)
        check_range("a note's onset_tick", notes["onset_tick"], 0)
        check_range("a note's duration_tick", notes["duration_tick"], 1)
        check_range("a note's pitch", notes["pitch"], 0, 127)
        check_range("a note's velocity", notes["velocity"], 1, 127)
        check_range("a pedal's track", self.pedals["track"], 0, len(self.tracks) - 1)
        check_range("us_per_quarter", self.tempi["us_per_quarter"], 1, MAX_US_PER_QUARTER)
        check_range("a meter's numerator", self.meters["numerator"], 1, MAX_NUMERATOR)
        check_range("a key's tonic", self.keys["tonic"], 0, 11)
        for denominator in self.meters["denominator"].tolist():
            if denominator not in DENOMINATORS:
                raise ValueError(f"a meter's denominator is {denominator}: expected one of {DENOMINATORS}")

    def __eq__(self, other: object) -> bool:
        """Equal in every note, map and track. Texts are commentary and do not count."""
        if not isinstance(other, Score):
            return NotImplemented
        return (
            self.ticks_per_quarter == other.ticks_per_quarter
            and self.pickup_tick == other.pickup_tick
            and self.tracks == other.tracks
            and all(
                np.array_equal(getattr(self, name), getattr(other, name))
                for name in ("notes", "tempi", "meters", "keys", "pedals")
            )
        )

    @classmethod
    def read(cls, path: str | Path) -> Score:
        """Read one MIDI, MusicXML, ABC or Humdrum file.

        Raises:
            MissingFileError: there is no such file.
            ReadError: the file is not music that can be read.
        """
        from lstmusic.score import reading

        return reading.read(Path(path))

    def to_pretty_midi(self) -> pretty_midi.PrettyMIDI:
        """The same music as a pretty_midi object, exact to the tick."""
        from lstmusic.score import midi

        return midi.to_pretty_midi(self)

    @classmethod
    def from_pretty_midi(cls, source: pretty_midi.PrettyMIDI) -> Score:
        """The Score of a pretty_midi object, exact to the tick."""
        from lstmusic.score import midi

        return midi.from_pretty_midi(source)

    @cached_property
    def tempo_map(self) -> TempoMap:
        """Where each tempo starts, in ticks [K] and seconds [K], and its seconds per tick [K]; the first is at 0."""
        tick, us = self.tempi["tick"], self.tempi["us_per_quarter"].astype(np.float64)
        if len(tick) == 0 or tick[0] > 0:
            tick, us = np.r_[0, tick], np.r_[float(DEFAULT_US_PER_QUARTER), us]
        return tempo_map(tick, us / 1e6 / self.ticks_per_quarter)

    def seconds(self, ticks: np.ndarray | int) -> np.ndarray:
        """Seconds (float64) at the given ticks, by the tempo map."""
        return seconds_at(self.tempo_map, ticks)

    def ticks(self, seconds: np.ndarray | float) -> np.ndarray:
        """The nearest ticks (int64) to the given seconds, by the tempo map."""
        return ticks_at(self.tempo_map, seconds)

    @property
    def end_tick(self) -> int:
        """The tick at which the last note ends; 0 without notes."""
        return int((self.notes["onset_tick"] + self.notes["duration_tick"]).max()) if len(self.notes) else 0

    @property
    def length_s(self) -> float:
        """Seconds until the last note ends."""
        return float(self.seconds(self.end_tick))

    @property
    def first_bar(self) -> int:
        """The number of the first bar: an upbeat is bar 0, as in printed music."""
        return 0 if self.pickup_tick else 1

    def bar_ticks(self) -> np.ndarray:
        """The tick of every bar line from 0 to the end of the last note (the last one at or after it), int64 [K].

        Every meter row starts a bar. With a pickup, the first two lines are 0 and `pickup_tick`.
        """
        end = max(self.end_tick, 1)
        rows = settled(self.meters, *DEFAULT_METER)
        rows = rows[rows["tick"] < end]
        bar = self.ticks_per_quarter * 4 * rows["numerator"].astype(np.int64) // rows["denominator"]
        starts = np.maximum(rows["tick"], self.pickup_tick)
        stops = np.r_[starts[1:], end + bar[-1]]
        lines = [np.arange(*span) for span in zip(starts, stops, np.maximum(bar, 1), strict=True)]
        ticks = np.unique(np.concatenate([[0, self.pickup_tick], *lines]))
        return ticks[: np.searchsorted(ticks, end) + 1].astype(np.int64)

    def canonical(self) -> Score:
        """The same music as a MIDI file of it would be read: the form in which two Scores can be compared.

        Notes do not lie inside others of their pitch, tracks without notes are gone, maps say nothing twice, and
        tempo and meter begin at tick 0.
        """
        used, index = np.unique(self.notes["track"], return_inverse=True)
        notes = self.notes.copy()
        notes["track"] = index
        tracks = [self.tracks[i] for i in used.tolist()]
        pedals = self.pedals[np.isin(self.pedals["track"], used)]
        pedals["track"] = np.searchsorted(used, pedals["track"])
        return replace(
            self,
            notes=unnested_notes(notes),
            # a name with half a surrogate pair cannot be written in any encoding
            tracks=tuple(replace(t, name=t.name.encode("utf-8", "ignore").decode("utf-8")) for t in tracks),
            tempi=settled(self.tempi, DEFAULT_US_PER_QUARTER),
            meters=settled(self.meters, *DEFAULT_METER),
            keys=settled(self.keys),
            pedals=settled_pedals(pedals),
            texts=tuple(sorted(self.texts, key=lambda text: text[0])),
        )

    def after(self, tick: int) -> Score:
        """The music from a tick on, moved to tick 0: notes that begin there or later, and the maps and pedals in force."""

        def from_tick(rows: np.ndarray) -> np.ndarray:
            rows = rows[max(0, int(np.searchsorted(rows["tick"], tick, side="right")) - 1) :].copy()
            rows["tick"] = np.maximum(rows["tick"] - tick, 0)
            return rows

        notes = self.notes[self.notes["onset_tick"] >= tick].copy()
        notes["onset_tick"] -= tick
        pedals = self.pedals.copy()
        pedals["tick"] = np.maximum(pedals["tick"] - tick, 0)
        lines = self.bar_ticks()
        next_line = int(lines[min(int(np.searchsorted(lines, tick)), len(lines) - 1)])
        maps: dict[str, Any] = {name: from_tick(getattr(self, name)) for name in ("tempi", "meters", "keys")}
        pickup_tick = max(0, next_line - tick)
        return replace(self, notes=notes, pedals=settled_pedals(pedals), pickup_tick=pickup_tick, texts=(), **maps)
