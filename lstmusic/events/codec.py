"""What every encoding promises, and the registry of encodings."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events.given import Given
from lstmusic.events.grammar import Grammar
from lstmusic.events.vocabulary import Vocabulary
from lstmusic.score import Score

REWRITTEN = ("chorale", "frames", "melody", "metrical", "performance")  # the encodings whose codecs know what is given


class Codec(ABC):
    """One encoding: Score <-> ids. What `encode` wrote encodes to itself after decoding, but for MidiTok's tokenizers.

    Attributes:
        name: what `encoding=` takes.
        options: the arguments that `build` needs to make this codec again.
        vocabulary, grammar: of this encoding.
        note_kinds: the kinds of event whose ids begin a note.
        stretchable: whether `augment` can change the tempo; a grid of beats holds no seconds.
        in_seconds: whether the ids tell seconds and `decode` lays them out at MIDI's own tempo; otherwise they tell beats.
        unscored_kinds: kinds of event that are not music: headers and borders.
        repeat_name: what `repeats` guesses, for reports.
        context_ids: how many ids before an id `context_keys` looks at, beside the grammar's state.
    """

    name: str
    options: dict
    vocabulary: Vocabulary
    grammar: Grammar
    note_kinds: tuple[str, ...]
    stretchable: bool = False
    in_seconds: bool = False
    unscored_kinds: tuple[str, ...] = ("BOS", "EOS")
    repeat_name: str
    context_ids: int = 0

    @property
    def group_size(self) -> int:
        """How many ids make one step."""
        return self.grammar.group_size

    def _take_conditions(self, conditions: bool) -> None:
        """Let models be told what the music around is like; an option only where they are, as for older folders."""
        if conditions:
            self.options = {**self.options, "conditions": True}
            self.grammar.conditions = True

    @abstractmethod
    def encode(self, score: Score, losses: Counter | None = None) -> np.ndarray:
        """Encode a piece as legal ids, uint16 [N], from its BOS group to its EOS group.

        Args:
            score: any music; what the encoding cannot carry is left out.
            losses: gathers what was left out or moved, by reason.
        """

    @abstractmethod
    def decode(self, ids: np.ndarray) -> Score:
        """The music of legal ids (BOS included); an unfinished piece ends where its ids do."""

    @abstractmethod
    def transpositions(self, ids: np.ndarray) -> tuple[int, int]:
        """The lowest and highest shift in semitones that keeps every pitch of the piece in the vocabulary."""

    @abstractmethod
    def augment(self, ids: np.ndarray, semitones: int = 0, stretch: float = 1.0) -> np.ndarray:
        """The ids of the same piece transposed, and with every time multiplied by `stretch`."""

    @abstractmethod
    def context_keys(self, state: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Keys of what an n-gram may look at before an id, int64 [B, K], coarse to fine; the first knows no history.

        Args:
            state: of the grammar before the id, [B].
            before: the ids before it, int64 [B, context_ids], the latest last; 0 where there are none.
        """

    def contexts(self, ids: np.ndarray) -> np.ndarray:
        """The `context_keys` before each id of a piece, int64 [N, K]; those of the BOS group have no meaning."""
        ids = np.asarray(ids, np.int64)
        padded = np.concatenate([np.zeros(self.context_ids, np.int64), ids])
        before = np.lib.stride_tricks.sliding_window_view(padded, self.context_ids)[: len(ids)]  # copies nothing
        return self.context_keys(self.grammar.trajectory(ids), before)

    def given(self, ids: np.ndarray, start_tick: int, end_tick: int, keep: Sequence[str] = ()) -> Given:
        """What stays of a piece while the notes that sound wholly in start_tick..end_tick-1 are written anew.

        Args:
            ids: of a whole legal piece.
            start_tick, end_tick: in ticks of `decode(ids)`.
            keep: names of the grammar's voices that stay there, too.

        Raises:
            ConfigError: the gap holds no time, there is no such voice, or this encoding's pieces cannot be rewritten.
        """
        raise ConfigError(
            f"encoding={self.name}: its pieces cannot be rewritten, expected one of {', '.join(REWRITTEN)}"
        )

    @abstractmethod
    def repeats(self, ids: np.ndarray) -> np.ndarray:
        """The id at each place if the music repeated itself, int64 [N]; -1 where there is nothing to repeat."""

    def scored(self, ids: np.ndarray) -> np.ndarray:
        """bool [N]: the ids that count in nats per token: music, not BOS, headers or EOS."""
        ids = np.asarray(ids)
        return ~np.logical_or.reduce([self.vocabulary.is_kind(kind, ids) for kind in self.unscored_kinds])

    def note_ids(self, ids: np.ndarray) -> np.ndarray | None:
        """Where the id stands that strikes each note of `decode(ids)`, int64 [notes], in their order; None: no id does."""
        return None

    def num_onsets(self, ids: np.ndarray) -> int:
        """The number of moments at which notes begin."""
        return len(np.unique(self.decode(ids).notes["onset_tick"]))

    def num_notes(self, ids: np.ndarray) -> int:
        """The number of notes in a piece."""
        return int(sum(self.vocabulary.is_kind(kind, ids).sum() for kind in self.note_kinds))


