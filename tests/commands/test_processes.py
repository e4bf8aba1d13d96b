"""Several processes in one training: the gradients of one with all their lanes, one voice, and one line when it fails."""

import csv
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lstmusic.cli import main
from lstmusic.errors import LstmusicError
from lstmusic.training import launch
from lstmusic.training.schedule import one_cycle

KILL = runpy.run_path(str(Path(__file__).parents[1] / "training" / "kill.py"))
EXACT = ("encoding=chorale", "trainer.precision=64-true", "model.input_dropout=0", "model.dropout=0")
EXACT += ("model.head_dropout=0", "trainer.max_steps=12", "trainer.vary_bptt=true", "trainer.average=none")
PAIR = ("encoding=chorale", "trainer.devices=2")


def rows_of(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def pair(train):
    """The folder of a training by two processes, each with two lanes."""
    return train(*EXACT, "trainer.devices=2", "trainer.num_lanes=2")


def test_two_processes_train_like_one_with_twice_the_lanes(pair, train):
    """Gradient norms of every step, and after steps of Adam the weights: a loss that each process normalises by itself,
    a lane that is read twice or a state that is lost would show."""
    alone = train(*EXACT, "trainer.num_lanes=4")
    for two, one in zip(rows_of(pair), rows_of(alone), strict=True):
        for name in ("step", "epoch", "skipped_steps"):
            assert two[name] == one[name], name
        for name in ("train_nats_per_token", "valid_nats_per_token", "grad_norm", "learning_rate"):
            assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-5), name
    saved = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (pair, alone)]
    for name, value in saved[1]["state_dict"].items():
        torch.testing.assert_close(saved[0]["state_dict"][name], value, atol=1e-9, rtol=1e-7, msg=name)
    states = [[rank["state"] for rank in one["lstmusic"]["ranks"]] for one in saved]
    assert [len(ranks) for ranks in states] == [2, 1]
    for part, whole in enumerate(states[1][0]):
        torch.testing.assert_close(torch.cat([rank[part] for rank in states[0]], dim=1), whole, atol=1e-9, rtol=1e-7)


def test_what_was_asked_about_windows_and_averages_arrives(pair):
    saved = torch.load(pair / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    names = [name for name in saved if name.startswith("model.")]
    assert names
    assert all(torch.equal(saved[name], saved[name.replace("model.", "averaged.", 1)]) for name in names)
    unscaled = 3e-3 * one_cycle(11 / 12)  # the last window of these is not as long as the others are meant to be
    assert float(rows_of(pair)[-1]["learning_rate"]) != pytest.approx(unscaled, rel=1e-3)


def test_two_processes_that_are_killed_go_on_exactly(pair, training, tmp_path, capsys):
    request = training(tmp_path, *EXACT, "trainer.devices=2", "trainer.num_lanes=2")[1:]
    assert KILL["train"](tmp_path, [word for word in request if "run.dir" not in word], step=11) == (-9, [])
    assert main(["train", *request, f"hydra.run.dir={tmp_path}/other", "resume=auto"]) == 0
    assert f"resuming {tmp_path}/run" in capsys.readouterr().out
    assert KILL["content"](tmp_path) == KILL["content"](pair.parent)


def test_a_run_that_goes_on_needs_no_more_what_it_began_with(pair, training, tmp_path, capsys):
    began = shutil.copytree(pair / "model", tmp_path / "began")
    request = (*EXACT, "trainer.devices=2", "trainer.num_lanes=2")
    assert main([*training(tmp_path / "run", *request, "trainer.max_steps=2", f"init_from={began}")]) == 0
    shutil.rmtree(began)
    assert main(["train", f"resume={tmp_path}/run", "trainer.max_steps=4"]) == 0, capsys.readouterr().err
    assert rows_of(tmp_path / "run")[-1]["step"] == "4"


def test_one_line_at_once_when_one_of_them_fails_before_they_meet():
    words = r"process 1 of this training ended with code 2: unknown key 'sed'"
    started_s = time.monotonic()
    with pytest.raises(LstmusicError, match=words), launch.together(2, 1, ["train", "sed=1"]):
        raise AssertionError("they cannot have met")
    assert time.monotonic() - started_s < 60


def test_the_environment_is_left_as_it_was(pair):
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} & set(os.environ)
    assert not torch.distributed.is_initialized()


def test_another_number_of_processes_cannot_go_on(pair, refused):
    line = refused("train", f"resume={pair}", "trainer.devices=3")
    assert "trainer.devices=3: cannot change in a resumed run" in line


@pytest.mark.parametrize("devices", ["0", "-1", "1.5", "many", "²", "٢"])
def test_a_number_of_processes_that_is_none(devices, refused):
    line = refused("train", f"trainer.devices={devices}")
    assert f"trainer.devices={devices}: expected a number of processes, or auto" in line


def test_several_machines_are_started_from_outside(refused, training, tmp_path):
    line = refused(*training(tmp_path / "run", *EXACT, "trainer.num_nodes=2"))
    assert "trainer.num_nodes=2: expected to be started by torchrun or srun" in line


def test_another_number_of_processes_than_was_started(refused, training, tmp_path, monkeypatch):
    started = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    for devices in (1, 2):
        line = refused(*training(tmp_path / "run", *EXACT, f"trainer.devices={devices}"))
        assert f"trainer.devices={devices} trainer.num_nodes=1: 3 processes were started, expected {devices}" in line
    assert not (tmp_path / "run").exists()


@pytest.fixture
def started(training, environment, tmp_path):
    """A training by two processes that has saved, as a process, with its folder."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "lstmusic.cli", *training(folder, *PAIR, "trainer.max_steps=100000")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield process, folder
    process.kill()
    process.wait()


def children_of(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return [int(number) for number in file.read().split()]


needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@needs_proc
def test_ctrl_c_ends_all_of_them_and_saves(started):
    process, folder = started
    (child,) = children_of(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert "interrupted; go on with: lstmusic train resume=" in out
    assert not os.path.exists(f"/proc/{child}")
    assert (folder / "report.json").exists()


@needs_proc
def test_one_line_when_one_of_them_dies(started):
    process, _ = started
    (child,) = children_of(process)
    os.kill(child, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(err.strip().splitlines()) == 1, err
    assert "lstmusic: process 1 of this training ended with code -9" in err
