"""What a model has to beat: unigram, n-gram and repeat-the-bar, fitted on the train split, scored on held-out pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstmusic.events.codec import Codec

EM_STEPS = 20
GUESS_NOTHING = -1


@dataclass(frozen=True)
class _Counts:
    """How often each id followed each context at one level; sorted keys with their counts.

    Attributes:
        first_pair: where the pairs of each context begin; there are `distinct_ids` of them.
    """

    contexts: np.ndarray
    context_count: np.ndarray
    distinct_ids: np.ndarray
    first_pair: np.ndarray
    pairs: np.ndarray
    pair_count: np.ndarray


class NGram:
    """Interpolated n-grams with Witten-Bell smoothing, from the coarsest context to the finest.

    Source: Chen and Goodman (1999), section 2.4. Below the coarsest level lies the uniform distribution.

    Args:
        num_ids: V.
    """

    def __init__(self, num_ids: int) -> None:
        self.num_ids = num_ids
        self.levels: list[_Counts] = []

    def fit(self, contexts: np.ndarray, ids: np.ndarray) -> NGram:
        """Count.

        Args:
            contexts: int64 [N, K], one key per level, coarse to fine.
            ids: int64 [N].
        """
        for keys in contexts.T:
            pairs, pair_count = np.unique(keys * self.num_ids + ids, return_counts=True)
            names, first, distinct = np.unique(pairs // self.num_ids, return_index=True, return_counts=True)
            self.levels.append(_Counts(names, np.add.reduceat(pair_count, first), distinct, first, pairs, pair_count))
        return self

    def probability(self, contexts: np.ndarray, ids: np.ndarray, levels: int | None = None) -> np.ndarray:
        """The probability of each id in its context, float64 [N], by the first `levels` levels (all if None)."""
        p = np.full(len(ids), 1 / self.num_ids)
        for counts, keys in zip(self.levels[:levels], contexts.T, strict=False):
            together = _lookup(counts.pairs, counts.pair_count, keys * self.num_ids + ids)
            total = _lookup(counts.contexts, counts.context_count, keys)
            distinct = _lookup(counts.contexts, counts.distinct_ids, keys)
            seen = total > 0
            p[seen] = (together[seen] + distinct[seen] * p[seen]) / (total[seen] + distinct[seen])
        return p

    def distribution(self, contexts: np.ndarray) -> np.ndarray:
        """The probability of every id in each context, float64 [N, V]: what `probability` says of each."""
        p = np.full((len(contexts), self.num_ids), 1 / self.num_ids)
        for counts, keys in zip(self.levels, contexts.T, strict=True):
            at = np.minimum(np.searchsorted(counts.contexts, keys), len(counts.contexts) - 1)
            rows = np.flatnonzero(counts.contexts[at] == keys)  # of contexts that were seen
            at = at[rows]
            distinct, total = counts.distinct_ids[at], counts.context_count[at]
            p[rows] *= (distinct / (total + distinct))[:, None]
            runs = np.cumsum(distinct) - distinct  # the pairs of all rows, one row's after another's
            pair = np.repeat(counts.first_pair[at] - runs, distinct) + np.arange(distinct.sum())
            share = counts.pair_count[pair] / np.repeat(total + distinct, distinct)
            p[np.repeat(rows, distinct), counts.pairs[pair] % self.num_ids] += share
        return p


def _lookup(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """values[key] for each wanted key; 0 where there is none. Keys are sorted."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


def _gather(codec: Codec, pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contexts [N, K], ids [N] and guesses [N] of every scored id of some pieces."""
    contexts, ids, guesses = [], [], []
    for piece in pieces:
        piece = np.asarray(piece, np.int64)
        scored = codec.scored(piece)
        contexts.append(codec.contexts(piece)[scored])
        guesses.append(codec.repeats(piece)[scored])
        ids.append(piece[scored])
    return np.concatenate(contexts), np.concatenate(ids), np.concatenate(guesses)


def _repeat_share(p: np.ndarray, right: np.ndarray) -> float:
    """The weight of the guess in a mixture with probabilities p, by expectation maximisation on training ids."""
    share = 0.5
    for _ in range(EM_STEPS):
        from_guess = share * right
        share = float((from_guess / (from_guess + (1 - share) * p)).mean())
    return share


def baselines(codec: Codec, train: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> dict[str, float]:
    """Nats per scored token of held-out pieces under models without a network.

    Args:
        train: ids of the pieces to count. held_out: ids of the pieces to score.

    Returns:
        `unigram` (no context but the place in the step), `ngram` (interpolated contexts, see the codec) and `repeat_bar`
        (the n-gram mixed with "the same as a bar ago").
    """
    contexts, ids, guesses = _gather(codec, train)
    model = NGram(len(codec.vocabulary)).fit(contexts, ids)
    half = len(train) // 2 or 1  # the guess's weight is fitted on pieces that the n-gram of this step has not counted
    first = NGram(len(codec.vocabulary)).fit(*_gather(codec, train[:half])[:2])
    tuning = _gather(codec, train[half:] or train)
    guessed = tuning[2] != GUESS_NOTHING
    share = _repeat_share(first.probability(*tuning[:2])[guessed], (tuning[2] == tuning[1])[guessed])
    contexts, ids, guesses = _gather(codec, held_out)
    p = model.probability(contexts, ids)
    mixed = np.where(guesses == GUESS_NOTHING, p, share * (guesses == ids) + (1 - share) * p)
    unigram = model.probability(contexts, ids, levels=1)
    by_name = {"unigram": unigram, "ngram": p, codec.repeat_name: mixed}
    return {name: float(-np.log(probability).mean()) for name, probability in by_name.items()}


def verdict(nats_per_token: float, beside: dict[str, float], split: str = "") -> str:
    """What a figure means, in words; the first sentence ends with the split, where that is given."""
    where = f" ({split})" if split else ""
    best_name = min(beside, key=lambda name: beside[name])
    best = beside[best_name]
    gain = (best - nats_per_token) / best
    figures = f"{nats_per_token:.3f} nats per token against {best:.3f} of the best baseline ({best_name})"
    if not nats_per_token < beside["unigram"]:  # nor where it is not a number
        return f"Learned nothing yet: {figures}{where}. Train longer; its songs will be noise."
    if gain <= 0:
        return f"Undertrained: {figures}{where}. Train longer, or on more pieces."
    if gain < 0.15:
        return f"Learned a little: {figures}{where}. Songs will wander; train longer."
    return f"Learned well: {figures}, {100 * gain:.0f} % less{where}."
