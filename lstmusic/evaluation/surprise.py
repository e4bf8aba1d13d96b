"""How surprising each note and each bar of a piece was to a model: nats of ids laid upon the music."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstmusic.events.codec import Codec
from lstmusic.score import Score


class Surprise(NamedTuple):
    """Nats of a piece's music; not a number where nothing was predicted, as in a primer.

    Attributes:
        note_nats: float64 [notes], of the id that strikes each note; None where no single id does.
        bar_nats: float64 [bars], of all scored ids between two bar lines: also of what goes on, ends or is silent.
    """

    note_nats: np.ndarray | None
    bar_nats: np.ndarray


def id_ticks(codec: Codec, ids: np.ndarray, score: Score) -> np.ndarray:
    """The tick at which each id of a piece belongs, int64 [N]: that of its step's last id.

    Args:
        ids: int [N], BOS group included.
        score: what they decode to.
    """
    seconds = codec.grammar.length(codec.grammar.trajectory(np.asarray(ids, np.int64)))[1]
    return np.repeat(score.ticks(seconds.reshape(-1, codec.group_size).max(axis=1)), codec.group_size)


def surprise(codec: Codec, ids: np.ndarray, nats: np.ndarray, score: Score, start_tick: int = 0) -> Surprise:
    """The surprise of each note and bar of a score, or of what follows a tick of it.

    Args:
        ids: int [N], of the whole piece. nats: float64, of its last ids; those before were given.
        score: what the ids decode to.
        start_tick: what begins earlier is left out, as `Score.after` does.
    """
    all_nats = np.full(len(ids), np.nan)
    all_nats[len(ids) - len(nats) :] = nats
    places = codec.note_ids(ids)
    kept = score.notes["onset_tick"] >= start_tick
    lines = (score.after(start_tick) if start_tick else score).bar_ticks() + start_tick
    counted = codec.scored(ids) & np.isfinite(all_nats)
    bar = np.searchsorted(lines, id_ticks(codec, ids, score), side="right") - 1
    counted &= bar >= 0
    bar = np.minimum(bar, len(lines) - 2)  # what ends on the last line belongs to the bar before it
    sums, number = (np.bincount(bar[counted], weights, len(lines) - 1) for weights in (all_nats[counted], None))
    return Surprise(None if places is None else all_nats[places][kept], np.where(number > 0, sums, np.nan))
