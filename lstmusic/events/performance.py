"""The `performance` encoding: note-ons and -offs, 10 ms shifts and velocities. See `performance_grammar` for its ids."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from lstmusic.errors import ReadError, VocabularyError
from lstmusic.events import performance_grammar as g
from lstmusic.events.codec import Codec
from lstmusic.score.score import NOTE_DTYPE, Score, Track, sorted_notes, table

TICKS_PER_QUARTER = 500  # at 120 qpm one tick is 1 ms
TICKS_PER_STEP = 1000 // g.STEPS_PER_SECOND
VELOCITIES_PER_BIN = 4
CONTEXT_IDS = 4  # that an n-gram may look back


class _Notes(NamedTuple):
    """Notes in steps of 10 ms, int64 [N] each."""

    onset: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity_bin: np.ndarray


class PerformanceCodec(Codec):
    """All tracks merged into one stream of piano events; drums are left out and counted."""

    name = "performance"
    note_kinds = ("NOTE_ON",)
    stretchable = True
    repeat_name = "repeat_phrase"

    def __init__(self) -> None:
        self.options: dict = {}
        self.grammar = g.PerformanceGrammar()
        self.vocabulary = g.VOCABULARY

    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        losses = Counter() if losses is None else losses
        notes = score.notes
        drum = np.array([track.drum for track in score.tracks], bool)
        keep = ~drum[notes["track"]] if len(notes) else np.zeros(0, bool)
        losses["drum notes left out"] += int((~keep).sum())
        notes = notes[keep]
        if len(notes) == 0:
            raise ReadError("no notes: expected pitched notes")
        losses["tracks merged into one"] += len(np.unique(notes["track"])) - 1
        plain = (score.meters["numerator"] == 4) & (score.meters["denominator"] == 4)  # what a MIDI file always has
        losses["meters left out"] += int((~plain).sum())
        losses["keys left out"] += len(score.keys)
        onset = np.rint(score.seconds(notes["onset_tick"]) * g.STEPS_PER_SECOND).astype(np.int64)
        end = np.rint(score.seconds(notes["onset_tick"] + notes["duration_tick"]) * g.STEPS_PER_SECOND).astype(np.int64)
        velocity_bin = (np.maximum(notes["velocity"], 1).astype(np.int64) - 1) // VELOCITIES_PER_BIN + 1
        losses["seconds of silence at the start left out"] += int(onset.min()) // g.STEPS_PER_SECOND
        onset, end = onset - onset.min(), end - onset.min()
        return self._to_ids(self._canonical(_Notes(onset, end, notes["pitch"].astype(np.int64), velocity_bin), losses))

    @staticmethod
    def _canonical(notes: _Notes, losses: Counter) -> _Notes:
        """Each pitch sounds once at a time: notes end at the next onset of their pitch, doubled onsets become one."""
        order = np.lexsort((-notes.velocity_bin, -notes.end, notes.onset, notes.pitch))
        onset, end, pitch, velocity_bin = (column[order] for column in notes)
        first = np.r_[True, (onset[1:] != onset[:-1]) | (pitch[1:] != pitch[:-1])]
        losses["doubled notes left out"] += int((~first).sum())
        onset, end, pitch, velocity_bin = onset[first], end[first], pitch[first], velocity_bin[first]
        end = np.maximum(end, onset + 1)
        following = np.r_[np.where(pitch[1:] == pitch[:-1], onset[1:], np.iinfo(np.int64).max), np.iinfo(np.int64).max]
        losses["notes cut at the next onset of their pitch"] += int((end > following).sum())
        return _Notes(onset, np.minimum(end, following), pitch, velocity_bin)

    @staticmethod
    def _to_ids(notes: _Notes) -> np.ndarray:
        n = len(notes.onset)
        time = np.r_[notes.end, notes.onset]
        is_onset = np.repeat([False, True], n)
        pitch, velocity = np.r_[notes.pitch, notes.pitch], np.r_[notes.velocity_bin, notes.velocity_bin]
        order = np.lexsort((pitch, is_onset, time))
        time, is_onset, pitch, velocity = time[order], is_onset[order], pitch[order], velocity[order]
        onset_velocity = velocity[is_onset]
        changes = np.zeros(2 * n, bool)
        changes[is_onset] = np.r_[True, onset_velocity[1:] != onset_velocity[:-1]]
        gap = np.diff(time, prepend=time[0])
        full, rest = gap // g.MAX_SHIFT, gap % g.MAX_SHIFT
        shifts = full + (rest > 0)
        end = np.cumsum(shifts + changes + 1)  # one past each event's own id
        ids = np.full(int(end[-1]), g.VOCABULARY.id("TIME_SHIFT", g.MAX_SHIFT), np.int64)
        ids[end - 1] = pitch + np.where(is_onset, g.NOTE_ONS.start, g.NOTE_OFFS.start)
        ids[(end - 2)[changes]] = velocity[changes] + g.VELOCITIES.start - 1
        ids[(end - 2 - changes)[rest > 0]] = rest[rest > 0] + g.SHIFTS.start - 1
        return np.r_[g.VOCABULARY.id("BOS"), ids, g.EOS].astype(np.uint16)

    @staticmethod
    def _to_notes(ids: np.ndarray) -> _Notes:
        ids = np.asarray(ids, np.int64)
        state = g.VOCABULARY
        on, off, shift = (state.is_kind(kind, ids) for kind in ("NOTE_ON", "NOTE_OFF", "TIME_SHIFT"))
        time = np.cumsum(np.where(shift, ids - g.SHIFTS.start + 1, 0))
        velocity_at = np.maximum.accumulate(np.where(state.is_kind("VELOCITY", ids), np.arange(len(ids)), 0))
        velocity = ids[velocity_at] - g.VELOCITIES.start + 1
        where = np.flatnonzero(on | off)
        pitch = np.where(on, ids - g.NOTE_ONS.start, ids - g.NOTE_OFFS.start)[where]
        where = where[np.argsort(pitch, kind="stable")]
        # By pitch, then time, a legal piece alternates onset, ending, onset, ending; an onset may be left open at the end.
        is_onset = on[where]
        closed = np.append(~is_onset[1:], False)[: len(where)][is_onset]
        follower = np.append(where[1:], 0)[: len(where)][is_onset]
        onset = time[where[is_onset]]
        last = max(int(time[-1]), int(onset.max(initial=0)) + 1) if len(ids) else 0
        end = np.where(closed, time[follower], last)
        return _Notes(onset, end, ids[where[is_onset]] - g.NOTE_ONS.start, velocity[where[is_onset]])

    def decode(self, ids: np.ndarray) -> Score:
        notes = self._to_notes(ids)
        velocity = (notes.velocity_bin - 1) * VELOCITIES_PER_BIN + VELOCITIES_PER_BIN // 2
        duration = (notes.end - notes.onset) * TICKS_PER_STEP
        rows = table(NOTE_DTYPE, notes.onset * TICKS_PER_STEP, duration, notes.pitch, velocity, 0)
        return Score(sorted_notes(rows), (Track(0, False, "Piano"),), ticks_per_quarter=TICKS_PER_QUARTER)

    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        pitch = np.asarray(ids, np.int64)[self.vocabulary.is_kind("NOTE_ON", ids)] - g.NOTE_ONS.start
        return -int(pitch.min()), g.NUM_PITCHES - 1 - int(pitch.max())

    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        notes = self._to_notes(ids)
        onset, end = (np.rint(column * stretch).astype(np.int64) for column in (notes.onset, notes.end))
        pitch = notes.pitch + semitones
        if pitch.min() < 0 or pitch.max() >= g.NUM_PITCHES:
            raise VocabularyError(f"semitones={semitones}: pitches {pitch.min()}..{pitch.max()}, expected 0..127")
        return self._to_ids(self._canonical(_Notes(onset, end, pitch, notes.velocity_bin), Counter()))

    def contexts(self, ids: np.ndarray) -> np.ndarray:
        """Nothing; the id before; the two, three and four before."""
        ids = np.asarray(ids, np.int64)
        keys = [np.zeros(len(ids), np.int64)]
        for back in range(1, CONTEXT_IDS + 1):
            before = np.r_[np.zeros(min(back, len(ids)), np.int64), ids[:-back]]
            keys.append(keys[-1] * len(self.vocabulary) + before)
        return np.stack(keys, axis=1)

    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """What followed when the four ids before came last."""
        ids = np.asarray(ids, np.int64)
        key = self.contexts(ids)[:, -1]
        order = np.argsort(key, kind="stable")
        same = np.r_[False, key[order[1:]] == key[order[:-1]]]
        out = np.full(len(ids), -1)
        out[order[same]] = ids[order[np.flatnonzero(same) - 1]]
        return out
