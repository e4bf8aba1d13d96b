"""Frame models through the whole program: train, evaluate, generate, resume."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lstmusic import music_model
from lstmusic.cli import main
from lstmusic.score import Score
from lstmusic.training.module import TrainingModule

FRAMES = ("model=frames", "model.embedding_size=8")


@pytest.fixture(scope="module", autouse=True)
def short_samples():
    """A bar is 8 frames, and so 704 ids."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lstmusic.commands.train.SAMPLE_BARS", 1)
        yield


@pytest.fixture(scope="module", params=["joint", "independent"])
def run(request, train):
    """The folder of a tiny training of each kind of output."""
    return train(*FRAMES, f"model.output={request.param}", "trainer.max_steps=6")


def test_what_a_training_of_frames_leaves(run, report_of):
    results = report_of(run)["results"]
    assert results["nll_per_step"] == pytest.approx(88 * results["nll_per_token"], abs=1e-4)
    assert set(results["baselines"]) == {"unigram", "ngram", "repeat_bar"}
    model = music_model.load(run)
    assert (model.codec.name, model.codec.options) == ("frames", {"frames_per_quarter": 2})
    assert sorted(folder.name for folder in (run / "samples").iterdir())
    nats = model.nll(Score.read(next((run / "samples").rglob("*.mid"))))
    assert np.isfinite(nats).all()
    assert len(nats) % 88 == 0


def test_evaluate_says_what_training_said(run, report_of, tmp_path):
    assert main(["evaluate", f"checkpoint={run}", "jobs=1", f"hydra.run.dir={tmp_path}/e"]) == 0
    assert report_of(tmp_path / "e")["nll_per_step"] == pytest.approx(
        report_of(run)["results"]["nll_per_step"], abs=1e-5
    )


def test_songs_are_legal_hold_notes_and_begin_with_the_primer(run, report_of, music, tmp_path):
    primer = music / "piece-0.mid"
    options = ("songs=2", "length.bars=2", f"primer={primer}", "render.page=false", "seed=1")
    assert main(["generate", f"checkpoint={run}", *options, f"hydra.run.dir={tmp_path}/g"]) == 0
    songs = report_of(tmp_path / "g")["songs"]
    assert [song["illegal"] for song in songs] == [0, 0]
    assert all((tmp_path / "g" / f"song-00{k}.{kind}").is_file() for k in (1, 2) for kind in ("mid", "wav", "png"))
    song, begins = (Score.read(file) for file in (tmp_path / "g" / "song-001.mid", primer))
    assert song.length_s == pytest.approx(begins.length_s + 4, abs=1)  # two bars at 120 quarters a minute
    codec = music_model.load(run).codec
    frames = codec.frames(codec.encode(song))
    assert np.array_equal(frames[:23], codec.frames(codec.encode(begins))[:23])


def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_weights(training, tmp_path, monkeypatch):
    options = (*FRAMES, "trainer.max_steps=12", "model.head_dropout=0.5", "model.dropout=0.5")
    assert main(training(tmp_path / "whole", *options)) == 0
    step = TrainingModule.training_step

    def dying(self, batch, number):
        if self.window_index == 8:
            raise RuntimeError("the power is gone")
        step(self, batch, number)

    monkeypatch.setattr(TrainingModule, "training_step", dying)
    assert main(training(tmp_path / "parts", *options)) == 1
    monkeypatch.setattr(TrainingModule, "training_step", step)
    assert main(["train", f"resume={tmp_path}/parts"]) == 0
    whole, parts = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
