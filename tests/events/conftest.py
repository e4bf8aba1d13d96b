"""Here `codec` is also the encoding of frames, whose groups are too wide for the language model of other tests."""

import numpy as np
import pytest

from lstmusic.events import codec as codecs
from lstmusic.events.given import NONE

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


@pytest.fixture
def rewritten():
    """A function: songs drawn under the mask of what is given, one for each row of weights [B, V], from BOS to EOS.

    On the way it is checked that the mask is legal and never empty, and leaves no choice once nothing is open.
    """

    def write(codec, given, rng, weights) -> list[np.ndarray]:
        grammar, written = codec.grammar, []
        state = grammar.trajectory(np.r_[given.prefix, given.prefix[:1]])[-1:].repeat(len(weights))
        was_open = np.ones(len(weights), bool)
        while not (done := grammar.finished(state)).all():
            mask, is_open = given.mask(state), given.open(state)
            assert mask.any(axis=1).all(), "dead end"
            assert not (mask & ~grammar.allowed(state)).any()
            assert not (is_open & ~was_open).any(), "open again"
            latest = given.latest(state, mask)
            stands = np.flatnonzero(latest != NONE)
            assert mask[stands, latest[stands]].all(), "what may not come stands for others"
            assert (mask[~is_open].sum(axis=1) == 1).all(), "a choice where nothing is free"
            was_open = is_open
            drawn = np.where(mask, np.log(weights) + rng.gumbel(size=mask.shape), -np.inf).argmax(axis=1)
            written.append(np.where(done, -1, drawn))
            grammar.advance(state, drawn)
        return [np.r_[given.prefix, ids[ids >= 0]] for ids in np.stack(written, axis=1)]

    return write


@pytest.fixture
def accepts():
    """A function: whether the mask of what is given lets a whole piece through from its first id to its last."""

    def check(codec, given, ids) -> bool:
        states = np.split(codec.grammar.trajectory(ids), len(ids))  # what follows an id that is refused has no meaning
        return all(given.mask(states[at])[0, ids[at]] for at in range(codec.group_size, len(ids)))

    return check
