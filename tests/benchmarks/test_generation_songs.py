"""table=generation: one long song, and complete ones, written as the sampler writes them."""

import numpy as np
import pytest
import torch

from lstmusic.benchmarks import generation_songs
from lstmusic.benchmarks.generation_contenders import Size, own_model
from lstmusic.events import codec as codecs
from lstmusic.sampling import sampler, stepper
from lstmusic.sampling.settings import Length, SamplingSettings
from lstmusic.sampling.songs import BLOCK

CPU = torch.device("cpu")
TINY = Size(2, 64)


@pytest.fixture
def hasty(monkeypatch):
    """A small model, and songs of a beat."""
    monkeypatch.setattr(generation_songs, "SIZE", TINY)
    monkeypatch.setattr(generation_songs, "BARS", 0.25)


def test_rows_of_long_songs_and_whole_ones(hasty):
    rows = list(generation_songs.rows(CPU, lambda words: None, places=(3, 7), songs=(1, 2), turns=1))
    late = [(row["name"].split(",")[0], row["batch"], row["song_ids"]) for row in rows if row.get("song_ids")]
    assert late == [("stepper", 1, 3), ("stepper", 1, 7), ("sampler", BLOCK, 3), ("sampler", BLOCK, 7)]
    whole = {(row["name"], row["batch"]): row for row in rows if "song_ids" not in row}
    assert len(whole) == 4
    for number in (1, 2):
        own, old = (whole[f"whole songs by {way}", number] for way in ("stepper", "model.step"))
        assert own["times_model_step"] == pytest.approx(own["tokens_per_second"] / old["tokens_per_second"])
    assert all(row["tokens_per_second"] > 0 for row in rows)


def test_late_steps_are_all_taken_one_after_the_other(monkeypatch):
    monkeypatch.setattr(generation_songs, "WINDOW", 3)
    taken, clock = [], iter(np.cumsum([0, 1, 9, 2, 9, 6, 9, 5, 9, 4, 9, 7]))
    monkeypatch.setattr(generation_songs.time, "perf_counter", lambda: next(clock))
    assert generation_songs.late(lambda: taken.append(0), (5, 20), CPU) == {5: 2, 20: 5}
    assert len(taken) == 20


def test_the_sampler_writes_legal_songs_that_do_not_end():
    torch.manual_seed(0)
    songs = generation_songs.endless(own_model(TINY))
    with torch.inference_mode():
        for _ in range(300):
            songs.write_group()
    ids = np.concatenate([songs.grammar.bos().repeat(BLOCK)[:, None], np.concatenate(songs.groups, axis=1)], axis=1)
    assert ids.shape == (BLOCK, 301)
    assert not songs.finished.any()
    for song in ids:
        songs.grammar.check_prefix(song)


@pytest.mark.parametrize("build", [stepper.build, stepper.FrameStepper])
def test_a_block_is_what_the_sampler_writes(tiny_model, build):
    """The same ids, and as many of them, from the same seeds."""
    codec = codecs.build("chorale")
    model, length = tiny_model(codec), Length(bars=1, cadence=False)
    generators = [np.random.default_rng(k) for k in range(3)]
    expected = sampler.sample(model, codec.grammar, generators, settings=SamplingSettings(), length=length)
    songs = generation_songs.begun(codec.grammar, build(model, BLOCK), model.initial_state(1), length, 3)
    assert generation_songs._to_end(songs) == sum(len(song.nats) for song in expected)
    for row, song in enumerate(expected):
        written = np.concatenate([group[row] for group in songs.groups])[: len(song.nats)]
        assert np.array_equal(written, song.ids[-len(song.nats) :])