def followers(contexts: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The id that followed when the context of each place came last, int64 [N]; -1 where it is new. For `Codec.repeats`.

    Args:
        contexts: int64 [N], one key a place.
        ids: int [N].
    """
    ids = np.asarray(ids, np.int64)
    order = np.argsort(contexts, kind="stable")
    same = np.r_[False, contexts[order[1:]] == contexts[order[:-1]]]
    out = np.full(len(ids), -1)
    out[order[same]] = ids[order[np.flatnonzero(same) - 1]]
    return out


def histories(first: np.ndarray, num_first: int, before: np.ndarray, num_ids: int) -> np.ndarray:
    """Contexts of growing length, int64 [N, 1 + L]: `first`, and with it the last id, the last two, and so on.

    Args:
        first: int64 [N], the coarsest context, one of 0..num_first-1.
        before: int64 [N, L], the ids before, the latest last, each one of 0..num_ids-1. Fewer of them are looked at where
            they and one more would not fit 64 bits.
    """
    keys = [first]
    for back in range(1, before.shape[1] + 1):
        if num_first * num_ids ** (back + 1) >= 2**63:
            break
        keys.append(keys[-1] * num_ids + before[:, -back])
    return np.stack(keys, axis=1)


def transposed(vocabulary: Vocabulary, ids: np.ndarray, semitones: int, unknown_key: int) -> np.ndarray:
    """The ids [N] with every PITCH, and the tonic of every KEY but the unknown one, moved by semitones.

    Raises:
        VocabularyError: a pitch is not in the vocabulary.
    """
    ids = np.array(ids)
    pitched = vocabulary.is_kind("PITCH", ids)
    ids[pitched] = vocabulary.ids("PITCH", vocabulary.values("PITCH", ids[pitched]) + semitones)
    known = vocabulary.is_kind("KEY", ids) & (ids != vocabulary.id("KEY", unknown_key))
    key = vocabulary.values("KEY", ids[known])
    ids[known] = vocabulary.ids("KEY", key // 12 * 12 + (key + semitones) % 12)
    return ids


def build(name: str, **options) -> Codec:
    """The codec of an encoding.

    Args:
        name: `chorale`, `frames`, `melody`, `metrical` or `performance`, or MidiTok's name of a tokenizer.
        **options: what that codec takes, such as `strikes=False` for `chorale`.

    Raises:
        ConfigError: there is no such encoding, it cannot be used, or it has no such option.
    """
    from lstmusic.events import miditok
    from lstmusic.events.chorale import ChoraleCodec
    from lstmusic.events.frames import FramesCodec
    from lstmusic.events.melody import MelodyCodec
    from lstmusic.events.metrical import MetricalCodec
    from lstmusic.events.performance import PerformanceCodec

    own = {codec.name: codec for codec in (ChoraleCodec, FramesCodec, MelodyCodec, MetricalCodec, PerformanceCodec)}
    makers = {**own, **{tokenizer: partial(miditok.MidiTokCodec, tokenizer) for tokenizer in miditok.NAMES}}
    if name in miditok.REFUSED:
        raise ConfigError(f"encoding.name={name}: {miditok.REFUSED[name]}; expected one of {', '.join(miditok.NAMES)}")
    if name not in makers:
        raise ConfigError(f"encoding={name}: expected one of {', '.join(makers)}")
    known = inspect.signature(makers[name]).parameters
    for option, value in options.items():
        if option not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise ConfigError(f"encoding.{option}={value}: {name} has no such option, expected {expected}")
    return makers[name](**options)
