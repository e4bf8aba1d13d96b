"""The piece that `lstmusic inspect` looks at, in all its forms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.evaluation.likelihood import to_window
from lstmusic.evaluation.surprise import id_ticks
from lstmusic.events.codec import Codec
from lstmusic.listening import figures
from lstmusic.models.language_model import Window
from lstmusic.score import Score

STEPS_SHOWN = 512  # in a picture


@dataclass(frozen=True)
class Piece:
    """A piece in all its forms.

    Attributes:
        codec: of its ids.
        ids: int64 [N], BOS group included.
        name, source: what it is called, and where it comes from, in words.
        score: what the ids decode to.
        window: one lane [1, T].
        ticks: where each step lies in the score, int64 [T].
    """

    codec: Codec
    ids: np.ndarray
    name: str
    source: str
    score: Score
    window: Window
    ticks: np.ndarray

    @classmethod
    def of(cls, codec: Codec, ids: np.ndarray, name: str, source: str) -> Piece:
        """The piece of legal ids."""
        score, group = codec.decode(ids), codec.group_size
        ticks = np.maximum.accumulate(id_ticks(codec, ids, score)[group::group])
        return cls(codec, ids, name, source, score, piece_window(codec, ids), ticks)

    @cached_property
    def timeline(self) -> figures.Timeline:
        """Where its music lies along its steps."""
        return figures.Timeline(self.score, self.ticks, STEPS_SHOWN)

    @property
    def title(self) -> str:
        """Its name, and which part of it is drawn."""
        part = "" if len(self.ticks) <= STEPS_SHOWN else f" (the first {STEPS_SHOWN} of {len(self.ticks)} steps)"
        return f"{self.name}{part}"


def piece_window(codec: Codec, ids: np.ndarray) -> Window:
    """A whole piece as one lane [1, T]."""
    return to_window(Arrays(*(field[None] for field in piece_arrays(codec, ids))))
