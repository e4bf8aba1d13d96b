"""SIGKILL, before a step and before a file operation, then `resume=auto`: the training ends as if it had never stopped."""

import runpy
from pathlib import Path

import pytest

from lstmusic.cli import main

KILL = runpy.run_path(str(Path(__file__).with_name("kill.py")))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """What is trained: a tiny model on a few chorales."""
    place = tmp_path_factory.mktemp("kill")
    KILL["write_music"](place / "music")
    data = ("data=folder", f"data.path={place}/music", f"data.cache={place}/cache", "encoding=chorale")
    return [*data, *KILL["TINY"]]


@pytest.fixture(scope="module")
def train(asked):
    """A function: train in this process, to the end."""
    return lambda runs: main(["train", *asked, f"hydra.run.dir={runs}/run", "resume=auto"])


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory):
    """What a training that is never stopped ends with."""
    runs = tmp_path_factory.mktemp("undisturbed")
    assert train(runs) == 0
    return KILL["content"](runs)


@pytest.mark.parametrize("at", [{"step": 23}, {"operation": 80}], ids=["step", "operation"])
def test_a_killed_training_ends_like_one_that_was_not(asked, train, undisturbed, tmp_path, at):
    assert KILL["train"](tmp_path, asked, **at) == (-9, [])
    assert train(tmp_path) == 0
    assert KILL["content"](tmp_path) == undisturbed
