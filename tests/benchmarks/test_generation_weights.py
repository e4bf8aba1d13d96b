"""table=generation: nats of a model's own songs under each form of its weights."""

import numpy as np
import pytest
import torch

from lstmusic import music_model
from lstmusic.benchmarks import generation_weights
from lstmusic.evaluation.likelihood import piece_nats
from lstmusic.sampling.products import WEIGHTS

CPU = torch.device("cpu")


@pytest.fixture
def short(monkeypatch):
    """Two songs of one bar."""
    monkeypatch.setattr(generation_weights, "SONGS", 2)
    monkeypatch.setattr(generation_weights, "BARS", 1)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_stepper_is_told_the_pieces_that_the_window_is(weights, codec, tiny_model, random_walk):
    """Seventeen pieces of different lengths, so a second block; what is wrong with one alone would show in its nats."""
    model, rng = tiny_model(codec), np.random.default_rng(0)
    pieces = [random_walk(codec.grammar, rng, 3 + k % 5) for k in range(17)]
    found = generation_weights.stepper_nats(model, codec, pieces, weights)
    expected = [piece_nats(model, codec, ids) for ids in pieces]
    assert [len(nats) for nats in found] == [len(ids) - codec.group_size for ids in pieces]
    tolerance = {"float32": 1e-4, "float16": 0.01, "int8": 0.1}[weights]
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=tolerance)
    if weights != "float32":
        assert np.abs(np.concatenate(found) - np.concatenate(expected)).max() > 1e-5  # it is rounded


def test_rows(short, tiny_checkpoint):
    model = music_model.load(tiny_checkpoint("chorale"))
    window, *others = generation_weights.rows(model, CPU, lambda words: None)
    assert [row["weights"] for row in others] == list(WEIGHTS)
    assert window["nats_per_token"] == pytest.approx(others[0]["nats_per_token"], abs=1e-4)
    for row in others:
        assert row["nats_more"] == row["nats_per_token"] - window["nats_per_token"]


def test_the_nats_are_those_that_the_songs_were_drawn_with(short, tiny_checkpoint, monkeypatch):
    written = []
    own = music_model.MusicModel.generate

    def listening(model, *asked, **how):
        written.extend(own(model, *asked, **how))
        return written

    monkeypatch.setattr(music_model.MusicModel, "generate", listening)
    model = music_model.load(tiny_checkpoint("performance"))
    rows = list(generation_weights.rows(model, CPU, lambda words: None))
    scored = [model.codec.scored(song.ids)[1:] for song in written]
    drawn = np.concatenate([song.nats[keep] for song, keep in zip(written, scored, strict=True)])
    assert len(written) == 2
    assert f"{len(drawn)} ids that count" in rows[0]["words"].replace(",", "")
    assert rows[1]["nats_per_token"] == pytest.approx(drawn.mean(), abs=1e-4)


def test_weights_that_a_model_has_not_leave_a_row_that_says_so(short, tiny_checkpoint, monkeypatch):
    own = generation_weights.stepper.build

    def none(model, rows, weights="float32"):
        if weights == "int8":
            raise generation_weights.ConfigError("weights=int8: expected float32")
        return own(model, rows, weights)

    monkeypatch.setattr(generation_weights.stepper, "build", none)
    *_, last = generation_weights.rows(music_model.load(tiny_checkpoint("chorale")), CPU, lambda words: None)
    assert last["weights"] == "int8" and last["words"].endswith("weights=int8: expected float32")
    assert "nats_per_token" not in last
