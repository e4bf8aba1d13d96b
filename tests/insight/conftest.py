"""Pieces as windows, for the tests of this room."""

import pytest
import torch

from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events import codec as codecs


@pytest.fixture
def chorale_codec():
    return codecs.build("chorale")


@pytest.fixture
def piece_of(chorale_codec, phrase):
    """A function: a phrase of so many bars as one lane [1, T] of a window."""

    def build(bars: int = 2, seed: int = 0):
        arrays = piece_arrays(chorale_codec, chorale_codec.encode(phrase(bars, seed)))
        return to_window(Arrays(*(field[None] for field in arrays)))

    return build


@pytest.fixture
def network(tiny_model, chorale_codec):
    """A function: an untrained model in float64, so that sums agree to many digits."""

    def build(cell="lstm", **sizes):
        return tiny_model(chorale_codec, cell=cell, **sizes).to(torch.float64)

    return build
