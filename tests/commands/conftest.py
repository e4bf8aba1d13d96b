"""A folder of small pieces and models trained on it, once for all tests of the commands."""

import json
import os

import numpy as np
import pytest

from lstmusic.cli import main
from lstmusic.score import Score, midi
from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Track, sorted_notes, table

TINY = (
    *("model.hidden_size=12", "model.embedding_size=8", "model.num_layers=1", "trainer.max_minutes=null"),
    *("trainer.num_lanes=2", "trainer.bptt_length=16", "trainer.accelerator=cpu", "jobs=1"),
)


def small_chorale(seed: int, bars: int = 3) -> Score:
    """Four voices of quarter notes, drawn near the middle of each voice."""
    rng = np.random.default_rng(seed)
    beat = np.tile(np.arange(4 * bars), 4)
    voice = np.repeat(np.arange(4), 4 * bars)
    pitch = np.array([72, 66, 60, 50])[voice] + rng.integers(-2, 3, len(voice))
    return Score(
        sorted_notes(table(NOTE_DTYPE, 480 * beat, 480, pitch, 80, voice)),
        tuple(Track(19, False, name) for name in ("Soprano", "Alto", "Tenor", "Bass")),
        tempi=table(TEMPO_DTYPE, [0], [500_000]),
        meters=table(METER_DTYPE, [0], [4], [4]),
        ticks_per_quarter=480,
    )


@pytest.fixture(scope="session")
def music(tmp_path_factory):
    """A folder with a few small chorales in MIDI files."""
    folder = tmp_path_factory.mktemp("music")
    for seed in range(8):
        midi.write(small_chorale(seed), folder / f"piece-{seed}.mid")
    return folder


@pytest.fixture(scope="session")
def training(music, tmp_path_factory):
    """A function: the arguments of `lstmusic` for a tiny training into a folder; with one cache for all."""
    cache = tmp_path_factory.mktemp("cache")

    def arguments(folder, *overrides) -> list[str]:
        data = ("data=folder", f"data.path={music}", f"data.cache={cache}", f"hydra.run.dir={folder}")
        return ["train", *data, *TINY, *overrides]

    return arguments


@pytest.fixture(scope="session")
def train(training, tmp_path_factory):
    """A function: train a tiny model into a new folder; the folder."""

    def run(*overrides):
        folder = tmp_path_factory.mktemp("run") / "here"
        assert main(training(folder, *overrides)) == 0
        return folder

    return run


@pytest.fixture(scope="session")
def chorale_run(train):
    """The folder of a training with encoding=chorale."""
    return train("encoding=chorale", "trainer.max_steps=6", "seed=3")


@pytest.fixture(scope="session")
def performance_run(train):
    """The folder of a training with encoding=performance."""
    return train("encoding=performance", "trainer.max_steps=6")


@pytest.fixture
def report_of():
    """A function: the report of a run."""
    return lambda folder: json.loads((folder / "report.json").read_text())


@pytest.fixture
def refused(capsys, monkeypatch):
    """A function: run a request that is wrong; its one line on stderr, after checking the exit code and its form."""
    monkeypatch.delenv("LSTMUSIC_DEBUG", raising=False)

    def run(*arguments, code=2):
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == code
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("lstmusic: ")
        assert "a defect" not in lines[0]
        return lines[0]

    return run


@pytest.fixture
def environment():
    """The environment of a child process: no more threads than it needs."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}
