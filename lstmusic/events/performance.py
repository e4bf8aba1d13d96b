"""The `performance` encoding: note-ons and -offs, 10 ms shifts and velocities. See `performance_grammar` for its ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lstmusic.errors import ReadError, VocabularyError
from lstmusic.events import performance_grammar as g
from lstmusic.events.codec import Codec, followers, histories
from lstmusic.events.given import check_gap, kept_voices
from lstmusic.events.performance_given import PerformanceGiven
from lstmusic.score.pedal import folded
from lstmusic.score.score import NOTE_DTYPE, PEDAL_DTYPE, Score, Track, settled_pedals, sorted_notes, table

TICKS_PER_QUARTER = 500  # at 120 qpm one tick is 1 ms
TICKS_PER_STEP = 1000 // g.STEPS_PER_SECOND
VELOCITIES_PER_BIN = 4
BIN_BITS = 5  # that hold a velocity bin
NOTE_BITS = 8 + BIN_BITS  # that hold a key and a velocity bin
TIME_BITS = 40  # that hold any onset: three centuries


def _is_new(values: np.ndarray) -> np.ndarray:
    """bool [N]: whether a value differs from the one before it; the first does."""
    return np.concatenate([[True], values[1:] != values[:-1]])


class PerformanceCodec(Codec):
    """All tracks merged into one stream of piano events; drums are left out and counted.

    Args:
        pedals: keep the sustain pedal as events (down where any track's is); else notes last as long as they sound.
        conditions: models may be told what the music around is like; see `conditions`.
    """

    grammar: g.PerformanceGrammar
    name = "performance"
    note_kinds = ("NOTE_ON",)
    stretchable = True
    in_seconds = True
    repeat_name = "repeat_phrase"
    context_ids = 4

    def __init__(self, pedals: bool = False, conditions: bool = False) -> None:
        self.options = {"pedals": pedals}
        self.grammar = g.PerformanceGrammar(pedals)
        self.vocabulary = self.grammar.vocabulary
        self._take_conditions(conditions)

    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        losses = Counter() if losses is None else losses
        return self._to_ids(self._canonical(self._steps(score, losses), losses))

    def _steps(self, score: Score, losses: Counter) -> g.Notes:
        """The notes that the encoding holds, in its steps, beginning with the first."""
        if not self.options["pedals"]:
            losses["pedal changes folded into durations"] += len(score.pedals)
            score = folded(score)
        notes = score.notes
        drum = np.array([track.drum for track in score.tracks], bool)
        per_track = np.bincount(notes["track"], minlength=len(drum))
        losses["drum notes left out"] += int(per_track[drum].sum())
        if per_track[drum].any():
            notes = notes[~drum[notes["track"]]]
        if len(notes) == 0:
            raise ReadError("no notes: expected pitched notes")
        losses["tracks merged into one"] += int((per_track[~drum] > 0).sum()) - 1
        plain = (score.meters["numerator"] == 4) & (score.meters["denominator"] == 4)  # what a MIDI file always has
        losses["meters left out"] += int((~plain).sum())
        losses["keys left out"] += len(score.keys)
        onset_tick = notes["onset_tick"]
        onset = np.rint(score.seconds(onset_tick) * g.STEPS_PER_SECOND).astype(np.int64)
        end = np.rint(score.seconds(onset_tick + notes["duration_tick"]) * g.STEPS_PER_SECOND).astype(np.int64)
        velocity_bin = (notes["velocity"].astype(np.int64) - 1) // VELOCITIES_PER_BIN + 1
        start = int(onset.min())
        losses["seconds of silence at the start left out"] += start // g.STEPS_PER_SECOND
        played = g.Notes(onset - start, end - start, notes["pitch"].astype(np.int64), velocity_bin)
        return self._with_pedals(played, score, start, losses) if len(score.pedals) else played

    @staticmethod
    def _with_pedals(notes: g.Notes, score: Score, start: int, losses: Counter) -> g.Notes:
        """The notes and, as notes of the pedal's key, the times when the pedal of any track is down."""
        drum = np.array([track.drum for track in score.tracks], bool)
        pedals = score.pedals[~drum[score.pedals["track"]]]
        step = np.rint(score.seconds(pedals["tick"]) * g.STEPS_PER_SECOND).astype(np.int64) - start
        order = np.argsort(step, kind="stable")
        step = np.maximum(step[order], 0)
        down = np.cumsum(np.where(pedals["down"][order], 1, -1)) > 0
        last = np.append(step[1:] != step[:-1], True)[: len(step)]
        step, down = step[last], down[last]
        changed = down != np.append(False, down[:-1])[: len(down)]
        step = step[changed]  # down, up, down, up...
        losses["pedal changes that coincide left out"] += len(pedals) - len(step)
        onset, end = step[0::2], step[1::2]
        if len(end) < len(onset):
            end = np.append(end, max(int(notes.end.max()), int(onset[-1]) + 1))
        pedal = np.full(len(onset), g.PEDAL)
        columns = (onset, end, pedal, np.ones_like(pedal))
        return g.Notes(*(np.concatenate(pair) for pair in zip(notes, columns, strict=True)))

    @staticmethod
    def _canonical(notes: g.Notes, losses: Counter) -> g.Notes:
        """Each pitch sounds once at a time: notes end at the next onset of their pitch, doubled onsets become one.

        Of doubled onsets the longest stays, of the longest the loudest.
        """
        # Columns are packed into one number wherever they are sorted: many times faster than sorting by several.
        key = notes.pitch << TIME_BITS | notes.onset
        rank = notes.end << BIN_BITS | notes.velocity_bin - 1
        order = np.argsort(key)
        key, rank = key[order], rank[order]
        first = np.flatnonzero(_is_new(key))
        losses["doubled notes left out"] += len(key) - len(first)
        key, rank = key[first], np.maximum.reduceat(rank, first)
        onset = key & (1 << TIME_BITS) - 1
        end = np.maximum(rank >> BIN_BITS, onset + 1)
        # What follows a pitch's last onset in this order is another pitch, a whole 2 ** TIME_BITS away.
        until_next = np.diff(key, append=np.iinfo(np.int64).max)
        losses["notes cut at the next onset of their pitch"] += int((end - onset > until_next).sum())
        end = np.minimum(end, onset + until_next)
        return g.Notes(onset, end, key >> TIME_BITS, (rank & (1 << BIN_BITS) - 1) + 1)

    def _to_ids(self, notes: g.Notes) -> np.ndarray:
        grammar = self.grammar
        note = notes.pitch << BIN_BITS | notes.velocity_bin - 1
        ending, onset = notes.end << 1, notes.onset << 1 | 1  # within an instant endings come first
        events = np.sort(np.concatenate([ending << NOTE_BITS | note, onset << NOTE_BITS | note]))
        time, is_onset = events >> NOTE_BITS + 1, (events >> NOTE_BITS & 1).astype(bool)
        key = events >> BIN_BITS & (1 << NOTE_BITS - BIN_BITS) - 1
        onsets = np.flatnonzero(is_onset & (key < g.PEDAL))
        velocity = events[onsets] & (1 << BIN_BITS) - 1
        changed = np.flatnonzero(_is_new(velocity))
        changes = np.zeros(len(events), np.int64)
        changes[onsets[changed]] = 1
        gap = np.diff(time, prepend=time[0])
        shifts = (gap + g.MAX_SHIFT - 1) // g.MAX_SHIFT
        last_shift = gap - (shifts - 1) * g.MAX_SHIFT  # those before it are the longest
        at = np.cumsum(shifts + changes + 1)  # the place of each event's own id, BOS being 0
        ids = np.full(at[-1] + 2, grammar.shifts.stop - 1, np.uint16)
        # An event without a shift writes one over the event before, which is then written over it.
        ids[at - changes - 1] = last_shift + grammar.shifts.start - 1
        ids[at[onsets[changed]] - 1] = velocity[changed] + grammar.velocities.start
        ids[at] = key + np.where(is_onset, grammar.ons.start, grammar.offs.start)
        ids[0], ids[-1] = g.BOS, g.EOS
        return ids

    def _to_notes(self, ids: np.ndarray) -> g.Notes:
        ids = np.asarray(ids, np.int64)
        grammar = self.grammar
        on, off, shift, has_velocity = grammar.kinds(ids)
        time = np.cumsum(np.where(shift, ids - grammar.shifts.start + 1, 0))
        velocity_at = np.maximum.accumulate(np.where(has_velocity, np.arange(len(ids)), 0))
        velocity = ids[velocity_at] - grammar.velocities.start + 1
        where = np.flatnonzero(on | off)
        pitch = np.where(on, ids - grammar.ons.start, ids - grammar.offs.start)[where]
        where = where[np.argsort(pitch, kind="stable")]
        # By pitch, then time, a legal piece alternates onset, ending, onset, ending; an onset may be left open at the end.
        is_onset = on[where]
        closed = np.append(~is_onset[1:], False)[: len(where)][is_onset]
        follower = np.append(where[1:], 0)[: len(where)][is_onset]
        onset = time[where[is_onset]]
        last = max(int(time[-1]), int(onset.max(initial=0)) + 1) if len(ids) else 0
        end = np.where(closed, time[follower], last)
        return g.Notes(onset, end, ids[where[is_onset]] - grammar.ons.start, velocity[where[is_onset]])

    def decode(self, ids: np.ndarray) -> Score:
        notes = self._to_notes(ids)
        pedal = notes.pitch == g.PEDAL
        onset, end = (column[pedal] * TICKS_PER_STEP for column in (notes.onset, notes.end))
        pedals = table(PEDAL_DTYPE, np.concatenate([onset, end]), 0, np.repeat([True, False], len(onset)))
        notes = g.Notes(*(column[~pedal] for column in notes))
        velocity = (notes.velocity_bin - 1) * VELOCITIES_PER_BIN + VELOCITIES_PER_BIN // 2
        duration = (notes.end - notes.onset) * TICKS_PER_STEP
        rows = table(NOTE_DTYPE, notes.onset * TICKS_PER_STEP, duration, notes.pitch, velocity, 0)
        piano = (Track(0, False, "Piano"),)
        return Score(sorted_notes(rows), piano, pedals=settled_pedals(pedals), ticks_per_quarter=TICKS_PER_QUARTER)

    def given(self, ids: np.ndarray, start_tick: int, end_tick: int, keep: Sequence[str] = ()) -> PerformanceGiven:
        check_gap(start_tick, end_tick)
        kept_voices(keep)
        gap = -(-start_tick // TICKS_PER_STEP), end_tick // TICKS_PER_STEP  # a step that reaches out of it is not free
        return PerformanceGiven(self.grammar, np.asarray(ids, np.int64), self._to_notes(ids), *gap)

    def note_ids(self, ids: np.ndarray) -> np.ndarray:
        return np.flatnonzero(self.vocabulary.is_kind("NOTE_ON", ids))  # within an instant they rise, as notes do

    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        pitch = np.asarray(ids, np.int64)[self.vocabulary.is_kind("NOTE_ON", ids)] - self.grammar.ons.start
        return -int(pitch.min()), g.NUM_PITCHES - 1 - int(pitch.max())

    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        notes = self._to_notes(ids)
        onset, end = (np.rint(column * stretch).astype(np.int64) for column in (notes.onset, notes.end))
        is_pedal = notes.pitch == g.PEDAL
        pitch = notes.pitch + np.where(is_pedal, 0, semitones)
        sung = pitch[~is_pedal]
        if sung.min() < 0 or sung.max() >= g.NUM_PITCHES:
            raise VocabularyError(f"semitones={semitones}: pitches {sung.min()}..{sung.max()}, expected 0..127")
        pedal = np.flatnonzero(is_pedal)
        end[pedal[:-1]] = np.minimum(end[pedal[:-1]], onset[pedal[1:]] - 1)  # lifted before it is pressed again
        kept = ~is_pedal | (end > onset)
        columns = (onset, end, pitch, notes.velocity_bin)
        return self._to_ids(self._canonical(g.Notes(*(column[kept] for column in columns)), Counter()))

    def context_keys(self, state: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Nothing; the id before; the two, three and four before."""
        return histories(np.zeros(len(before), np.int64), 1, before, len(self.vocabulary))

    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """What followed when the four ids before came last."""
        return followers(self.contexts(ids)[:, -1], ids)
