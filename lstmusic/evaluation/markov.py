"""A Markov chain that writes songs: what n-grams can do, so that a network's songs can be told from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstmusic.evaluation.baselines import NGram
from lstmusic.events.codec import Codec
from lstmusic.sampling.songs import MAX_BARS, MAX_IDS_AT_REST


class MarkovModel:
    """The n-grams of `baselines` as a writer: each id drawn from their distribution under the grammar's mask.

    Headers and endings are counted too, so that songs have headers and end by themselves.

    Args:
        codec: the encoding; its `context_keys` are what is looked at.
        pieces: ids of the pieces to count, int [N] each.
    """

    def __init__(self, codec: Codec, pieces: Sequence[np.ndarray]) -> None:
        self.codec = codec
        arrays, new = [np.asarray(ids, np.int64) for ids in pieces], slice(codec.group_size, None)
        contexts = np.concatenate([codec.contexts(ids)[new] for ids in arrays])
        self.ngram = NGram(len(codec.vocabulary)).fit(contexts, np.concatenate([ids[new] for ids in arrays]))

    def write(self, generators: Sequence[np.random.Generator], max_bars: float = MAX_BARS) -> list[np.ndarray]:
        """Write a whole legal piece per generator, int64 [N], side by side; each depends on its own generator alone.

        Args:
            generators: one number is drawn of each for each id.
            max_bars: where a song that has not ended by itself is closed; so is one that stands still in time.
        """
        grammar = self.codec.grammar
        songs: list[list[int]] = [grammar.bos().tolist() for _ in generators]
        writing, state = np.arange(len(songs)), grammar.start(len(songs))
        latest = np.r_[np.zeros(self.codec.context_ids, np.int64), grammar.bos()][grammar.group_size :]
        before = np.tile(latest, (len(songs), 1))
        at_rest, stuck = np.zeros(len(songs), np.int64), np.zeros(len(songs), bool)
        while len(writing):
            bars = grammar.length(state)[0]
            over = grammar.full(state, max_bars - bars, np.inf) | stuck
            mask = np.where(over[:, None], grammar.closing(state), grammar.allowed(state))
            p = self.ngram.distribution(self.codec.context_keys(state, before)) * mask
            ids = drawn(p, np.array([generators[song].random() for song in writing.tolist()]))
            for song, chosen in zip(writing.tolist(), ids.tolist(), strict=True):
                songs[song].append(chosen)
            grammar.advance(state, ids)
            at_rest = np.where(grammar.length(state)[0] > bars, 0, at_rest + 1)
            stuck |= at_rest >= MAX_IDS_AT_REST
            before = np.c_[before, ids][:, 1:]
            going = ~grammar.finished(state)
            if not going.all():
                writing, state, before, at_rest, stuck = (x[going] for x in (writing, state, before, at_rest, stuck))
        return [np.array(ids) for ids in songs]


def drawn(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """One id for each row by inverse transform, int64 [B], from weights float64 [B, V] and numbers [B] in [0, 1)."""
    cumulative = weights.cumsum(axis=1)
    ids = (cumulative <= (uniform * cumulative[:, -1])[:, None]).sum(axis=1)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)  # rounding must not step past it
    return np.minimum(ids, last)
