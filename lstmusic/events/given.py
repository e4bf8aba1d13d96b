"""What of a piece stays while some of it is written anew.

A gap is a stretch of time. Every note that sounds outside it stays, from its onset to its end, and so does all that is no
note: headers, meters, keys, tempi, bar lines and the piece's length. Free is which other notes sound, wholly inside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events.grammar import CHECK_ROWS, Grammar

NONE = -1  # no id


class Given(ABC):
    """What is given of one piece, told by the state of its grammar.

    Attributes:
        prefix: int64 [N], whole groups from the BOS group on, no EOS among them: all that is given before the first id
            that is free.
    """

    prefix: np.ndarray

    @abstractmethod
    def mask(self, state: np.ndarray) -> np.ndarray:
        """bool [B, V]: the ids after which all that is given can still come out; a subset of the grammar's `allowed`.

        Never empty in a state [B] that is reached from the prefix under this mask. Where nothing is free any more it is one
        id, that of the piece, and EOS after the end.
        """

    @abstractmethod
    def open(self, state: np.ndarray) -> np.ndarray:
        """bool [B]: whether something is still free in these states or after them."""

    def latest(self, state: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Of the ids that `mask` allows, int64 [B], the one that stands for all that comes after it; `NONE`: none does.

        What a model would write beyond it, it writes after it: a shift that would pass a given note waits for that note.

        Args:
            mask: what `mask` said of these states.
        """
        return np.full(len(state), NONE)

    def _forced(self, grammar: Grammar, ids: np.ndarray) -> np.ndarray:
        """The groups of a piece (int64 [N]) before the first one in which the mask leaves another id: the prefix."""
        group, eos = grammar.group_size, grammar.vocabulary.id("EOS")
        state = grammar.trajectory(ids)[group:]
        for start in range(0, len(state), CHECK_ROWS):
            several = np.flatnonzero(self.mask(state[start : start + CHECK_ROWS]).sum(axis=1) > 1)
            if len(several):
                first = group + start + int(several[0])
                return ids[: first // group * group]
        return ids[: int(np.argmax(ids == eos))]


def highest(mask: np.ndarray, ids: slice) -> np.ndarray:
    """The highest of some ids that a mask [B, V] allows, int64 [B]; `NONE` where it allows none of them."""
    part = mask[:, ids]
    return np.where(part.any(axis=1), ids.stop - 1 - part[:, ::-1].argmax(axis=1), NONE)


def check_gap(start_tick: int, end_tick: int) -> None:
    """Raise where a gap holds no time.

    Raises:
        ConfigError: it does not.
    """
    if not 0 <= start_tick < end_tick:
        raise ConfigError(f"gap of ticks {start_tick} to {end_tick}: expected a start from 0, and an end after it")


def kept_voices(keep: Sequence[str], voices: Sequence[str] = ()) -> np.ndarray:
    """Which voices stay inside the gap, too: bool [voices].

    Args:
        keep: their names, in capitals or not.
        voices: those that the encoding tells apart; none of them is there to be kept where it tells none.

    Raises:
        ConfigError: there is no such voice, or all are kept, so that nothing is left to write.
    """
    names = [voice.lower() for voice in voices]
    for voice in keep:
        if voice.lower() not in names:
            expected = f"some of {', '.join(voices)}" if voices else "none, as this encoding tells no voices apart"
            raise ConfigError(f"infill.keep={voice}: there is no such voice, expected {expected}")
    kept = np.isin(names, [voice.lower() for voice in keep]) if names else np.zeros(0, bool)
    if names and kept.all():
        raise ConfigError(f"infill.keep={','.join(keep)}: expected a voice less, so that there is something to write")
    return kept
