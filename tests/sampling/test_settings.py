"""Settings: the curve of temperatures, and values that are refused."""

import math

import numpy as np
import pytest

from lstmusic.errors import ConfigError
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings, curve_of


def test_a_curve_goes_straight_between_its_points_and_stays_beyond_them():
    settings = SamplingSettings(temperature=((2.0, 0.8), (4.0, 1.2), (5.0, 0.5)))
    bars = np.array([0.0, 2.0, 2.5, 3.0, 4.0, 4.5, 9.0])
    np.testing.assert_allclose(settings.temperature_at(bars), [0.8, 0.8, 0.9, 1.0, 1.2, 0.85, 0.5])


def test_a_number_is_the_same_everywhere():
    assert SamplingSettings(temperature=0.9).temperature_at(np.array([0.0, 100.0])).tolist() == [0.9, 0.9]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": 0.0}, "temperature=0.0: expected a positive number"),
        ({"temperature": ((0.0, 1.0), (4.0, -1.0))}, "temperature=-1.0: expected a positive number"),
        ({"temperature": ((4.0, 1.0), (4.0, 2.0))}, "expected bars that rise"),
        ({"temperature": ((4.0, 1.0), (2.0, 2.0))}, r"temperature=\[\[4.0, 1.0\], \[2.0, 2.0\]\]"),
        ({"temperature": "warm"}, "temperature=warm: expected a positive number"),
        ({"temperature": ()}, "expected a positive number"),
        ({"pitch_temperature": 0.0}, "sampling.pitch_temperature=0.0"),
        ({"velocity_temperature": float("inf")}, "sampling.velocity_temperature=inf"),
    ],
)
def test_a_wrong_setting_is_named(settings, said):
    with pytest.raises(ConfigError, match=said):
        SamplingSettings(**settings)


@pytest.mark.parametrize("least", [-0.1, 1.1])
def test_a_share_lies_between_0_and_1(least):
    with pytest.raises(ConfigError, match=r"repetition\.least"):
        Repetition(least=least)


def test_a_length_is_given_by_bars_or_by_seconds():
    assert [Length().given, Length(bars=4).given, Length(seconds=2.5).given] == [False, True, True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0: expected a positive number, .*greedy=true"),
        ({"temperature": -1.0}, "temperature=-1.0: expected a positive number"),
        ({"temperature": math.nan}, "temperature=nan"),
        ({"temperature": math.inf}, "temperature=inf"),
        ({"top_k": -1}, r"sampling.top_k=-1: expected 0 \(off\) or a positive number"),
        ({"top_p": 0.0}, "sampling.top_p=0.0: expected 0 < top_p <= 1"),
        ({"top_p": 1.1}, "sampling.top_p=1.1"),
        ({"top_p": math.nan}, "sampling.top_p=nan"),
        ({"min_p": 1.0}, "sampling.min_p=1.0: expected 0 <= min_p < 1"),
        ({"min_p": -0.1}, "sampling.min_p=-0.1"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SamplingSettings(**settings)


@pytest.mark.parametrize(
    "length", [{"bars": 0.0}, {"bars": -1.0}, {"bars": math.nan}, {"seconds": math.inf}, {"bars": "4"}]
)
def test_a_length_is_a_positive_number(length):
    (name,) = length
    with pytest.raises(ConfigError, match=f"length.{name}=.*: expected a positive number"):
        Length(**length)


def test_curves_come_in_lists_and_arrays_too():
    expected = ((0.0, 0.8), (8.0, 1.2))
    assert curve_of([[0.0, 0.8], [8.0, 1.2]]) == curve_of(np.array(expected)) == curve_of(expected) == expected
    assert [curve_of(0.9), curve_of(np.float64(0.9))] == [0.9, 0.9]
