"""Densities of statistics: areas of one, nothing beyond the ends, and pictures of whatever values there are."""

import numpy as np
import pytest
from PIL import Image

from lstmusic.errors import OutputError
from lstmusic.listening import densities
from lstmusic.listening.densities import PANELS_PER_ROW, Panel, density

RNG = np.random.default_rng(0)
BLUE, ORANGE, GREY = (0, 114, 178), (213, 94, 0), (218, 218, 218)


def panel(real, ours, chain, **more):
    return Panel("groove", "0 to 1", {"held-out pieces": real, "this model": ours, "Markov chain": chain}, **more)


def pixels(path, colour):
    picture = np.array(Image.open(path).convert("RGB")).astype(int)
    return (np.abs(picture - colour) < 12).all(axis=-1)


@pytest.mark.parametrize("values", [RNG.normal(5, 2, 50), np.r_[np.zeros(40), 10.0], np.full(3, 2.0), np.array([1.0])])
def test_a_density_has_an_area_of_one(values):
    low, high = values.min() - 1e-9, values.max() + 1
    grid = np.linspace(low, high, 4000)
    curve = density(values, grid, low, high)
    assert curve.min() >= 0
    assert np.trapezoid(curve, grid) == pytest.approx(1, abs=1e-3)


def test_a_density_by_hand():
    """Values 0 and 2 far from both ends: standard deviation 1, quartiles 0.5 and 1.5, so Silverman's spread is 1 / 1.34."""
    width = 0.9 * (1 / 1.34) * 2**-0.2
    found = density(np.array([0.0, 2.0]), np.linspace(-10, 12, 23), -10, 12)
    expected = 2 * np.exp(-0.5 / width**2) / (2 * width * np.sqrt(2 * np.pi))
    assert found[11] == pytest.approx(expected)  # at 1, as far from both


def test_what_lies_at_an_end_stands_there():
    """Of values that are almost all 0, half of a plain kernel's area would lie below 0."""
    values = np.r_[np.zeros(99), 1.0]
    grid = np.linspace(0, 1, 1001)
    curve = density(values, grid, 0.0, 1.0)
    assert curve.argmax() == 0
    assert np.trapezoid(curve[:500], grid[:500]) > 0.98


def test_a_picture_shows_each_group_at_its_place(tmp_path):
    """Real pieces on the left, songs in the middle, the chain on the right."""
    groups = (RNG.normal(center, 0.3, 200) for center in (1, 5, 9))
    path = densities.draw(tmp_path / "s.png", [panel(*groups)], title="Songs")
    at = [np.argwhere(pixels(path, colour)[60:, :400])[:, 1].mean() for colour in (GREY, BLUE, ORANGE)]
    assert at[0] + 80 < at[1] < at[2] - 80


def test_a_row_for_every_few_statistics_that_apply(tmp_path):
    nothing, some = np.full(9, np.nan), RNG.normal(0, 1, 9)
    shown = [panel(some, some, some)] * (PANELS_PER_ROW + 1)
    left_out = [panel(nothing, some, some), panel(np.r_[nothing, 1.0], some, some), panel(some * 0, some * 0, nothing)]
    heights = []
    for number, panels in enumerate((shown, shown + left_out, shown[:-1], left_out, [])):
        path = densities.draw(tmp_path / f"{number}.png", panels, title="Songs")
        heights.append(Image.open(path).height)
    assert heights[0] == heights[1] > heights[2] == heights[3] == heights[4]


def test_any_values_can_be_drawn(tmp_path):
    nothing, zeros, one = np.full(4, np.nan), np.zeros(4), np.array([3.0, np.nan])
    spike = np.r_[np.zeros(400), 1e6]
    panels = [
        panel(zeros, zeros, one),
        panel(zeros, nothing, one),
        panel(spike, zeros, one),
        panel(zeros, spike, one),
    ]
    path = densities.draw(tmp_path / "s.png", panels, title="Songs")
    assert pixels(path, BLUE).any()


def test_overlaps_are_written_in_the_colour_of_their_group(tmp_path):
    values = RNG.normal(0, 1, 50)
    plain = densities.draw(tmp_path / "plain.png", [panel(values, values, values)], title="Songs")
    overlaps = {"this model": 0.94, "Markov chain": 0.39}
    told = densities.draw(tmp_path / "told.png", [panel(values, values, values, overlaps=overlaps)], title="Songs")
    for colour in (BLUE, ORANGE):
        assert pixels(told, colour).sum() > pixels(plain, colour).sum()


def test_a_picture_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        densities.draw(tmp_path / "nowhere" / "s.png", [], title="")
