"""The `frames` encoding: which of a piano's 88 keys are down in each frame. See `frames_grammar` for the shape of its ids.

A key that stays down from frame to frame is one held note; a note struck again at once is not told from it. So the four
data sets of piano rolls are made on which polyphonic models are compared (Boulanger-Lewandowski et al., 2012).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lstmusic.errors import ConfigError, ReadError, VocabularyError
from lstmusic.events import frames_grammar as g
from lstmusic.events.codec import Codec
from lstmusic.events.frames_given import FramesGiven
from lstmusic.events.given import check_gap, kept_voices
from lstmusic.score.score import END_TEXT, NOTE_DTYPE, Score, Track, sorted_notes, table

TICKS_PER_QUARTER = 480
DIVISIONS = (1, 2, 3, 4, 6, 8, 12)  # frames per quarter
DEFAULT_VELOCITY = 80


def frame_notes(frames: np.ndarray, ticks_per_frame: int) -> np.ndarray:
    """The notes of frames, bool [T, 88], in canonical order: a key that stays down is one note."""
    around = np.zeros((len(frames) + 2, g.NUM_KEYS), np.int8)
    around[1:-1] = frames
    change = np.diff(around, axis=0).T  # by key, so that each key's starts and ends lie in order
    key, start = np.nonzero(change > 0)
    _, end = np.nonzero(change < 0)
    columns = (start * ticks_per_frame, (end - start) * ticks_per_frame, key + g.LOWEST_KEY)
    return sorted_notes(table(NOTE_DTYPE, *columns, DEFAULT_VELOCITY, 0))


def frames_score(frames: np.ndarray, frames_per_quarter: int) -> Score:
    """The Score of frames, bool [T, 88]: a piano; where the last frames are silent, a text says where the piece ends."""
    ticks_per_frame = TICKS_PER_QUARTER // frames_per_quarter
    notes = frame_notes(frames, ticks_per_frame)
    ends_in_silence = len(frames) and not frames[-1].any()
    texts = ((len(frames) * ticks_per_frame, END_TEXT),) if ends_in_silence else ()
    return Score(notes, (Track(0, False, "Piano"),), ticks_per_quarter=TICKS_PER_QUARTER, texts=texts)


class FramesCodec(Codec):
    """88 ids a frame: each key down or up.

    Args:
        frames_per_quarter: one of `DIVISIONS`.

    Raises:
        ConfigError: it is not.
    """

    name = "frames"
    grammar: g.FramesGrammar
    note_kinds = ("KEY", "FIRST")
    unscored_kinds = ("BOS", "FIRST", "EOS")
    repeat_name = "repeat_bar"
    context_ids = g.NUM_KEYS

    def __init__(self, frames_per_quarter: int = 2) -> None:
        if frames_per_quarter not in DIVISIONS:
            raise ConfigError(
                f"encoding.frames_per_quarter={frames_per_quarter}: expected one of {', '.join(map(str, DIVISIONS))}"
            )
        self.options = {"frames_per_quarter": frames_per_quarter}
        self.frames_per_quarter = frames_per_quarter
        self.grammar = g.FramesGrammar(frames_per_quarter)
        self.vocabulary = g.VOCABULARY

    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        losses = Counter() if losses is None else losses
        losses["pedal changes left out"] += len(score.pedals)
        for name in ("meters", "tempi", "keys"):
            losses[f"{name} left out"] += len(getattr(score, name))
        notes = self._notes(score, losses)
        start = self._frame(notes["onset_tick"], score)
        end = np.maximum(self._frame(notes["onset_tick"] + notes["duration_tick"], score), start + 1)
        ends = [int(self._frame(np.array(tick), score)) for tick, text in score.texts if text == END_TEXT]
        change = np.zeros((max(int(end.max()), *ends, 0) + 1, g.NUM_KEYS), np.int32)
        key = notes["pitch"].astype(np.int64) - g.LOWEST_KEY
        np.add.at(change, (start, key), 1)
        np.add.at(change, (end, key), -1)
        frames = np.cumsum(change, axis=0)[:-1] > 0
        held = len(notes) - int((frames[1:] & ~frames[:-1]).sum() + frames[0].sum())
        losses["notes joined with one of their pitch"] += held
        return self._ids(frames)

    def _notes(self, score: Score, losses: Counter) -> np.ndarray:
        """The notes that lie on a piano."""
        notes = score.notes
        drum = np.array([track.drum for track in score.tracks], bool)
        keep = ~drum[notes["track"]] if len(notes) else np.zeros(0, bool)
        losses["drum notes left out"] += int((~keep).sum())
        key = notes["pitch"].astype(np.int64) - g.LOWEST_KEY
        on_piano = (key >= 0) & (key < g.NUM_KEYS)
        losses["notes out of range left out"] += int((keep & ~on_piano).sum())
        if not (keep & on_piano).any():
            raise ReadError("no notes: expected some on a piano's 88 keys")
        return notes[keep & on_piano]

    def _frame(self, tick: np.ndarray, score: Score) -> np.ndarray:
        """The frame whose beginning is nearest, int64; halves go up."""
        return (2 * tick * self.frames_per_quarter + score.ticks_per_quarter) // (2 * score.ticks_per_quarter)

    def _ids(self, frames: np.ndarray) -> np.ndarray:
        ids = np.empty((len(frames) + 2, g.NUM_KEYS), np.uint16)
        ids[0], ids[-1] = g.BOS, g.EOS
        ids[1:-1] = self.vocabulary.id("KEY") + frames
        ids[1] = self.vocabulary.id("FIRST") + frames[0]
        return ids.reshape(-1)

    def frames(self, ids: np.ndarray) -> np.ndarray:
        """The frames of legal ids (BOS included), bool [T, 88]."""
        groups = np.asarray(ids).reshape(-1, g.NUM_KEYS)[1:]
        ended = groups[:, 0] == g.EOS
        return g.down(groups[: int(np.argmax(ended))] if ended.any() else groups)

    def decode(self, ids: np.ndarray) -> Score:
        return frames_score(self.frames(ids), self.frames_per_quarter)

    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        used = np.flatnonzero(self.frames(ids).any(axis=0))
        return -int(used[0]), g.NUM_KEYS - 1 - int(used[-1])

    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        if stretch != 1.0:
            raise ValueError(f"stretch={stretch}: frames hold no seconds, expected 1.0")
        low, high = self.transpositions(ids)
        if not low <= semitones <= high:
            raise VocabularyError(f"semitones {semitones}: expected {low}..{high}, so that all keys are on the piano")
        groups = np.asarray(ids).reshape(-1, g.NUM_KEYS)  # what comes round at the other end is up, or BOS or EOS
        return np.roll(groups, semitones, axis=1).reshape(-1)

    def scored(self, ids: np.ndarray) -> np.ndarray:
        return self.vocabulary.is_kind("KEY", ids)

    def num_notes(self, ids: np.ndarray) -> int:
        frames = self.frames(ids)
        return int((frames[1:] & ~frames[:-1]).sum() + frames[0].sum())

    def context_keys(self, state: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The key; and whether it was down in the frame before."""
        key = state["member"].astype(np.int64)
        return np.stack([key, 2 * key + g.down(before[:, 0])], axis=1)

    def given(self, ids: np.ndarray, start_tick: int, end_tick: int, keep: Sequence[str] = ()) -> FramesGiven:
        check_gap(start_tick, end_tick)
        kept_voices(keep)
        ticks_per_frame = TICKS_PER_QUARTER // self.frames_per_quarter
        return FramesGiven(self.grammar, ids, -(-start_tick // ticks_per_frame), end_tick // ticks_per_frame)

    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """What the key did one bar of four quarters ago."""
        groups = np.asarray(ids).reshape(-1, g.NUM_KEYS)
        back = g.QUARTERS_PER_BAR * self.frames_per_quarter
        out = np.full(groups.shape, -1)
        out[1 + back :] = self.vocabulary.id("KEY") + g.down(groups[1:-back])[: max(len(groups) - 1 - back, 0)]
        return out.reshape(-1)
