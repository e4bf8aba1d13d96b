"""MidiTok's tokenizers by their names, as encodings: `encoding=miditok encoding.name=TSD`. Extra `miditok`.

The ids are MidiTok's own (of CPWord, which has a vocabulary for each member of a step, laid end to end). Without a file the
tokenizer is MidiTok's default with programs and tempi, so that a piece is one stream; with `tokenizer=FILE.json` it is one
that you made and saved with MidiTok, byte pairs (BPE) that it has learned included. Its whole text stands among the
options, so that a model folder explains itself.

Source: N. Fradet, J.-P. Briot, F. Chhel, A. El Fallah Seghrouchni and N. Gutowski, "MidiTok" (ISMIR 2021 late-breaking).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from lstmusic.errors import ReadError, VocabularyError
from lstmusic.events.codec import Codec, followers, histories
from lstmusic.events.miditok_tokens import LEARNED, NOTE_HEADS, default_text, open_text, text_of
from lstmusic.score.pedal import folded
from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes, table

if TYPE_CHECKING:
    import symusic

NAMES = ("REMI", "MIDILike", "TSD", "Structured", "CPWord", "BEAT")
REFUSED = {
    "Octuple": "it numbers bars up to a fixed one and leaves out what comes later",
    "MuMIDI": "it numbers bars up to a fixed one and leaves out what comes later",
    "MMM": "it writes one track after another, and lstmusic's lengths follow the time",
    "PerTok": "MidiTok has no graph of what may follow what in it",
}
PITCH_KINDS = ("Pitch", "NoteOn", "NoteOff")  # without drums, whose pitches are instruments
CHANGES = (
    "onsets moved",
    "durations changed",
    "velocities changed",
    "tempi moved or changed",
    "meters moved or changed",
)


class MidiTokCodec(Codec):
    """One of MidiTok's tokenizers.

    Args:
        name: MidiTok's name of it.
        tokenizer: a file that MidiTok has saved, or the text of one; None: MidiTok's default with programs and tempi.

    Raises:
        ConfigError: MidiTok is not installed, or the file is none of its, or not for pieces in one stream.
    """

    note_kinds = NOTE_HEADS
    repeat_name = "repeat_phrase"
    context_ids = 4

    def __init__(self, name: str, tokenizer: str | None = None) -> None:
        self.name = name
        text = default_text(name) if tokenizer is None else text_of(tokenizer)
        self.options = {"tokenizer": text}
        self._parts = open_text(name, text)
        self.vocabulary, self.grammar = self._parts.vocabulary, self._parts.grammar

    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        losses = Counter() if losses is None else losses
        losses["pedal changes folded into durations"] += len(score.pedals)
        score = folded(score)
        if len(score.notes) == 0:
            raise ReadError("no notes: expected notes")
        try:
            rows = self._parts.tokenizer.encode(_to_symusic(score)).ids
        except Exception as error:  # MidiTok lets what it trips over through: KeyError, IndexError, ValueError ...
            raise ReadError(f"MidiTok's {self.name} cannot encode this ({error!r:.80})") from error
        music = np.array(rows, np.int64).reshape(-1, self.group_size) + self._parts.offsets
        eos = np.full(self.group_size, self.vocabulary.id("EOS"))
        music = music[~np.isin(music[:, 0], self._parts.borders)]
        ids = np.concatenate([self.grammar.bos(), music.ravel(), eos]).astype(np.uint16)
        self._count_losses(score, self.decode(ids), losses)
        return ids

    @staticmethod
    def _count_losses(score: Score, decoded: Score, losses: Counter) -> None:
        if len(decoded.notes) == 0:
            raise ReadError("no notes: expected notes that the tokenizer knows")
        for name in ("notes", "tempi", "meters", "keys"):
            losses[f"{name} left out"] += max(0, len(getattr(score, name)) - len(getattr(decoded, name)))
        for reason, mine, theirs in zip(CHANGES, _facts(score), _facts(decoded), strict=True):
            gone = Counter(mine) - Counter(theirs)
            losses[reason] += gone.total() - max(0, len(mine) - len(theirs))  # what is left out is counted above

    def decode(self, ids: np.ndarray) -> Score:
        from miditok import TokSequence

        steps = np.asarray(ids, np.int64).reshape(-1, self.group_size)
        borders = [self.vocabulary.id("BOS"), self.vocabulary.id("EOS")]
        steps = steps[~np.isin(steps[:, 0], borders)] - self._parts.offsets
        if len(steps) == 0:
            return Score(np.zeros(0, NOTE_DTYPE), ())
        rows = steps.tolist() if self.group_size > 1 else steps.ravel().tolist()
        tokens = TokSequence(ids=rows, are_ids_encoded=self._parts.tokenizer.is_trained)
        return _from_symusic(self._parts.tokenizer.decode(tokens))

    def num_notes(self, ids: np.ndarray) -> int:
        return len(self.decode(ids).notes)

    def _pitch_kinds(self) -> list[str]:
        """The kinds whose values are pitches, where adding to all of them transposes a piece; else none."""
        kinds = [r.kind for r in self.vocabulary.ranges]
        plain = not any(kind == LEARNED or kind.startswith(("PitchInterval", "Chord")) for kind in kinds)
        drums_apart = "PitchDrum" in kinds or "DrumOn" in kinds
        return [kind for kind in PITCH_KINDS if kind in kinds] if plain and drums_apart else []

    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        lowest, highest = [0], [0]
        for kind in self._pitch_kinds():
            _, low, high = self.vocabulary.range_of(kind)
            pitch = self.vocabulary.values(kind, ids)[self.vocabulary.is_kind(kind, ids)]
            if len(pitch):
                lowest.append(low - int(pitch.min()))
                highest.append(high - int(pitch.max()))
        return (max(lowest[1:], default=0), min(highest[1:], default=0))

    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        low, high = self.transpositions(ids)
        if not low <= semitones <= high:
            raise VocabularyError(f"semitones={semitones}: expected {low} to {high} for this piece")
        moved = np.array(ids, np.int64)
        for kind in self._pitch_kinds():
            moved[self.vocabulary.is_kind(kind, ids)] += semitones
        return moved.astype(np.uint16)

    def context_keys(self, state: np.ndarray, before: np.ndarray) -> np.ndarray:
        """What comes next; the id before; the two, three and four before."""
        node = state["node"].astype(np.int64)
        return histories(node, self.grammar.feature_sizes["node"], before, len(self.vocabulary))

    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """What followed when the ids before came last, as many as `contexts` looks back."""
        return followers(self.contexts(ids)[:, -1], ids)


def _facts(score: Score) -> tuple[list[tuple], ...]:
    """What each of CHANGES is told by: of notes a value by pitch, of maps whole rows; times in quarters."""
    notes, tempi, meters = score.notes, score.tempi, score.meters
    pitch, quarter = notes["pitch"], score.ticks_per_quarter
    columns = (
        (pitch, notes["onset_tick"] / quarter),
        (pitch, notes["duration_tick"] / quarter),
        (pitch, notes["velocity"]),
        (tempi["tick"] / quarter, tempi["us_per_quarter"]),
        (meters["tick"] / quarter, meters["numerator"], meters["denominator"]),
    )
    return tuple(list(zip(*(column.tolist() for column in some), strict=True)) for some in columns)


def _to_symusic(score: Score) -> symusic.Score:
    import symusic

    out = symusic.Score(score.ticks_per_quarter)
    for k, track in enumerate(score.tracks):
        notes = score.notes[score.notes["track"] == k]
        columns = (notes["onset_tick"], notes["duration_tick"], notes["pitch"], notes["velocity"])
        ticks, small = np.int32, np.int8
        part = symusic.Track(track.name, track.program, track.drum)
        part.notes = symusic.Note.from_numpy(
            *(column.astype(dtype) for column, dtype in zip(columns, (ticks, ticks, small, small), strict=True))
        )
        out.tracks.append(part)
    for tick, us in score.tempi.tolist():
        out.tempos.append(symusic.Tempo(tick, mspq=us))
    for row in score.meters.tolist():
        out.time_signatures.append(symusic.TimeSignature(*row))
    return out


def _from_symusic(source: symusic.Score) -> Score:
    parts = [part for part in source.tracks if len(part.notes)]
    tables = [
        table(NOTE_DTYPE, rows["time"], np.maximum(rows["duration"], 1), rows["pitch"], rows["velocity"], k)
        for k, rows in enumerate(part.notes.numpy() for part in parts)
    ]
    tempi, meters = source.tempos.numpy(), source.time_signatures.numpy()
    return Score(
        sorted_notes(np.concatenate([np.zeros(0, NOTE_DTYPE), *tables])),
        tuple(Track(part.program, part.is_drum, part.name) for part in parts),
        tempi=table(TEMPO_DTYPE, tempi["time"], tempi["mspq"]),
        meters=table(METER_DTYPE, meters["time"], meters["numerator"], meters["denominator"]),
        ticks_per_quarter=source.ticks_per_quarter,
    ).canonical()
