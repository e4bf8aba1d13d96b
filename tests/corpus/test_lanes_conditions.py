"""Lanes of encodings with conditions: which of them a piece is told in an epoch, and that nothing else changes."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from lstmusic.corpus.lanes import Augmentation, piece_arrays
from lstmusic.events import codec as codecs
from lstmusic.events import conditions

EPOCHS = runpy.run_path(str(Path(__file__).with_name("epochs.py")))
lanes_of, whole_epoch, streams = (EPOCHS[name] for name in ("lanes_of", "whole_epoch", "streams"))
AUGMENTED = Augmentation(max_semitones=3)

TOLD_CODECS = [("chorale", {}), ("melody", {}), ("metrical", {}), ("metrical", {"grouped": False}), ("performance", {})]


@pytest.fixture(params=TOLD_CODECS, ids=lambda given: "-".join([given[0], *given[1]]))
def told(request):
    """An encoding with conditions and the same one without."""
    name, options = request.param
    return codecs.build(name, **options, conditions=True), codecs.build(name, **options)


def test_conditions_are_those_of_the_whole_piece_as_it_is_played(told, pieces_of):
    """Wherever windows cut, and after transposing and stretching; each kind is told to a whole piece or not at all."""
    codec, _ = told
    drawn = Augmentation(3, 0.05 if codec.name == "performance" else 0.0)
    arrays = whole_epoch(lanes_of(codec, pieces_of(codec), window=7, augmentation=drawn))
    kinds = set()
    for lane, start, ids in streams(codec, arrays):
        expected = conditions.measured(codec.grammar, ids, codec.grammar.trajectory(ids))[codec.group_size :]
        steps = len(expected) // codec.group_size
        found = arrays.columns[lane, start : start + steps, :, -len(conditions.SIZES) :].reshape(expected.shape)
        for kind in (conditions.DENSITY, conditions.PITCH_CLASSES):
            is_told = bool(found[:, kind].any())
            assert np.array_equal(found[:, kind], expected[:, kind] * is_told)
            kinds.add((kind.start, is_told))
    assert len(kinds) == 4


def test_conditions_change_nothing_else(told, pieces_of):
    codec, plain = told
    with_them, without = (lanes_of(each, pieces_of(each), augmentation=AUGMENTED) for each in (codec, plain))
    assert with_them.plan(3) == without.plan(3)
    for name, mine, theirs in zip(
        with_them.window(0, 0)._fields, whole_epoch(with_them), whole_epoch(without), strict=True
    ):
        if name == "columns":
            assert mine.shape[-1] == theirs.shape[-1] + len(conditions.SIZES)
            mine = mine[..., : theirs.shape[-1]]
        assert np.array_equal(mine, theirs), name


def test_nothing_is_told_when_evaluating(told, pieces_of):
    codec, _ = told
    arrays = whole_epoch(lanes_of(codec, pieces_of(codec)))
    assert not arrays.columns[..., -len(conditions.SIZES) :].any()
    ids = pieces_of(codec)[0]
    assert not piece_arrays(codec, ids).columns[..., -len(conditions.SIZES) :].any()


def test_how_often_each_condition_is_told(phrase):
    """Of 300 pieces 40 % are told nothing, and each fifth its density, its pitch classes, or both."""
    codec = codecs.build("chorale", conditions=True)
    ids = codec.encode(phrase(1))
    counts = np.zeros((2, 2))
    drawn = []
    for epoch in range(2):
        lanes = lanes_of(codec, [ids] * 300, lanes=300, augmentation=Augmentation())
        told = lanes.window(epoch, 0).columns[:, 0, 0, -len(conditions.SIZES) :]
        drawn.append(told)
        np.add.at(counts, ((told[:, 0] > 0).astype(int), (told[:, 1] > 0).astype(int)), 1)
    np.testing.assert_allclose(counts / 600, [[0.4, 0.2], [0.2, 0.2]], atol=0.06)
    assert not np.array_equal(*drawn), "the same pieces in every epoch"


def test_what_is_told_does_not_depend_on_the_process(told, pieces_of):
    codec, _ = told
    given = {"augmentation": AUGMENTED}
    alone = lanes_of(codec, pieces_of(codec), lanes=4, **given).window(1, 0)
    shared = [lanes_of(codec, pieces_of(codec), lanes=2, rank=rank, world=2, **given).window(1, 0) for rank in range(2)]
    assert np.array_equal(np.concatenate([part.columns for part in shared]), alone.columns)
