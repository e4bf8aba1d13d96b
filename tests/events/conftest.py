"""Here `codec` is also the encoding of frames, whose groups are too wide for the language model of other tests."""

import numpy as np
import pytest

from lstmusic.events import codec as codecs

OPTIONS = {
    "canonical": ("chorale", {"strikes": False}),
    "flat": ("metrical", {"grouped": False}),
    "pedals": ("performance", {"pedals": True}),
}


@pytest.fixture(params=["chorale", "canonical", "frames", "melody", "metrical", "flat", "performance", "pedals"])
def codec(request):
    """Every encoding in turn."""
    name, options = OPTIONS.get(request.param, (request.param, {}))
    return codecs.build(name, **options)


@pytest.fixture
def draw():
    """A function: one id for each row of a mask [B, V], evenly of the kinds that may come and then of the ids of that kind.

    Evenly of all ids, so that the kinds with the most ids come most often, where `by_kind` is False.
    """

    def one_each(rng, vocabulary, mask, by_kind: bool) -> np.ndarray:
        assert mask.any(axis=1).all(), "dead end"
        if by_kind:
            slices = [vocabulary.slice_of(kind) for kind, _, _ in vocabulary.ranges]
            there = np.stack([mask[:, ids].any(axis=1) for ids in slices], axis=1)
            chosen = np.where(there, rng.random(there.shape), -1).argmax(axis=1)
            mask = mask & (np.repeat(np.arange(len(slices)), [s.stop - s.start for s in slices]) == chosen[:, None])
        return np.where(mask, rng.random(mask.shape), -1).argmax(axis=1)

    return one_each
