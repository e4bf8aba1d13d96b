"""Held-out pieces of a model, for tables that let it write on in them, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import NamedTuple, TypeVar

import numpy as np

from lstmusic.corpus import parallel
from lstmusic.corpus.split import evenly
from lstmusic.corpus.store import Corpus
from lstmusic.evaluation import reference
from lstmusic.schema import ParallelConfig
from lstmusic.score import Score

T = TypeVar("T")


class HeldOut(NamedTuple):
    """A piece that a model has not seen.

    Attributes:
        number: its place among those of a table.
        name: in its data set.
        ids: int64 [N].
    """

    number: int
    name: str
    ids: np.ndarray


def pieces(corpus: Corpus, count: int, wanted: Callable[[Score], bool]) -> list[HeldOut]:
    """So many held-out pieces, or all there are, evenly drawn; `wanted`: which are of use."""
    every = sorted(reference.held_out(corpus))
    useful = [index for index in every if wanted(corpus.codec.decode(corpus.ids(index)))]
    drawn = enumerate(evenly(useful, count))
    return [HeldOut(k, corpus.pieces[i].name, np.array(corpus.ids(i), np.int64)) for k, i in drawn]


def each(work: Callable[[HeldOut], T], of: list[HeldOut]) -> list[T]:
    """What some work gives for each piece, in their order, done on all cores; the work goes to other processes."""
    done: Iterator[tuple[int, T]] = parallel.run(partial(_numbered, work), of, ParallelConfig(), jobs=-1)
    return [result for _, result in sorted(done, key=itemgetter(0))]


def _numbered(work: Callable[[HeldOut], T], piece: HeldOut) -> tuple[int, T]:
    return piece.number, work(piece)
