"""What an encoding loses: a piece beside what its ids decode to, note by note."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lstmusic.events.codec import Codec
from lstmusic.score import Score


class Fidelity(NamedTuple):
    """How faithful the ids of a piece (or of many) are to its Score.

    Attributes:
        notes: in the Score. lost: of them without a counterpart in the decoded piece. added: decoded without a counterpart.
        onset_error_ms, max_onset_error_ms: mean and largest |error| of the notes kept, a shift of the whole piece aside.
        duration_error_ms: mean |error| of the notes kept.
        tempi, meters, keys, pedals: rows of the Score's maps. *_lost: of them, not in force in the decoded piece.
        max_tempo_error: the largest relative error of the tempi kept.
    """

    notes: int = 0
    lost: int = 0
    added: int = 0
    onset_error_ms: float = 0.0
    max_onset_error_ms: float = 0.0
    duration_error_ms: float = 0.0
    tempi: int = 0
    tempi_lost: int = 0
    max_tempo_error: float = 0.0
    meters: int = 0
    meters_lost: int = 0
    keys: int = 0
    keys_lost: int = 0
    pedals: int = 0
    pedals_lost: int = 0


def measure(codec: Codec, score: Score, ids: np.ndarray) -> Fidelity:
    """What the ids of a piece keep of it.

    Args:
        codec: whose `encode(score)` gave the ids.
        ids: uint16 [N].
    """
    raise NotImplementedError


def total(pieces: Iterable[Fidelity]) -> Fidelity:
    """The figures of many pieces together: sums, means over notes, largest errors."""
    raise NotImplementedError
