"""`temperature=auto`: songs as surprising to the model as held-out music."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstmusic.events.codec import Codec
from lstmusic.models.model import Model
from lstmusic.sampling.sampler import sample
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.songs import BLOCK

BARS = 16.0  # of the songs that are tried, one block of them
LOWEST, HIGHEST = 0.25, 4.0
STEP = 0.25  # of the logarithm: from 1 to 1.28, or to 0.78
ROUNDS = 5
SEED = 2**32 - 1  # away from those that people choose


def temperature(model: Model, codec: Codec, sampling: SamplingSettings, nats_per_token: float) -> float:
    """The temperature at which songs come to so many nats per scored id, to three digits.

    Nats grow with the temperature. Songs of the same seeds are written at one temperature after another: a step away until
    what is wanted lies between two of them, then at the place on the line between both (regula falsi, on its logarithm).

    Args:
        sampling: what else songs are drawn by.
    """
    known: dict[float, float] = {}  # by the logarithm of the temperature: how many nats too many
    guess = 0.0
    for _ in range(ROUNDS):
        heat = float(np.exp(guess))
        known[guess] = _song_nats(model, codec, replace(sampling, temperature=heat)) - nats_per_token
        low = max((log for log, excess in known.items() if excess <= 0), default=None)
        high = min((log for log, excess in known.items() if excess > 0), default=None)
        if low is None or high is None:
            guess = float(np.clip(guess + (STEP if high is None else -STEP), np.log(LOWEST), np.log(HIGHEST)))
        else:
            share = known[low] / (known[low] - known[high])
            guess = low + (high - low) * float(np.clip(share, 0.1, 0.9))
    return round(float(np.exp(guess)), 3)


def _song_nats(model: Model, codec: Codec, sampling: SamplingSettings) -> float:
    """Mean nats per scored id of a few songs."""
    generators = [np.random.default_rng((SEED, i)) for i in range(BLOCK)]
    length = Length(bars=BARS, cadence=False)
    loops = Repetition(break_loops=False)
    songs = sample(model, codec.grammar, generators, settings=sampling, length=length, repetition=loops)
    scored = [codec.scored(song.ids[-len(song.nats) :]) for song in songs]
    return float(np.concatenate([song.nats[keep] for song, keep in zip(songs, scored, strict=True)]).mean())
