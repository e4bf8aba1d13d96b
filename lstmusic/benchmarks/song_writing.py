"""Many songs of one model at a time, on all cores: for `evaluate`, and the tables that measure what songs are like."""

from __future__ import annotations

import time
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from lstmusic.corpus import parallel
from lstmusic.events.codec import Codec
from lstmusic.music_model import MusicModel, load
from lstmusic.sampling.songs import BLOCK
from lstmusic.schema import ParallelConfig
from lstmusic.writing import Song

TOGETHER = BLOCK  # songs of one seed; so each can be written again by `generate`
SECONDS_PER_BAR = 2.0  # what a bar stands for where an encoding knows seconds only: 4/4 at MIDI's own tempo
EDGE_BARS = 1e-9  # bars are sums of fractions


class Written(NamedTuple):
    """Songs, in the order of their seeds, and the seconds that writing them took all processes together."""

    songs: list[Song]
    seconds: float

    @property
    def ids_per_second(self) -> float:
        """New ids per second of one process."""
        return sum(len(song.nats) for song in self.songs) / self.seconds


def write(checkpoint: str, songs: int, *, seed: int = 0, jobs: int = -1, **how: Any) -> Written:
    """Write songs: the first 16 of a seed, then the first 16 of the next, and so on: the same on any number of cores.

    Args:
        checkpoint: what `music_model.load` opens.
        seed: the first.
        jobs: processes; -1: one per core.
        how: arguments of `MusicModel.generate`.
    """
    parts = [(each, min(TOGETHER, songs - first)) for each, first in enumerate(range(0, songs, TOGETHER), seed)]
    results = sorted(parallel.run(partial(_part, checkpoint, how), parts, ParallelConfig(), jobs), key=itemgetter(0))
    return Written([song for _, part, _ in results for song in part], sum(seconds for *_, seconds in results))


@lru_cache(maxsize=1)
def opened(checkpoint: str) -> MusicModel:
    """The model, loaded once in each process."""
    return load(checkpoint)


def length(codec: Codec, bars: float) -> dict[str, float]:
    """The argument of `generate` that asks for so many bars, or for as many seconds of an encoding that has no bars."""
    return {"length_seconds": SECONDS_PER_BAR * bars} if codec.in_seconds else {"length_bars": bars}


def nats_per_token(codec: Codec, songs: list[Song], first_bar: float = 0, last_bar: float = np.inf) -> float:
    """Nats of the new music of songs, from one bar to another of it, over the number of its ids; at temperature 1."""
    nats = ids = 0.0
    for song in songs:
        new = slice(len(song.ids) - len(song.nats), None)
        bars = codec.grammar.length(codec.grammar.trajectory(song.ids))[0][new]
        counted = codec.scored(song.ids)[new] & (bars >= first_bar - EDGE_BARS) & (bars < last_bar - EDGE_BARS)
        nats += song.nats[counted].sum()
        ids += counted.sum()
    return nats / ids if ids else float("nan")


def _part(checkpoint: str, how: dict[str, Any], part: tuple[int, int]) -> tuple[int, list[Song], float]:
    """The first songs of a seed: the seed, they, and how many seconds it took."""
    seed, songs = part
    model = opened(checkpoint)
    started = time.perf_counter()
    return seed, model.generate(songs, seed=seed, **how), time.perf_counter() - started
