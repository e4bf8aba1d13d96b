"""Lanes: the order of windows is a function of (seed, epoch, step), and each piece is read once, in one go."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from lstmusic.corpus.lanes import ALIGNMENT, Augmentation, piece_arrays
from lstmusic.events import codec as codecs

EPOCHS = runpy.run_path(str(Path(__file__).with_name("epochs.py")))
lanes_of, whole_epoch, streams = (EPOCHS[name] for name in ("lanes_of", "whole_epoch", "streams"))
AUGMENTED = Augmentation(max_semitones=3)


@pytest.mark.parametrize("window", [7, 16, 20, 64, 1000])
@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_every_piece_is_read_once_and_in_one_go(codec, pieces_of, window, augmentation):
    pieces = pieces_of(codec)
    lanes = lanes_of(codec, pieces, window=window, augmentation=augmentation)
    found = sorted(ids.tolist() for _, _, ids in streams(codec, whole_epoch(lanes)))
    assert found == sorted(ids.tolist() for ids in pieces)


def test_masks_and_features_are_those_of_the_whole_piece(codec, pieces_of):
    """Wherever windows cut, a piece carries the context it would have alone."""
    arrays = whole_epoch(lanes_of(codec, pieces_of(codec), window=7))
    for lane, start, ids in streams(codec, arrays):
        alone = piece_arrays(codec, ids)
        for name, mine, theirs in zip(arrays._fields, arrays, alone, strict=True):
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine[lane, start : start + len(theirs)], theirs), name


def test_what_is_no_piece_is_padding(codec, pieces_of):
    arrays = whole_epoch(lanes_of(codec, pieces_of(codec)))
    padding = arrays.weight == 0
    assert padding.any()
    assert not arrays.scored[padding].any()
    assert arrays.allowed[padding].all()
    assert not arrays.reset[padding.all(axis=-1)].any()
    assert arrays.weight.sum() == sum(len(ids) - codec.group_size for ids in pieces_of(codec))
    assert arrays.scored.sum() == sum(codec.scored(ids).sum() for ids in pieces_of(codec))
    taken = np.take_along_axis(arrays.allowed, arrays.targets[..., None], axis=-1)[..., 0]
    assert taken.all()


def test_pieces_begin_at_aligned_steps(codec, pieces_of):
    lanes = lanes_of(codec, pieces_of(codec))
    starts = np.argwhere(whole_epoch(lanes).reset)[:, 1]
    assert len(starts) == len(pieces_of(codec))
    assert (starts % ALIGNMENT == 0).all()


def test_a_window_is_a_function_of_seed_epoch_and_step(codec, pieces_of):
    pieces = pieces_of(codec)
    one = lanes_of(codec, pieces, augmentation=AUGMENTED)
    expected = {(e, k): one.window(e, k) for e in range(3) for k in range(one.num_windows(e))}
    another = lanes_of(codec, pieces, augmentation=AUGMENTED)
    order = list(expected)
    np.random.default_rng(0).shuffle(order)
    for epoch, step in order:
        for mine, theirs in zip(another.window(epoch, step), expected[epoch, step], strict=True):
            assert np.array_equal(mine, theirs)


def test_epochs_and_seeds_differ_when_training_and_agree_when_evaluating(codec, pieces_of):
    pieces = pieces_of(codec)

    def first(seed, epoch, augmentation):
        return lanes_of(codec, pieces, seed=seed, augmentation=augmentation).plan(epoch)

    assert first(0, 0, AUGMENTED) != first(0, 1, AUGMENTED)
    assert first(0, 0, AUGMENTED) != first(1, 0, AUGMENTED)
    assert first(0, 0, None) == first(1, 7, None)


def test_a_window_continues_where_the_one_before_stopped(codec, pieces_of):
    """Windows in a shuffled order would break this: the group before a window is the last of the window before it."""
    lanes = lanes_of(codec, pieces_of(codec), window=4, augmentation=AUGMENTED)
    continued = 0
    for step in range(1, lanes.num_windows(0)):
        before, after = lanes.window(0, step - 1), lanes.window(0, step)
        goes_on = ~after.reset[:, 0] & (after.weight[:, 0].min(axis=-1) > 0)
        assert np.array_equal(after.previous[goes_on, 0], before.targets[goes_on, -1])
        continued += int(goes_on.sum())
    assert continued >= 3


def test_transpositions_are_drawn_anew_within_their_limits(codec, pieces_of):
    pieces = pieces_of(codec)
    lanes = lanes_of(codec, pieces, augmentation=AUGMENTED)
    shifts = np.array([[item.semitones for lane in lanes.plan(epoch) for item in lane] for epoch in range(20)])
    assert (shifts.min(), shifts.max()) == (-3, 3)
    for _, _, ids in streams(codec, whole_epoch(lanes, 3)):
        codec.grammar.check(ids)
        originals = [piece.tolist() for piece in pieces]
        assert any(codec.augment(ids, shift).tolist() in originals for shift in range(-3, 4))


def test_pieces_at_the_edge_of_the_range_are_not_shifted_beyond_it(score_of):
    codec = codecs.build("chorale")
    pieces = [codec.encode(score_of([(0, 480, 96, 80, 0), (480, 480, 25, 80, 0)]))]
    lanes = lanes_of(codec, pieces, augmentation=Augmentation(max_semitones=6))
    shifts = {lane[0].semitones for epoch in range(30) for lane in lanes.plan(epoch)}
    assert shifts == {-1, 0}


def test_stretched_performances_are_whole_and_legal(score_of):
    codec = codecs.build("performance")
    seconds = [[(960 * k, 960, 60 + (k + piece) % 9, 80, 0) for k in range(9)] for piece in range(11)]
    pieces = [codec.encode(score_of(rows)) for rows in seconds]  # more than a second takes another id than a second
    lanes = lanes_of(codec, pieces, augmentation=Augmentation(2, 0.05))
    found = streams(codec, whole_epoch(lanes, 1))
    assert len(found) == len(pieces)
    for _, _, ids in found:
        codec.grammar.check(ids)
        assert ids[-1] == codec.vocabulary.id("EOS")
    assert sorted(codec.num_notes(ids) for _, _, ids in found) == sorted(codec.num_notes(ids) for ids in pieces)
    assert any(len(ids) not in {len(piece) for piece in pieces} for _, _, ids in found)


def test_lanes_are_filled_evenly(codec, pieces_of):
    lanes = lanes_of(codec, pieces_of(codec), lanes=3, augmentation=AUGMENTED)
    lengths = [lane[-1].start + lane[-1].steps for lane in lanes.plan(0)]
    assert max(lengths) - min(lengths) <= max(lanes.steps) + ALIGNMENT


def test_no_more_lanes_than_pieces(codec, pieces_of):
    lanes = lanes_of(codec, pieces_of(codec)[:2], lanes=8)
    assert lanes.num_lanes == 2
    assert lanes.window(0, 0).reset.shape == (2, 20)


def test_no_pieces_no_windows(codec):
    assert lanes_of(codec, []).num_windows(0) == 0


@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_lanes_of_one(codec, pieces_of, world, vary):
    """The lanes of all processes, one below the other, are those of one process with as many."""
    pieces, given = pieces_of(codec), {"window": 20, "augmentation": AUGMENTED, "vary": vary}
    alone = lanes_of(codec, pieces, lanes=2 * world, **given)
    shared = [lanes_of(codec, pieces, lanes=2, rank=rank, world=world, **given) for rank in range(world)]
    for epoch in range(2):
        assert {part.num_windows(epoch) for part in shared} == {alone.num_windows(epoch)}
        for step in range(alone.num_windows(epoch)):
            windows = [part.window(epoch, step) for part in shared]
            for fields, whole in zip(zip(*windows, strict=True), alone.window(epoch, step), strict=True):
                assert np.array_equal(np.concatenate(fields), whole)


def test_more_processes_than_pieces(codec, pieces_of):
    pieces = pieces_of(codec)[:2]
    shared = [lanes_of(codec, pieces, lanes=8, rank=rank, world=3) for rank in range(3)]
    assert [part.num_lanes for part in shared] == [1, 1, 1]
    assert len({part.num_windows(0) for part in shared}) == 1
    whole = [whole_epoch(part) for part in shared]
    assert sorted(int(part.reset.sum()) for part in whole) == [0, 1, 1]
    assert sum(part.weight.sum() for part in whole) == sum(len(ids) - codec.group_size for ids in pieces)


@pytest.mark.parametrize("window", [16, 64])
def test_varied_windows_read_every_piece_once(codec, pieces_of, window):
    pieces = pieces_of(codec)
    lanes = lanes_of(codec, pieces, window=window, vary=True)
    found = sorted(ids.tolist() for _, _, ids in streams(codec, whole_epoch(lanes)))
    assert found == sorted(ids.tolist() for ids in pieces)


def test_varied_windows_are_a_function_of_seed_and_epoch(pieces_of):
    codec = codecs.build("performance")
    pieces = pieces_of(codec) * 40
    lanes = lanes_of(codec, pieces, window=64, vary=True)
    again = lanes_of(codec, pieces, window=64, vary=True)
    assert np.array_equal(again.borders(3), lanes.borders(3))
    assert not np.array_equal(lanes.borders(1), lanes.borders(0))
    assert not np.array_equal(lanes_of(codec, pieces, window=64, vary=True, seed=1).borders(0), lanes.borders(0))
    for epoch in range(2):
        longest = max(lane[-1].start + lane[-1].steps for lane in lanes.plan(epoch))
        borders = lanes.borders(epoch)
        assert borders[0] == 0
        assert borders[-2] < longest <= borders[-1]
        assert lanes.num_windows(epoch) == len(borders) - 1


def test_how_windows_vary(pieces_of):
    """Around T with a deviation of 5, one in twenty around T / 2, none shorter than 5."""
    codec = codecs.build("performance")
    lanes = lanes_of(codec, pieces_of(codec) * 300, lanes=1, window=64, vary=True)
    lengths = np.concatenate([np.diff(lanes.borders(epoch)) for epoch in range(20)])
    assert len(lengths) > 5000
    short = lengths < 48
    assert short.mean() == pytest.approx(0.05, abs=0.01)
    assert lengths[short].mean() == pytest.approx(32, abs=1)
    assert lengths[~short].mean() == pytest.approx(64, abs=0.5)
    assert lengths[~short].std() == pytest.approx(5, abs=0.3)
    tiny = lanes_of(codec, pieces_of(codec) * 100, lanes=1, window=6, vary=True)
    assert np.diff(tiny.borders(0)).min() == 5
