"""`temperature=auto`: songs as surprising to the model as held-out music."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstmusic.events.codec import Codec
from lstmusic.models.model import Model
from lstmusic.sampling.sampler import sample
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.songs import BLOCK

SONGS, BARS = 2 * BLOCK, 16.0
LOWEST, HIGHEST = 0.25, 4.0
ROUNDS = 6
SEED = 2**32 - 1  # away from those that people choose


def temperature(model: Model, codec: Codec, sampling: SamplingSettings, nats_per_token: float) -> float:
    """The temperature at which songs come to so many nats per scored id, to three digits.

    Nats grow with the temperature; it is found by halving the range of its logarithm where the songs of one seed are
    on one side of what is wanted or the other (regula falsi between the two that are nearest).

    Args:
        sampling: what else songs are drawn by.
    """
    low, high = np.log(LOWEST), np.log(HIGHEST)
    below = above = None
    guess = 0.0
    for _ in range(ROUNDS):
        found = _song_nats(model, codec, replace(sampling, temperature=float(np.exp(guess)))) - nats_per_token
        if found < 0:
            low, below = guess, found
        else:
            high, above = guess, found
        if below is None or above is None:
            guess = np.clip(guess + (0.25 if above is None else -0.25), np.log(LOWEST), np.log(HIGHEST))
        else:
            guess = low + (high - low) * float(np.clip(-below / (above - below), 0.1, 0.9))
    return round(float(np.exp(guess)), 3)


def _song_nats(model: Model, codec: Codec, sampling: SamplingSettings) -> float:
    """Mean nats per scored id of a few songs."""
    generators = [np.random.default_rng((SEED, i)) for i in range(SONGS)]
    length = Length(bars=BARS, cadence=False)
    loops = Repetition(break_loops=False)
    songs = sample(model, codec.grammar, generators, settings=sampling, length=length, repetition=loops)
    scored = [codec.scored(song.ids[-len(song.nats) :]) for song in songs]
    return float(np.concatenate([song.nats[keep] for song, keep in zip(songs, scored, strict=True)]).mean())
