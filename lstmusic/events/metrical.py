"""The `metrical` encoding: bars, positions, many instruments. See `metrical_grammar` for its ids.

The REMI family (Huang and Yang, "Pop Music Transformer", 2020), with meters, keys and programs; docs/encodings.md says
where it departs from MidiTok's REMI and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lstmusic.errors import ReadError, VocabularyError
from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.codec import Codec, followers
from lstmusic.events.given import check_gap, kept_voices
from lstmusic.events.metrical_given import MetricalGiven
from lstmusic.events.metrical_grammar import MetricalGrammar
from lstmusic.events.metrical_grid import (
    VELOCITIES_PER_BIN,
    Bars,
    Notes,
    bars_on_grid,
    keys_on_grid,
    notes_on_grid,
    tempi_on_grid,
)
from lstmusic.score.pedal import folded
from lstmusic.score.score import (
    KEY_DTYPE,
    METER_DTYPE,
    MICROSECONDS_PER_MINUTE,
    NOTE_DTYPE,
    TEMPO_DTYPE,
    Score,
    Track,
    settled,
    sorted_notes,
    table,
)

TICKS_PER_STEP = 40
REPEAT_IDS = {True: 15, False: 12}  # three notes, by `grouped`


class MetricalCodec(Codec):
    """Any music on a grid of bars.

    Args:
        grouped: five ids a group, padded, for a model that steps once a group; False is the flat stream.
        conditions: models may be told what the music around is like; see `conditions`.
    """

    name = "metrical"
    note_kinds = ("PITCH", "DRUM")
    stretchable = True
    unscored_kinds = ("BOS", "EOS", "PAD")
    repeat_name = "repeat_phrase"
    context_ids = 1

    def __init__(self, grouped: bool = True, conditions: bool = False) -> None:
        self.options = {"grouped": grouped}
        self.grammar = MetricalGrammar(grouped)
        self.vocabulary = v.VOCABULARY
        self._take_conditions(conditions)

    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        losses = Counter() if losses is None else losses
        score = folded(score)
        if not len(score.notes):
            raise ReadError("no notes: expected music")
        notes = notes_on_grid(score, losses)
        bars = bars_on_grid(score, int(notes.step[-1]) + 1, losses)
        silent = int(np.searchsorted(bars.step, notes.step[0], side="right")) - 1
        losses["bars of silence at the start left out"] += silent
        bars = Bars(bars.step[silent:], bars.meter[silent:])
        start = max(int(bars.step[0]), 0)
        keys = keys_on_grid(score, bars, start, losses)
        tempi = tempi_on_grid(score, start, int(bars.step[-1]), losses)
        return self._to_ids(self._groups(bars, keys, tempi, notes))

    @staticmethod
    def _groups(bars: Bars, keys: np.ndarray, tempi: tuple[np.ndarray, np.ndarray], notes: Notes) -> np.ndarray:
        """The ids of all groups between BOS and EOS, int64 [M, 5]: at one step a bar first, then a tempo, then notes."""
        step = np.concatenate([bars.step, tempi[0], notes.step])
        groups = np.full((len(step), v.GROUP_SIZE), v.PAD)
        bar, tempo, note = np.split(groups, np.cumsum([len(bars.step), len(tempi[0])]))
        bar[:, 0], bar[:, 1], bar[:, 2] = v.BAR, bars.meter + v.FIRST[v.METER], keys + v.FIRST[v.KEY]
        begun = groups[len(bar) :]
        line = bars.step[np.searchsorted(bars.step, step[len(bar) :], side="right") - 1]
        begun[:, 0] = step[len(bar) :] - line + v.FIRST[v.POSITION]
        tempo[:, 1] = tempi[1] + v.FIRST[v.TEMPO] - v.LOWEST_QPM
        note[:, 1] = notes.program + v.FIRST[v.PROGRAM]
        note[:, 2] = notes.pitch + np.where(notes.program == v.DRUM_KIT, v.FIRST[v.DRUM], v.FIRST[v.PITCH])
        note[:, 3] = notes.duration + v.FIRST[v.DURATION]
        note[:, 4] = notes.velocity + v.FIRST[v.VELOCITY] - 1
        return groups[np.argsort(step, kind="stable")]

    def _to_ids(self, groups: np.ndarray) -> np.ndarray:
        """The ids of a piece, uint16 [N], of its groups between BOS and EOS."""
        if self.options["grouped"]:
            return np.pad(groups, ((1, 1), (0, 0)), constant_values=((v.BOS, v.EOS),) * 2).astype(np.uint16).reshape(-1)
        kept = groups != v.PAD
        kept[1:, 0] &= (groups[1:, 0] != groups[:-1, 0]) | (groups[1:, 0] == v.BAR)
        notes = np.flatnonzero(v.KIND[groups[:, 1]] == v.PROGRAM)
        kept[notes[1:], 1] &= groups[notes[1:], 1] != groups[notes[:-1], 1]
        return np.concatenate([[v.BOS], groups[kept], [v.EOS]]).astype(np.uint16)

    def _to_groups(self, ids: np.ndarray) -> np.ndarray:
        """The groups between BOS and EOS of legal ids, int64 [M, 5]; what the end leaves unfinished is left out."""
        ids = np.asarray(ids, np.int64)
        if self.options["grouped"]:
            groups = ids.reshape(-1, v.GROUP_SIZE)
            return groups[~np.isin(v.KIND[groups[:, 0]], (v.BOS, v.EOS))]
        kind = v.KIND[ids]
        last = np.flatnonzero(np.isin(kind, (v.KEY, v.TEMPO, v.VELOCITY)))  # where each group is complete
        position, program = (
            np.maximum.accumulate(np.where(kind == k, np.arange(len(ids)), 0))[last] for k in (v.POSITION, v.PROGRAM)
        )
        nothing = np.full(len(last), -1)
        members = {  # where the ids of a group stand, by the kind of its last
            v.KEY: (last - 2, last - 1, last, nothing, nothing),
            v.TEMPO: (position, last, nothing, nothing, nothing),
            v.VELOCITY: (position, program, last - 2, last - 1, last),
        }
        at = np.select([(kind[last] == k)[:, None] for k in members], [np.stack(m, axis=1) for m in members.values()])
        return np.where(at >= 0, ids[at], v.PAD)

    def decode(self, ids: np.ndarray) -> Score:
        groups = self._to_groups(ids)
        kind, value = v.KIND[groups[:, 1]], v.VALUE[groups]
        bar, tempo, note = (np.flatnonzero(kind == k) for k in (v.METER, v.TEMPO, v.PROGRAM))
        step, start = self._steps(kind, value)
        tick = np.maximum(step - start, 0) * TICKS_PER_STEP
        notes, tracks = self._tracks(tick[note], value[note])
        numerator, denominator = np.array(v.METERS)[value[bar, 1]].T
        keyed = bar[value[bar, 2] > 0]
        key = value[keyed, 2] - 1
        return Score(
            sorted_notes(notes),
            tracks,
            tempi=table(TEMPO_DTYPE, tick[tempo], np.rint(MICROSECONDS_PER_MINUTE / value[tempo, 1])),
            meters=settled(table(METER_DTYPE, tick[bar], numerator, denominator)),
            keys=settled(table(KEY_DTYPE, tick[keyed], key % 12, key >= 12)),
            ticks_per_quarter=v.STEPS_PER_QUARTER * TICKS_PER_STEP,
            pickup_tick=(int(v.BAR_STEPS[value[bar[0], 1]]) - start) * TICKS_PER_STEP if start else 0,
        )

    @staticmethod
    def _steps(kind: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, int]:
        """The step of each group from the first bar line, int64 [M], and that of the first tempo: there the music begins.

        Args:
            kind: of each group's second id, [M]. value: of each id, [M, 5].
        """
        bar, tempo = kind == v.METER, np.flatnonzero(kind == v.TEMPO)
        length = v.BAR_STEPS[value[bar, 1]]
        line = np.cumsum(length) - length
        step = line[np.cumsum(bar) - 1] + np.where(bar, 0, value[:, 0])
        return step, int(step[tempo[0]]) if len(tempo) else 0

    def given(self, ids: np.ndarray, start_tick: int, end_tick: int, keep: Sequence[str] = ()) -> MetricalGiven:
        check_gap(start_tick, end_tick)
        kept_voices(keep)
        groups = self._to_groups(ids)
        step, start = self._steps(v.KIND[groups[:, 1]], v.VALUE[groups])
        gap = start - (-start_tick // TICKS_PER_STEP), start + end_tick // TICKS_PER_STEP
        return MetricalGiven(self.grammar, groups, step, *gap, to_ids=self._to_ids)

    def note_ids(self, ids: np.ndarray) -> np.ndarray:
        groups = self._to_groups(ids)
        kind, value = v.KIND[groups[:, 1]], v.VALUE[groups]
        note = kind == v.PROGRAM
        step, start = self._steps(kind, value)
        notes, _ = self._tracks((np.maximum(step - start, 0) * TICKS_PER_STEP)[note], value[note])
        order = np.lexsort([notes[name] for name in ("velocity", "duration_tick", "pitch", "track", "onset_tick")])
        struck = self.vocabulary.is_kind("PITCH", ids) | self.vocabulary.is_kind("DRUM", ids)
        return np.flatnonzero(struck)[: len(notes)][order]  # a note that the end leaves unfinished is not decoded

    @staticmethod
    def _tracks(onset_tick: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, tuple[Track, ...]]:
        """Notes and tracks of note groups, int64 [N, 5]: a track for each program, others for notes inside one another.

        A MIDI file cannot say which of two notes of one pitch and track ends first; on two tracks each keeps its end. The
        notes stay in the order of their groups.
        """
        _, program, pitch, duration, velocity_bin = values.T
        duration_tick = v.DURATION_STEPS[duration] * TICKS_PER_STEP
        velocity = (velocity_bin - 1) * VELOCITIES_PER_BIN + VELOCITIES_PER_BIN // 2
        key, end_tick, layer = program * v.NUM_PITCHES + pitch, onset_tick + duration_tick, np.zeros_like(program)
        inside = np.lexsort((duration_tick, onset_tick, key))
        while len(inside):
            # Keys lie further apart than any two ends, so that the furthest end so far is that of the key.
            end = key[inside] * (int(end_tick.max()) + 1) + end_tick[inside]
            inside = inside[end < np.maximum.accumulate(end)]
            layer[inside] += 1
        used, track = np.unique(np.stack([program, layer]), axis=1, return_inverse=True)
        tracks = [Track(0, True, "Drums") if p == v.DRUM_KIT else Track(p) for p in used[0].tolist()]
        return table(NOTE_DTYPE, onset_tick, duration_tick, pitch, velocity, track.reshape(-1)), tuple(tracks)

    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        pitch = self.vocabulary.values("PITCH", ids)[self.vocabulary.is_kind("PITCH", ids)]
        return (-int(pitch.min()), v.NUM_PITCHES - 1 - int(pitch.max())) if len(pitch) else (0, 0)

    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        """See `Codec`. Drums stay as they are; where a stretch makes two tempi equal, the change between them is gone."""
        low, high = self.transpositions(ids)
        if not low <= semitones <= high:
            raise VocabularyError(f"semitones={semitones}: expected {low} to {high}, so that pitches stay in 0..127")
        groups = self._to_groups(ids).copy()
        kind, value = v.KIND[groups], v.VALUE[groups]
        groups[kind == v.PITCH] += semitones
        keys = value[(kind == v.KEY) & (value > 0)] - 1
        groups[(kind == v.KEY) & (value > 0)] = v.FIRST[v.KEY] + 1 + keys // 12 * 12 + (keys + semitones) % 12
        tempo = np.flatnonzero(kind[:, 1] == v.TEMPO)
        qpm = np.rint(np.clip(value[tempo, 1] / stretch, v.LOWEST_QPM, v.HIGHEST_QPM)).astype(np.int64)
        groups[tempo, 1] = qpm - v.LOWEST_QPM + v.FIRST[v.TEMPO]
        return self._to_ids(np.delete(groups, tempo[1:][qpm[1:] == qpm[:-1]], axis=0))

    def context_keys(self, state: np.ndarray, before: np.ndarray) -> np.ndarray:
        """What comes next; the id before; the last pitch; the position; the last duration."""
        keys = [state["slot"] * 2 + state["tied"].astype(np.int64)]
        keys.append(keys[-1] * len(self.vocabulary) + before[:, -1])
        for name, size in (("pitch", v.NUM_PITCHES), ("position", v.MAX_BAR), ("duration", len(v.DURATION_STEPS))):
            keys.append(keys[-1] * (size + 1) + state[name] + 1)
        return np.stack(keys, axis=1)

    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """What followed when the ids before, three notes of them, came last."""
        ids = np.asarray(ids, np.int64)
        key = np.zeros(len(ids), np.int64)
        for back in range(1, REPEAT_IDS[self.options["grouped"]] + 1):  # wraps around: a hash
            key[back:] = key[back:] * len(self.vocabulary) + ids[:-back]
        return followers(key, ids)
