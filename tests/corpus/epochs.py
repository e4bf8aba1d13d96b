"""Lanes over pieces in memory, and what is read from them in an epoch."""

import numpy as np

from lstmusic.corpus.lanes import Lanes


def lanes_of(codec, pieces, *, lanes=3, window=20, seed=0, augmentation=None, **options) -> Lanes:
    """Lanes over pieces."""
    steps = np.array([len(ids) // codec.group_size - 1 for ids in pieces])
    return Lanes(
        read=pieces.__getitem__,
        steps=steps,
        codec=codec,
        num_lanes=lanes,
        window_steps=window,
        seed=seed,
        augmentation=augmentation,
        **options,
    )


def whole_epoch(lanes, epoch=0):
    """All windows of an epoch end to end, field by field [B, windows * T, ...]."""
    windows = [lanes.window(epoch, step) for step in range(lanes.num_windows(epoch))]
    return type(windows[0])(*(np.concatenate(fields, axis=1) for fields in zip(*windows, strict=True)))


def streams(codec, arrays):
    """The pieces found on the lanes: from each reset to the next, the targets that have a weight, as ids with BOS."""
    found = []
    for lane in range(len(arrays.reset)):
        starts = np.flatnonzero(arrays.reset[lane])
        for start, stop in zip(starts, np.r_[starts[1:], arrays.reset.shape[1]], strict=True):
            real = arrays.weight[lane, start:stop].all(axis=-1)
            assert (np.diff(real.astype(int)) <= 0).all(), "a hole inside a piece"
            targets = arrays.targets[lane, start:stop][real]
            assert arrays.previous[lane, start].tolist() == codec.grammar.bos().tolist()
            assert np.array_equal(arrays.previous[lane, start:stop][real][1:], targets[:-1])
            found.append((lane, int(start), np.r_[codec.grammar.bos(), targets.reshape(-1)]))
    return found
