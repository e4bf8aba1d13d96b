"""What is dropped: features along a window, rows of the embedding, entries of a matrix; and who draws the masks."""

import pytest
import torch
from torch import nn

from lstmusic.models.dropout import LockedDropout, draw_from, row_mask, weight_drop


def test_the_mask_is_locked_along_the_window_only():
    torch.manual_seed(0)
    layer = LockedDropout(0.5).train()
    out = layer(torch.ones(4, 9, 50))
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert (out == out[:, :1]).all()
    assert not (out[0] == out[1]).all()
    assert not (layer(torch.ones(4, 9, 50)) == out).all()


def test_members_of_a_group_have_masks_of_their_own():
    torch.manual_seed(0)
    out = LockedDropout(0.5).train()(torch.ones(2, 3, 4, 50))
    assert not (out[:, :, 0] == out[:, :, 1]).all()


def test_the_rate_is_what_is_dropped_and_the_mean_stays():
    torch.manual_seed(0)
    out = LockedDropout(0.3).train()(torch.ones(200, 1, 200))
    assert (out == 0).float().mean() == pytest.approx(0.3, abs=0.01)
    assert out.mean() == pytest.approx(1.0, abs=0.02)


def test_nothing_is_dropped_in_evaluation_or_at_rate_0():
    x = torch.randn(2, 3, 4)
    assert torch.equal(LockedDropout(0.5).eval()(x), x)
    assert torch.equal(LockedDropout(0.0).train()(x), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match="expected 0 <= rate < 1"):
        LockedDropout(rate)


def test_a_generator_decides_the_masks_and_nothing_else():
    layer, x = LockedDropout(0.5).train(), torch.ones(2, 3, 50)
    elsewhere = torch.get_rng_state()
    outs = []
    for seed in (1, 1, 2):
        draw_from(torch.Generator().manual_seed(seed), layer)
        outs.append(layer(x))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])
    assert torch.equal(torch.get_rng_state(), elsewhere)


def test_the_generator_reaches_every_part_that_draws():
    parts = nn.ModuleList([LockedDropout(0.5), nn.Sequential(LockedDropout(0.5), nn.Linear(2, 2))])
    generator = torch.Generator()
    draw_from(generator, parts)
    assert [part.generator is generator for part in parts.modules() if isinstance(part, LockedDropout)] == [True, True]
    draw_from(None, parts)
    assert parts[0].generator is None


def test_whole_rows_of_an_embedding_are_dropped():
    factors = row_mask(torch.randn(1000, 7), 0.2, torch.Generator().manual_seed(0))
    assert factors.shape == (1000, 1)
    assert sorted(factors.unique().tolist()) == pytest.approx([0.0, 1.25])
    assert (factors == 0).float().mean() == pytest.approx(0.2, abs=0.03)


def test_weight_drop_drops_single_entries():
    matrix = torch.randn(60, 40)
    dropped = weight_drop(matrix, 0.5, torch.Generator().manual_seed(0))
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * matrix[kept])
    assert kept.float().mean() == pytest.approx(0.5, abs=0.04)
    assert kept.sum(0).min() > 0 and kept.sum(1).max() < 40  # neither whole rows nor whole columns
    assert weight_drop(matrix, 0.0) is matrix
