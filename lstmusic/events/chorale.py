"""The `chorale` encoding: four voices on a 16th grid. See `chorale_grammar` for the shape of its ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lstmusic.errors import IllegalSequenceError, ReadError
from lstmusic.events import chorale_grammar as g
from lstmusic.events.chorale_given import ChoraleGiven
from lstmusic.events.codec import Codec, transposed
from lstmusic.events.given import check_gap, kept_voices
from lstmusic.score.score import (
    KEY_DTYPE,
    METER_DTYPE,
    MICROSECONDS_PER_MINUTE,
    NOTE_DTYPE,
    TEMPO_DTYPE,
    Score,
    Track,
    sorted_notes,
    table,
)

TICKS_PER_STEP = 120
CHURCH_ORGAN = 19
DEFAULT_VELOCITY = 80
DEFAULT_QPM = 120.0  # what a MIDI file without a tempo means


def voice_notes(values: np.ndarray, ticks_per_step: int) -> np.ndarray:
    """The notes of voices on a grid, in canonical order; the track of each is its voice.

    Args:
        values: int [T, voices]: a pitch that strikes, 0 for silence, -1 where the voice goes on as it was.
        ticks_per_step: of the grid.
    """
    voices = []
    for voice in range(values.shape[1]):
        change = np.flatnonzero(values[:, voice] >= 0)
        pitch = values[change, voice]
        duration = np.diff(np.r_[change, len(values)])
        columns = [column[pitch > 0] for column in (change * ticks_per_step, duration * ticks_per_step, pitch)]
        voices.append(table(NOTE_DTYPE, *columns, DEFAULT_VELOCITY, voice))
    return sorted_notes(np.concatenate(voices))


class ChoraleCodec(Codec):
    """Four voices, one id each per 16th.

    Args:
        strikes: False gives the canonical JSB data set's form, where a note struck again at its own pitch is one held note.
        conditions: models may be told what the music around is like; see `conditions`.
    """

    name = "chorale"
    grammar: g.ChoraleGrammar
    note_kinds = ("PITCH",)
    unscored_kinds = ("BOS", "EOS", *g.HEADER_KINDS)
    repeat_name = "repeat_bar"

    def __init__(self, strikes: bool = True, conditions: bool = False) -> None:
        self.options = {"strikes": strikes}
        self.grammar = g.ChoraleGrammar(strikes)
        self.vocabulary = g.VOCABULARY
        self._take_conditions(conditions)

    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        losses = Counter() if losses is None else losses
        losses["pedal changes left out"] += len(score.pedals)
        header = self._header(score, losses)
        step, end, pitch, voice = self._voices(score, header, losses)
        length = int(end.max())
        grids = [self._voice_grid(step, end, pitch, voice == v, length, losses) for v in range(g.GROUP_SIZE)]
        pitches, strikes = (np.stack(columns, axis=1) for columns in zip(*grids, strict=True))
        length = int(np.flatnonzero(pitches.any(axis=1))[-1]) + 1  # what was cut or left out may have lasted longer
        pitches, strikes = pitches[:length], strikes[:length]
        before = np.vstack([np.zeros((1, g.GROUP_SIZE), np.int64), pitches[:-1]])
        if not self.options["strikes"]:
            losses["notes struck again, held"] += int((strikes & (pitches == before)).sum())
            strikes = strikes & (pitches != before)
        music = np.full(pitches.shape, g.HOLD)
        music[(pitches == 0) & (before > 0)] = g.REST
        music[strikes] = self.vocabulary.ids("PITCH", pitches[strikes])
        bos, eos = (np.full((1, g.GROUP_SIZE), self.vocabulary.id(kind)) for kind in ("BOS", "EOS"))
        return np.vstack([bos, header[None], music, eos]).astype(np.uint16).reshape(-1)

    def _header(self, score: Score, losses: Counter) -> np.ndarray:
        """The header group. Only the first meter, tempo and key can be carried."""
        for name in ("meters", "tempi", "keys"):
            losses[f"changes of {name} left out"] += max(0, len(getattr(score, name)) - 1)
        meter = (
            (int(score.meters["numerator"][0]), int(score.meters["denominator"][0])) if len(score.meters) else (4, 4)
        )
        if meter not in g.METERS:
            losses["meters replaced by the one with the nearest bar"] += 1
            quarters = np.array([n / d for n, d in g.METERS])
            meter = g.METERS[int(np.argmin(np.abs(quarters - meter[0] / meter[1])))]
        index = g.METERS.index(meter)
        qpm = MICROSECONDS_PER_MINUTE / score.tempi["us_per_quarter"][0] if len(score.tempi) else DEFAULT_QPM
        tempo = int(np.argmin(np.abs(np.log(g.TEMPI_QPM / qpm))))
        key = int(score.keys["tonic"][0]) + 12 * int(score.keys["minor"][0]) if len(score.keys) else g.UNKNOWN_KEY
        pickup = round(score.pickup_tick * g.STEPS_PER_QUARTER / score.ticks_per_quarter)
        values = (index, -pickup % int(g.BAR_STEPS[index]), tempo, key)
        return np.array([self.vocabulary.id(kind, value) for kind, value in zip(g.HEADER_KINDS, values, strict=True)])

    def _voices(self, score: Score, header: np.ndarray, losses: Counter) -> tuple[np.ndarray, ...]:
        """Notes on the grid: onset step, end step, pitch and voice, each int64 [N]."""
        notes = score.notes
        drum = np.array([track.drum for track in score.tracks], bool)
        keep = ~drum[notes["track"]] if len(notes) else np.zeros(0, bool)
        losses["drum notes left out"] += int((~keep).sum())
        in_range = (notes["pitch"] >= g.LOWEST_PITCH) & (notes["pitch"] <= g.HIGHEST_PITCH)
        losses["notes out of range left out"] += int((keep & ~in_range).sum())
        notes = self._sung(score, notes[keep & in_range], losses)
        if len(notes) == 0:
            raise ReadError(f"no notes: expected pitched notes between {g.LOWEST_PITCH} and {g.HIGHEST_PITCH}")
        onset = notes["onset_tick"] * g.STEPS_PER_QUARTER / score.ticks_per_quarter
        end = onset + notes["duration_tick"] * g.STEPS_PER_QUARTER / score.ticks_per_quarter
        step, end = np.rint(onset).astype(np.int64), np.rint(end).astype(np.int64)
        distance = np.abs(onset - step)
        losses["onsets moved to the 16th grid"] += int((distance > 1e-6).sum())
        # Of notes that meet on a step of a voice the first stays: what was near it before ornaments, then high, then long.
        order = np.lexsort((-end, -notes["pitch"].astype(np.int64), distance > 0.25, step))
        notes, step, end = notes[order], step[order], end[order]
        bar_steps = int(g.BAR_STEPS[self.vocabulary.values("METER", header[0])])
        whole_first_bar = self.vocabulary.values("POSITION", header[1]) == 0
        silent_bars = int(step[0]) // bar_steps if whole_first_bar else 0
        losses["bars of silence at the start left out"] += silent_bars
        step, end = step - silent_bars * bar_steps, end - silent_bars * bar_steps
        end = np.maximum(end, step + 1)
        pitch = notes["pitch"].astype(np.int64)
        used = np.unique(notes["track"])
        names = [score.tracks[t].name for t in used]
        if len(set(names)) == len(names) and set(names) <= set(g.VOICES):
            voice_of_track = np.array([g.VOICES.index(name) for name in names])
            return step, end, pitch, voice_of_track[np.searchsorted(used, notes["track"])]
        if len(used) == g.GROUP_SIZE:
            mean = np.array([pitch[notes["track"] == t].mean() for t in used])
            voice_of_track = np.argsort(np.argsort(-mean, kind="stable"), kind="stable")
            return step, end, pitch, voice_of_track[np.searchsorted(used, notes["track"])]
        voice = self._voices_by_height(step, end, pitch)
        losses["notes beyond four voices left out"] += int((voice < 0).sum())
        return tuple(column[voice >= 0] for column in (step, end, pitch, voice))

    @staticmethod
    def _sung(score: Score, notes: np.ndarray, losses: Counter) -> np.ndarray:
        """The notes of the four tracks named like the voices, where there are such beside others (instruments)."""
        used = np.unique(notes["track"]).tolist()
        named = [[t for t in used if score.tracks[t].name.lower().startswith(voice.lower())] for voice in g.VOICES]
        if len(used) <= g.GROUP_SIZE or any(len(tracks) != 1 for tracks in named):
            return notes
        sung = np.isin(notes["track"], [tracks[0] for tracks in named])
        losses["notes of instruments beside the four voices left out"] += int((~sung).sum())
        return notes[sung]

    @staticmethod
    def _voices_by_height(step: np.ndarray, end: np.ndarray, pitch: np.ndarray) -> np.ndarray:
        """The voice of each note by its rank among the notes that sound at its onset; -1: no voice is free."""
        change = np.zeros((int(end.max()) + 1, 128), np.int32)
        np.add.at(change, (step, pitch), 1)
        np.add.at(change, (end, pitch), -1)
        sounding = np.cumsum(change, axis=0, out=change) > 0
        at_or_below = np.cumsum(sounding, axis=1, dtype=np.uint8)[step, pitch].astype(np.int64)
        total = sounding.sum(axis=1)[step]
        rank = total - at_or_below
        lowest = (at_or_below == 1) & (total > 1)
        return np.where(lowest, g.GROUP_SIZE - 1, np.where(rank < g.GROUP_SIZE - 1, rank, -1))

    @staticmethod
    def _voice_grid(
        step: np.ndarray, end: np.ndarray, pitch: np.ndarray, mine: np.ndarray, length: int, losses: Counter
    ) -> tuple[np.ndarray, np.ndarray]:
        """One voice on the grid: its pitch at each step (0: silent), int64 [T], and where it strikes, bool [T]."""
        step, end, pitch = step[mine], end[mine], pitch[mine]
        first = np.r_[True, step[1:] != step[:-1]] if len(step) else np.zeros(0, bool)
        losses["notes at the onset of another in the voice left out"] += int((~first).sum())
        step, end, pitch = step[first], end[first], pitch[first]
        following = np.r_[step[1:], length]
        losses["notes cut at the next onset in the voice"] += int((end > following).sum())
        duration = np.minimum(end, following) - step
        where = np.repeat(step - np.r_[0, np.cumsum(duration)[:-1]], duration) + np.arange(duration.sum())
        pitches, strikes = np.zeros(length, np.int64), np.zeros(length, bool)
        pitches[where] = np.repeat(pitch, duration)
        strikes[step] = True
        return pitches, strikes

    def decode(self, ids: np.ndarray) -> Score:
        groups = np.asarray(ids, np.int64).reshape(-1, g.GROUP_SIZE)
        if len(groups) < 2:
            raise IllegalSequenceError(f"{len(groups)} groups: expected BOS, a header and music")
        header, music = groups[1], groups[2:]
        music = music[: int(np.argmax(music[:, 0] == g.EOS))] if (music[:, 0] == g.EOS).any() else music
        meter, position, tempo, key = (
            int(self.vocabulary.values(kind, value)) for kind, value in zip(g.HEADER_KINDS, header, strict=True)
        )
        numerator, denominator = g.METERS[meter]
        us_per_quarter = round(MICROSECONDS_PER_MINUTE / g.TEMPI_QPM[tempo])
        return Score(
            notes=voice_notes(g.voice_values(music), TICKS_PER_STEP),
            tracks=tuple(Track(CHURCH_ORGAN, False, name) for name in g.VOICES),
            tempi=table(TEMPO_DTYPE, [0], us_per_quarter),
            meters=table(METER_DTYPE, [0], numerator, denominator),
            keys=table(KEY_DTYPE, [0] if key != g.UNKNOWN_KEY else [], key % 12, key // 12 == 1),
            ticks_per_quarter=TICKS_PER_STEP * g.STEPS_PER_QUARTER,
            pickup_tick=-position % int(g.BAR_STEPS[meter]) * TICKS_PER_STEP,
        )

    def note_ids(self, ids: np.ndarray) -> np.ndarray:
        return np.flatnonzero(self.vocabulary.is_kind("PITCH", ids))

    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        pitches = self.vocabulary.values("PITCH", ids)[self.vocabulary.is_kind("PITCH", ids)]
        return g.LOWEST_PITCH - int(pitches.min()), g.HIGHEST_PITCH - int(pitches.max())

    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        if stretch != 1.0:
            raise ValueError(f"stretch={stretch}: a chorale's grid has no seconds, expected 1.0")
        return transposed(self.vocabulary, ids, semitones, g.UNKNOWN_KEY)

    def context_keys(self, state: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Voice; and the pitch that it sounds; and the place in the quarter; and how long it has sounded."""
        voice = state["member"].astype(np.int64)
        pitch = np.take_along_axis(state["pitch"], voice[:, None], axis=1)[:, 0]
        age = np.take_along_axis(state["age"], voice[:, None], axis=1)[:, 0]
        place = np.maximum(state["position"] + state["step"], 0) % g.STEPS_PER_QUARTER
        keys = [voice]
        for part, size in ((pitch, 128), (place, g.STEPS_PER_QUARTER), (age, g.MAX_AGE + 1)):
            keys.append(keys[-1] * size + part)
        return np.stack(keys, axis=1)

    def given(self, ids: np.ndarray, start_tick: int, end_tick: int, keep: Sequence[str] = ()) -> ChoraleGiven:
        check_gap(start_tick, end_tick)
        steps = -(-start_tick // TICKS_PER_STEP), end_tick // TICKS_PER_STEP
        return ChoraleGiven(self.grammar, ids, *steps, kept_voices(keep, g.VOICES))

    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """What the voice did one bar ago."""
        ids = np.asarray(ids, np.int64)
        meter = int(np.clip(self.vocabulary.values("METER", ids[g.GROUP_SIZE]), 0, len(g.METERS) - 1))
        back = int(g.BAR_STEPS[meter]) * g.GROUP_SIZE
        first = 2 * g.GROUP_SIZE + back  # the BOS and header groups repeat nothing
        out = np.full(len(ids), -1)
        out[first:] = ids[2 * g.GROUP_SIZE : len(ids) - back] if len(ids) > first else ()
        return out
