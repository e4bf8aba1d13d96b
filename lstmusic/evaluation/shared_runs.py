"""The longest run that each place of one string shares with any place of another, exactly and for all places at once.

Of two strings the suffixes are put in order together; the one most like a suffix stands beside it (Manber and Myers 1993).
They are compared eight symbols at a time, and after each comparison only those go on that have a suffix of the other string
as their equal so far.
"""

from __future__ import annotations

import numpy as np

WORD = 8  # symbols compared at a time


def longest_runs(text: np.ndarray, query: np.ndarray, classes: int) -> np.ndarray:
    """How many symbols from each place of `query` on are somewhere in `text`; the last of them by its upper part alone.

    Args:
        text, query: uint8 [N], [M]. The last symbol of each must be in the other by no part.
        classes: the upper part of a symbol is what is left of it when divided by this.

    Returns:
        int64 [M].
    """
    words = _words(text), _words(query)
    places = np.arange(len(text)), np.arange(len(query))
    groups = np.zeros(len(text), np.int64), np.zeros(len(query), np.int64)
    runs, depth = np.zeros(len(query), np.int64), 0
    while len(places[0]) and len(places[1]):
        word = np.concatenate([own[at + depth] for own, at in zip(words, places, strict=True)])
        group = np.concatenate(groups)
        order = np.lexsort((word, group)) if depth else np.argsort(word, kind="stable")
        word, group = word[order], group[order]
        is_query = order >= len(places[0])
        row = np.where(is_query, order - len(places[0]), order)
        runs[places[1][row[is_query]]] = depth + _shared_with_nearest(word, group, is_query, classes)
        group = np.cumsum(np.append(0, (word[1:] != word[:-1]) | (group[1:] != group[:-1])))
        both = (np.bincount(group, is_query) > 0) & (np.bincount(group, ~is_query) > 0)
        kept = both[group] & ~is_query, both[group] & is_query
        places = places[0][row[kept[0]]], places[1][row[kept[1]]]
        groups = group[kept[0]], group[kept[1]]
        depth += WORD
    return runs


def _words(symbols: np.ndarray) -> np.ndarray:
    """The WORD symbols from each place on as one number that sorts as they do, uint64 [N]."""
    padded = np.r_[symbols, np.repeat(symbols[-1:], WORD)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, WORD)[: len(symbols)]
    return np.ascontiguousarray(windows).view(">u8")[:, 0].astype(np.uint64)


def _shared_with_nearest(word: np.ndarray, group: np.ndarray, is_query: np.ndarray, classes: int) -> np.ndarray:
    """How many symbols the word of each place of the query shares with that of the text most like it, int64 [M].

    Args:
        word, group, is_query: [K], of places of both strings, sorted by group and word.
    """
    here, at = np.arange(len(word)), np.flatnonzero(is_query)
    above = np.maximum.accumulate(np.where(is_query, 0, here))[at]
    below = np.minimum.accumulate(np.where(is_query, len(word) - 1, here)[::-1])[::-1][at]
    shared = np.zeros(len(at), np.int64)
    for beside in (above, below):
        comparable = ~is_query[beside] & (group[beside] == group[at])
        shared = np.maximum(shared, np.where(comparable, _shared(word[at], word[beside], classes), 0))
    return shared


def _shared(first: np.ndarray, second: np.ndarray, classes: int) -> np.ndarray:
    """How many symbols words [M] share with others from their first on, the last by its upper part alone, int64 [M]."""
    whole = np.zeros(len(first), np.int64)
    for count in range(1, WORD + 1):
        whole += first >> np.uint64(64 - 8 * count) == second >> np.uint64(64 - 8 * count)
    down = (8 * (WORD - 1 - np.minimum(whole, WORD - 1))).astype(np.uint64)
    upper = [(own >> down & np.uint64(255)) // np.uint64(classes) for own in (first, second)]
    return whole + ((whole < WORD) & (upper[0] == upper[1]))
