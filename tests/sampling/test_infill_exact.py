"""Gaps so small that every way to fill them can be written down: fills come as often as the model finds the pieces likely.

Here ids would pass by what is given, and one stands for them (`Beyond`): it is drawn more often than the model says, and
the weights of the particles have to make up for that.
"""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.special import softmax

from lstmusic.evaluation.likelihood import piece_nats
from lstmusic.events import codec as codecs
from lstmusic.events.given import NONE
from lstmusic.sampling.infill import infill
from lstmusic.sampling.settings import SamplingSettings

UNLIKELY = -25.0  # in nats: an id of so little never comes by itself
SONGS, PARTICLES = 64, 48


class Case(NamedTuple):
    """A piece, a gap in ticks, a model's seed, and the biases of its ids: of a kind that is named, of these values."""

    piece: str
    gap: tuple[int, int]
    seed: int
    biases: dict[str, dict[int, float]]


CASES = {
    "melody": Case(
        "METER0 KEY24 TEMPO120 POSITION0 PITCH60 DURATION2 PITCH62 DURATION2 REST DURATION1 PITCH64 DURATION2 EOS EOS",
        (80, 160),
        0,
        {"METER": {}, "PITCH": {60: 1.0, 64: 1.0}, "DURATION": {1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}},
    ),
    "performance": Case(
        "VELOCITY20 NOTE_ON60 TIME_SHIFT2 NOTE_OFF60 NOTE_ON64 TIME_SHIFT2 NOTE_OFF64 TIME_SHIFT1 "
        "NOTE_ON60 TIME_SHIFT2 NOTE_OFF60 EOS",
        (20, 40),
        1,
        {"VELOCITY": {}, "NOTE_ON": {60: 0.0, 64: 0.0}, "TIME_SHIFT": {1: 1.5, 2: 1.5, 3: -3.0, 4: 1.0}},
    ),
}


def ids_of(codec, text):
    """The ids of words such as PITCH60, and before them those of BOS."""
    words = [(word.rstrip("0123456789"), word.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ_")) for word in text.split()]
    ids = [codec.vocabulary.id(kind, int(value or 0)) for kind, value in [("BOS", 0)] * codec.group_size + words]
    codec.grammar.check(np.array(ids))
    return np.array(ids, np.int64)


def biases_of(codec, biases):
    events = map(codec.vocabulary.event, range(len(codec.vocabulary)))
    return np.array([biases.get(kind, {value: 0.0}).get(value, UNLIKELY) for kind, value in events])


def completions(codec, given, possible):
    """Every piece of possible ids that the mask allows; and how often one of several ids stood for some beyond."""
    grammar, whole, begun, stood = codec.grammar, [], [given.prefix], 0
    while begun:
        ids = begun.pop()
        state = grammar.trajectory(np.r_[ids, [0] * (-len(ids) % codec.group_size)])[len(ids) - 1 : len(ids)]
        grammar.advance(state, ids[-1:])
        if grammar.finished(state)[0]:
            whole.append(ids)
            continue
        mask = given.mask(state)
        choices = np.flatnonzero(mask[0] & possible)
        beyond = (grammar.allowed(state) & ~mask)[0] & possible
        stood += len(choices) > 1 and beyond.any() and given.latest(state, mask)[0] != NONE
        begun += [np.r_[ids, choice] for choice in (choices if len(choices) else np.flatnonzero(mask[0]))]
    return whole, stood


def shares(model, codec, given, pieces):
    """How many of all songs came out as each of the pieces."""
    generators = [np.random.default_rng((3, number)) for number in range(SONGS)]
    settings = SamplingSettings()
    songs = infill(model, codec.grammar, given, generators, settings=settings, particles=PARTICLES)
    came = [song.ids.tolist() for song in songs]
    assert all(ids in pieces for ids in came)
    return np.array([came.count(piece) for piece in pieces]) / SONGS


@pytest.mark.parametrize("encoding", CASES)
def test_fills_come_as_often_as_the_whole_piece_is_likely(encoding, tiny_model):
    piece, gap, seed, biases = CASES[encoding]
    codec = codecs.build(encoding)
    model, given = tiny_model(codec, seed=seed), codec.given(ids_of(codec, piece), *gap)
    bias = biases_of(codec, biases)
    with torch.no_grad():
        model.output_bias.copy_(torch.from_numpy(bias))
    pieces, stood = completions(codec, given, bias > UNLIKELY)
    assert len(pieces) > 10 and stood > 2
    chance = softmax([-piece_nats(model, codec, piece).sum() for piece in pieces])
    assert chance.max() < 0.5  # there is a choice
    pieces = [piece.tolist() for piece in pieces]
    # Without what `Beyond.log_weight` adds these differ by 0.7 and 1.3.
    assert np.abs(shares(model, codec, given, pieces) - chance).sum() < 0.4
