"""`temperature=auto`: songs as surprising to the model as held-out music."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstmusic.errors import ConfigError
from lstmusic.events.codec import Codec
from lstmusic.models.model import Model
from lstmusic.sampling.sampler import sample
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.songs import BLOCK

LOWEST, HIGHEST = 0.25, 4.0
STEP = 0.25  # of the logarithm: from 1 to 1.28, or to 0.78
ROUNDS = 5
SEED = 2**32 - 1  # the last one that people can choose


def temperature(model: Model, codec: Codec, sampling: SamplingSettings, nats_per_token: float) -> float:
    """The temperature at which songs come nearest to so many nats per scored id.

    Nats grow with the temperature. A block of songs of the same seeds, which end by themselves as pieces do, is written at
    one temperature after another: a step away until what is wanted lies between two of them, then at the place on the line
    between both (regula falsi, on its logarithm). Neither controls nor the loop detector take part.

    Args:
        sampling: what else songs are drawn by.

    Raises:
        ConfigError: no temperature brings songs there.
    """
    excess: dict[float, float] = {}  # by temperature: how many nats too many
    guess = 0.0
    for _ in range(ROUNDS):
        heat = round(float(np.exp(guess)), 3)
        excess[heat] = _song_nats(model, codec, replace(sampling, temperature=heat)) - nats_per_token
        low = max((t for t, nats in excess.items() if nats <= 0), default=None)
        high = min((t for t, nats in excess.items() if nats > 0), default=None)
        if low is None or high is None:
            guess = float(np.clip(guess + (STEP if high is None else -STEP), np.log(LOWEST), np.log(HIGHEST)))
        else:
            share = excess[low] / (excess[low] - excess[high])
            guess = np.log(low) + np.log(high / low) * float(np.clip(share, 0.1, 0.9))
    if low is None or high is None:
        reached = ", ".join(f"{nats_per_token + nats:.3f} at {heat:g}" for heat, nats in sorted(excess.items()))
        raise ConfigError(
            f"temperature=auto: held-out music has {nats_per_token:.3f} nats per token, songs {reached}; expected a number"
        )
    return min(excess, key=lambda heat: abs(excess[heat]))


def _song_nats(model: Model, codec: Codec, sampling: SamplingSettings) -> float:
    """Mean nats per scored id of a block of songs."""
    generators = [np.random.default_rng((SEED, i)) for i in range(BLOCK)]
    loops = Repetition(break_loops=False)
    songs = sample(model, codec.grammar, generators, settings=sampling, length=Length(), repetition=loops)
    scored = [codec.scored(song.ids[-len(song.nats) :]) for song in songs]
    return float(np.concatenate([song.nats[keep] for song, keep in zip(songs, scored, strict=True)]).mean())
