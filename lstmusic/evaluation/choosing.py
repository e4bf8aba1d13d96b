"""Which of many songs to keep: those that together are most like held-out music, and like nothing else too much.

Two sets of pieces are alike when their pieces lie as far from those of the other set as from their own: the energy distance
2 E|X - Y| - E|X - X'| - E|Y - Y'| is then 0, and otherwise above (Székely and Rizzo 2013, "Energy statistics: a class of
statistics based on distances"). With kept songs X and held-out pieces Y the first term pulls songs to where real pieces
are, the second keeps them apart, since the songs nearest to all would be too much of a kind, and the third is the same for
any choice. In the second term each song also makes a pair with itself: without these an outlier would cost nothing, as what
it is too far from real pieces it is as far from the other songs.

Distances are of nats, of lengths (their logarithms) and of statistics, each in standard deviations of held-out pieces;
without lengths the shortest songs would be chosen, in which little can be odd. To them are added the bars that a song
shares with training pieces, and with other kept songs, beyond what nearly all held-out pieces do (`Cost`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MOST_SD = 3.0  # farther from the held-out mean is as far: one odd statistic is not to outweigh all others
ALIKE = 1e-9  # a spread this small beside the values is rounding


class Measured(NamedTuple):
    """Songs or pieces: nats per token, length in bars, float64 [N], statistics [N, S], NaN where one does not apply."""

    nats: np.ndarray
    bars: np.ndarray
    statistics: np.ndarray


class Cost(NamedTuple):
    """What a song costs beside other songs that are kept: of two for one place, that which costs less is kept.

    Attributes:
        nats, length, statistics: twice how much farther it is from held-out pieces than from kept songs, itself one of
            them, on average.
        originality: bars shared with a training piece beyond the usual.
        likeness: bars shared with kept songs beyond the usual, none with itself, on average.
    """

    nats: float
    length: float
    statistics: float
    originality: float
    likeness: float

    @property
    def total(self) -> float:
        """The sum of its parts."""
        return sum(self)


class Costs:
    """What songs cost, kept together in any choice.

    Args:
        songs: N songs.
        held_out: P pieces, two at least.
        shared_bars: float [N], of the longest run that each song shares with a training piece.
        mutual_bars: float [N, N], of the longest run that two songs share; symmetric.
        usual_bars: what nearly all held-out pieces do not go beyond.

    Attributes:
        alone: float [5, N], what each song costs, by the parts of `Cost`.
        between: float [5, N, N], what every two of them cost.
    """

    def __init__(
        self, songs: Measured, held_out: Measured, shared_bars: np.ndarray, mutual_bars: np.ndarray, usual_bars: float
    ) -> None:
        own, real = in_sd(songs, held_out), in_sd(held_out, held_out)
        own, real = (Measured(*(values.clip(-MOST_SD, MOST_SD) for values in each)) for each in (own, real))
        beyond = np.maximum(shared_bars - usual_bars, 0)
        alike = np.maximum(mutual_bars - usual_bars, 0) / 2
        np.fill_diagonal(alike, 0)
        to_real, apart = _distances(own, real), _distances(own, own)
        self.alone = np.stack([*(2 * each.mean(1) for each in to_real), beyond, np.zeros_like(beyond)])
        self.between = np.stack([*(-each for each in apart), np.zeros_like(alike), alike])

    def of(self, song: int, others: Sequence[int]) -> Cost:
        """What a song costs beside others that are kept."""
        between = self.between[:, song, list(others)].sum(1) / (len(others) + 1)
        return Cost(*(self.alone[:, song] + 2 * between).tolist())

    def choose(self, keep: int) -> list[int]:
        """The songs to keep, the cheapest first: one by one, then exchanged for others until that gains nothing."""
        kept: list[int] = []
        for _ in range(keep):
            kept.append(int(np.argmin(self._with_each(kept))))
        total = float("inf")
        while True:
            rests = [without(song, kept) for song in kept]
            totals = np.stack([self._with_each(rest) for rest in rests])
            place, song = np.unravel_index(int(np.argmin(totals)), totals.shape)
            if not totals[place, song] < total - ALIKE:  # nor where it is not a number
                return sorted(kept, key=lambda song: self.of(song, without(song, kept)).total)
            kept, total = [*rests[place], int(song)], float(totals[place, song])

    def rival(self, song: int, kept: Sequence[int]) -> int:
        """The kept song in whose place another would be least out of place."""

        def loss(leaving: int) -> float:
            rest = without(leaving, kept)
            return self.of(song, rest).total - self.of(leaving, rest).total

        return min(kept, key=loss)

    def _with_each(self, kept: list[int]) -> np.ndarray:
        """The cost of kept songs and each one more together, float [N]; infinite for those that are kept."""
        alone, between = self.alone.sum(0), self.between.sum(0)
        count = len(kept) + 1
        total = (alone[kept].sum() + alone) / count
        total += (between[np.ix_(kept, kept)].sum() + 2 * between[kept].sum(0)) / count**2
        total[kept] = np.inf
        return total


def without(song: int, songs: Sequence[int]) -> list[int]:
    """The other songs."""
    return [other for other in songs if other != song]


def in_sd(songs: Measured, held_out: Measured) -> Measured:
    """Measures as distances from the held-out mean, in standard deviations of held-out pieces; of lengths the logarithms.

    Not a number where a statistic does not apply to the song, or to fewer than two held-out pieces.
    """
    columns = [np.c_[each.nats, np.log2(each.bars), each.statistics] for each in (songs, held_out)]
    known = np.isfinite(columns[1])
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, columns[1], 0).sum(0) / count
    squares = (np.where(known, columns[1] - mean, 0) ** 2).sum(0)
    spread = np.sqrt(squares / np.maximum(count - 1, 1))
    spread = np.maximum(spread, ALIKE * np.maximum(np.abs(mean), 1.0))  # where all agree, anything else is far away
    table = np.where(known.sum(0) > 1, (columns[0] - mean) / spread, np.nan)
    return Measured(table[:, 0], table[:, 1], table[:, 2:])


def _distances(one: Measured, other: Measured) -> list[np.ndarray]:
    """Of nats, lengths and statistics, each float [N, M]; 0 where either is not known.

    Of statistics the root mean square of the differences, over those that both have.
    """
    squares = (one.statistics[:, None] - other.statistics) ** 2
    known = np.isfinite(squares)
    mean = np.where(known, squares, 0).sum(-1) / np.maximum(known.sum(-1), 1)
    nats, bars = (np.abs(a[:, None] - b) for a, b in ((one.nats, other.nats), (one.bars, other.bars)))
    return [np.nan_to_num(nats, nan=0.0), np.nan_to_num(bars, nan=0.0), np.sqrt(mean)]
