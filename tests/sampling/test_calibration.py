"""temperature=auto: the temperature at which songs come to given nats."""

import numpy as np
import pytest
import torch

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.sampling import calibration, songs
from lstmusic.sampling.settings import SamplingSettings


@pytest.fixture
def writer(tiny_model, monkeypatch):
    """An untrained model whose ids differ in likelihood, and songs of two bars at most to judge it by."""
    monkeypatch.setattr(songs, "MAX_BARS", 2)
    codec = codecs.build("melody")
    model = tiny_model(codec)
    rng = np.random.default_rng(0)
    model.output_bias.data += 2 * torch.from_numpy(rng.normal(size=len(codec.vocabulary))).float()
    return model, codec


def nats_at(writer, temperature):
    return calibration._song_nats(*writer, SamplingSettings(temperature=temperature))


@pytest.mark.parametrize("temperature", [0.7, 1.4])
def test_nats_lead_back_to_the_temperature_that_made_them(writer, temperature):
    found = calibration.temperature(*writer, SamplingSettings(), nats_at(writer, temperature))
    assert nats_at(writer, found) == pytest.approx(nats_at(writer, temperature), rel=0.05)
    assert found == calibration.temperature(*writer, SamplingSettings(), nats_at(writer, temperature))


@pytest.mark.parametrize("nats", [0.0, 100.0])
def test_nats_that_no_temperature_reaches_are_told(writer, nats):
    with pytest.raises(
        ConfigError, match=rf"temperature=auto: held-out music has {nats:.3f} nats .* expected a number"
    ):
        calibration.temperature(*writer, SamplingSettings(), nats)
