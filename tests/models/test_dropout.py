"""Locked dropout: one mask along the window, another for each lane and window."""

import pytest
import torch

from lstmusic.models.dropout import LockedDropout


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
