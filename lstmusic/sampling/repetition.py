"""Too much repetition: songs that go round in a loop.

A loop is a passage that a song plays again and again, id for id, for longer than music does. Of real pieces few have one:
2 of 200 tunes of the Nottingham data set as `melody` and 1 of 150 as `metrical`, 1 of 382 chorales of Jsb16thSeparated, and
of 100 songs of POP909 none, as `metrical` or as `performance`.
"""

from __future__ import annotations

import numpy as np

MOST_GROUPS = 128  # of the longest loop that is looked for
ROUNDS, SHORT_GROUPS = 4, 16  # so few groups so many times in a row are a loop,
LONG_ROUNDS = 5  # more of them once more: dances play a strain four times
LEAST_GROUPS = 32  # and all rounds together last so long: a chord may be held, a note repeated
HEAT, MOST_HEAT = 1.3, 3.0  # before its last round the temperature is multiplied by this, again and again up to that
HEAT_GROUPS = 4  # once in so many groups
MOST_TIMES = 8  # by then the most is reached
PRIME = 0x9E3779B97F4A7C15 - 2**64  # odd: multiplying by it loses nothing of 64 bits


def group_hashes(groups: np.ndarray) -> np.ndarray:
    """One number for each group: int [..., G] to int64 [...]; never negative."""
    hashes = np.zeros(groups.shape[:-1], np.int64)
    for member in range(groups.shape[-1]):
        hashes = hashes * PRIME + groups[..., member]
    return hashes & np.iinfo(np.int64).max


def _thresholds(most_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """How many groups in a row have to equal those one round before, for rounds of 1, 2, ... most_groups groups.

    Returns:
        For a loop that is complete, and for one that lacks its last round.
    """
    length = np.arange(1, most_groups + 1)
    rounds = np.where(length <= SHORT_GROUPS, ROUNDS, LONG_ROUNDS)
    whole = np.maximum(rounds * length, LEAST_GROUPS)
    return whole - length, whole * (rounds - 1) // rounds - length


class LoopWatch:
    """Whether songs are about to go round in a loop: the heat begins a round before it is one, so that few become one.

    For every song and every length of a round, up to `most_groups`, it counts how many groups in a row equal the one that
    is a round before.
    """

    def __init__(self, songs: int, most_groups: int = MOST_GROUPS) -> None:
        self._past = np.full((songs, 2 * most_groups), -1, np.int64)  # a ring, twice: its latest part lies in a row
        self._runs = np.zeros((songs, most_groups), np.int64)  # by length of the round, the longest first
        self._next, self._most = 0, most_groups
        self._warning = _thresholds(most_groups)[1][::-1]
        self._factor = np.ones(songs)

    def hear(self, groups: np.ndarray) -> None:
        """Go on by one group per song, int [B, G]."""
        heard = group_hashes(groups)[:, None]
        same = self._past[:, self._next : self._next + self._most] == heard
        self._runs = (self._runs + 1) * same
        self._past[:, self._next] = self._past[:, self._next + self._most] = heard[:, 0]
        self._next = (self._next + 1) % self._most
        self._factor = self._heat()

    def factor(self) -> np.ndarray:
        """What to multiply the temperature by, float64 [B]: 1, and more the longer a song goes round."""
        return self._factor

    def _heat(self) -> np.ndarray:
        beyond = (self._runs - self._warning).max(axis=1)
        times = np.minimum(1 + beyond // HEAT_GROUPS, MOST_TIMES)
        return np.where(beyond < 0, 1.0, np.minimum(HEAT ** np.maximum(times, 0), MOST_HEAT))

    def take(self, rows: np.ndarray) -> None:
        """Song r goes on as song rows[r] stood."""
        self._past, self._runs, self._factor = self._past[rows], self._runs[rows], self._factor[rows]


def loop_share(groups: np.ndarray, most_groups: int = MOST_GROUPS) -> float:
    """The share of a song's groups, int [N, G], that are part of a loop."""
    hashes = group_hashes(np.asarray(groups, np.int64))
    inside = np.zeros(len(hashes) + 1, np.int64)
    for back, needed in enumerate(_thresholds(most_groups)[0], start=1):
        same = np.concatenate([[False], hashes[back:] == hashes[:-back], [False]])
        first, after = np.flatnonzero(same[1:] & ~same[:-1]), np.flatnonzero(same[:-1] & ~same[1:])
        long = after - first >= needed
        np.add.at(inside, first[long], 1)
        np.add.at(inside, after[long] + back, -1)
    return float((np.cumsum(inside[:-1]) > 0).mean()) if len(hashes) else 0.0
