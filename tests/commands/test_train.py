"""`lstmusic train`: what it leaves, and that stopping and going on changes nothing."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time

import lightning
import pytest
import torch
import yaml

import lstmusic
from lstmusic import config as configs
from lstmusic.cli import main
from lstmusic.commands import train as train_command
from lstmusic.commands import train_start
from lstmusic.errors import CheckpointError
from lstmusic.training import distributed

REPEATS = {"chorale": "repeat_bar", "performance": "repeat_phrase"}


def rows_of(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("encoding", ["chorale", "performance"])
def test_what_a_training_leaves(encoding, request, report_of):
    folder = request.getfixturevalue(f"{encoding}_run")
    report = report_of(folder)
    assert report["command"] == "train"
    assert report["asked"]["encoding"]["name"] == encoding
    splits = report["corpus"]["splits"]
    assert {name: row["pieces"] for name, row in splits.items()} == {"train": 6, "valid": 1, "test": 1}
    assert all(row["tokens"] > 0 for row in splits.values())
    results = report["results"]
    assert report["steps"] == 6
    assert results["device"] == "cpu"
    assert results["split"] == "valid"
    assert 0 < results["nll_per_token"] < 20
    assert {"nll_per_note", "nll_per_step", "nll_per_second", "perplexity", "verdict"} <= set(results)
    assert set(results["baselines"]) == {"unigram", "ngram", REPEATS[encoding]}
    assert report["tokens_per_second"] > 0
    assert not report["interrupted"]
    places = (
        "model/model.safetensors",
        "model/config.yaml",
        "model/vocabulary.json",
        "model/split.json",
        "model/card.md",
        "model/originality.npz",
        "model/reference.json",
    )
    for name in (*places, "checkpoints/last.ckpt", "metrics.csv", "curves.png", "config.yaml", "overrides.yaml"):
        assert (folder / name).stat().st_size > 0, name
    assert list((folder / "tensorboard").iterdir())
    assert list((folder / "samples").glob("step-*/song-001.mid"))
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("encoding", ["melody", "metrical"])
def test_a_model_that_is_told_conditions(train, encoding):
    """It trains, writes its samples and says in its folder what it can be asked for."""
    folder = train(f"encoding={encoding}", "encoding.conditions=true", "trainer.max_steps=2")
    assert yaml.safe_load((folder / "model/config.yaml").read_text())["encoding"]["conditions"] is True
    columns = json.loads((folder / "model/vocabulary.json").read_text())["features"]["columns"]
    assert (columns["density"], columns["pitch_class_11"]) == (17, 9)
    assert list((folder / "samples").glob("step-*/song-001.mid"))


def test_the_figures_in_the_folder_agree(chorale_run, report_of):
    results = report_of(chorale_run)["results"]
    facts = yaml.safe_load((chorale_run / "model" / "config.yaml").read_text())
    assert facts["results"]["nll_per_token"] == results["nll_per_token"]
    assert f"{results['nll_per_token']:.4f}" in (chorale_run / "model" / "card.md").read_text()
    best = min(float(row["valid_nats_per_token"]) for row in rows_of(chorale_run))
    assert results["nll_per_token"] == pytest.approx(best, rel=1e-4)


def test_the_split_is_the_seeds(chorale_run, train):
    split = json.loads((chorale_run / "model" / "split.json").read_text())
    assert sorted(name for names in split.values() for name in names) == [f"piece-{i}.mid" for i in range(8)]
    other = train("encoding=chorale", "trainer.max_steps=1", "seed=3")
    assert json.loads((other / "model" / "split.json").read_text()) == split


def test_evaluate_says_what_training_said(chorale_run, report_of, tmp_path):
    assert main(["evaluate", f"checkpoint={chorale_run}", f"hydra.run.dir={tmp_path}/valid"]) == 0
    report = report_of(tmp_path / "valid")
    trained = report_of(chorale_run)["results"]
    for name in (
        "nll_per_token",
        "nll_per_note",
        "nll_per_step",
        "nll_per_second",
        "perplexity",
        "tokens",
        "baselines",
    ):
        assert report[name] == trained[name], name
    assert main(["evaluate", f"checkpoint={chorale_run}", "split=test", f"hydra.run.dir={tmp_path}/test"]) == 0
    assert report_of(tmp_path / "test")["nll_per_token"] != report["nll_per_token"]


def test_the_same_seed_gives_the_same_model(train, chorale_run):
    again = train("encoding=chorale", "trainer.max_steps=6", "seed=3")
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (chorale_run, again)]
    assert weights[0] == weights[1]


def test_begin_with_another_model(train, chorale_run):
    tuned = train("encoding=chorale", "trainer.max_steps=1", f"init_from={chorale_run}", "seed=3")
    fresh = train("encoding=chorale", "trainer.max_steps=1", "seed=3")
    nats = [float(rows_of(run)[0]["train_nats_per_token"]) for run in (tuned, fresh)]
    assert nats[0] < nats[1]


def test_begin_with_another_model_takes_its_sizes_and_keeps_what_was_typed(chorale_run, music, tmp_path):
    """The fixture's sizes are not the defaults; rates of dropout may differ from the model's."""
    own = ("data=folder", f"data.path={music}", f"data.cache={tmp_path}/cache", "encoding=chorale", "jobs=1")
    fast = ("trainer.max_minutes=null", "trainer.max_steps=1", "trainer.accelerator=cpu", "trainer.learning_rate=1e-9")
    start = ("model.dropout=0.25", f"init_from={chorale_run}", f"hydra.run.dir={tmp_path}/run")
    assert main(["train", *own, *fast, *start]) == 0
    tuned, first = (lstmusic.load(run).folder for run in (tmp_path / "run", chorale_run))
    assert tuned.sizes == {**first.sizes, "dropout": 0.25}
    for name, value in tuned.model.state_dict().items():
        torch.testing.assert_close(value, first.model.state_dict()[name], atol=1e-6, rtol=0)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "run", moved)
    assert main(["train", *own, *fast, *start[:-1], f"hydra.run.dir={tmp_path}/new", "resume=auto"]) == 0
    assert not (tmp_path / "new").exists()  # the sizes that came with the model are no other request
    assert main(["train", f"resume={moved}", "trainer.max_steps=2"]) == 0
    assert lstmusic.load(moved).folder.sizes == tuned.sizes


def test_a_file_that_cannot_be_read_is_named_in_the_report(train, music, tmp_path, report_of):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for piece in list(music.iterdir())[:4]:
        (mixed / piece.name).write_bytes(piece.read_bytes())
    (mixed / "page.mid").write_text("<html>")
    folder = train(f"data.path={mixed}", "encoding=chorale", "trainer.max_steps=1")
    ((name, reason),) = report_of(folder)["corpus"]["skipped"]
    assert name == "page.mid"
    assert "MThd" in reason


LONG = ("encoding=chorale", "trainer.max_steps=240", "trainer.patience=1000")


@pytest.fixture(scope="module")
def never_stopped(train):
    """The folder of the long training, run from its first step to its last."""
    return train(*LONG)


@pytest.fixture
def started(training, environment):
    """A function: start the long training in a process of its own and wait until it has validated a few times."""
    processes = []

    def run(folder):
        command = [sys.executable, "-m", "lstmusic.cli", *training(folder, *LONG)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        deadline = time.monotonic() + 120
        while not (folder / "metrics.csv").exists() or len(rows_of(folder)) < 3:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


def check_equal_to(never_stopped, folder, report_of):
    """The curve goes on without a jump, and ends in the very same model."""
    steps = [int(row["step"]) for row in rows_of(folder)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 240
    curves = [{row["step"]: row["valid_nats_per_token"] for row in rows_of(run)} for run in (never_stopped, folder)]
    assert curves[0].items() <= curves[1].items()  # Ctrl-C validates once more, where it stops
    results = [report_of(run)["results"] for run in (never_stopped, folder)]
    assert results[0]["baselines"] == results[1]["baselines"]
    assert results[1]["nll_per_token"] == results[0]["nll_per_token"]
    models = [(run / "model" / "model.safetensors").read_bytes() for run in (never_stopped, folder)]
    assert models[0] == models[1]
    assert torch.equal(*(final_weights(run) for run in (never_stopped, folder)))


def final_weights(run):
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return torch.cat([saved[name].flatten() for name in sorted(saved)])


def test_ctrl_c_leaves_what_is_finished_and_goes_on(started, never_stopped, report_of, tmp_path, capsys):
    folder = tmp_path / "run"
    process = started(folder)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err == ""
    assert "interrupted; go on with: lstmusic train resume=" in out
    assert report_of(folder)["interrupted"]
    stopped = report_of(folder)["steps"]
    assert 0 < stopped < 240
    assert load_of(folder)
    assert main(["train", f"resume={folder}"]) == 0
    assert report_of(folder)["asked"]["encoding"]["name"] == "chorale"
    assert not report_of(folder)["interrupted"]
    check_equal_to(never_stopped, folder, report_of)


def load_of(folder):
    return lstmusic.load(folder).generate(1, length_bars=1)


def test_a_kill_loses_at_most_what_was_not_saved(started, training, never_stopped, report_of, tmp_path):
    folder = tmp_path / "runs" / "first"
    process = started(folder)
    process.kill()
    process.wait()
    assert not (folder / "report.json").exists()
    assert load_of(folder)
    assert main([*training(tmp_path / "runs" / "second", *LONG), "resume=auto"]) == 0
    assert not (tmp_path / "runs" / "second").exists()
    check_equal_to(never_stopped, folder, report_of)


def test_a_finished_run_has_nothing_to_go_on_with(chorale_run, tmp_path, report_of):
    folder = shutil.copytree(chorale_run, tmp_path / "run")
    weights = (folder / "model" / "model.safetensors").read_bytes()
    assert main(["train", f"resume={folder}"]) == 0
    assert [row["step"] for row in rows_of(folder)] == [row["step"] for row in rows_of(chorale_run)]
    assert (folder / "model" / "model.safetensors").read_bytes() == weights
    assert report_of(folder)["results"]["nll_per_token"] == report_of(chorale_run)["results"]["nll_per_token"]


def test_a_larger_budget_goes_on(chorale_run, tmp_path, report_of):
    folder = shutil.copytree(chorale_run, tmp_path / "run")
    assert main(["train", f"resume={folder}", "trainer.max_steps=9"]) == 0
    assert [row["step"] for row in rows_of(folder)] == ["6", "9"]
    assert report_of(folder)["asked"]["trainer"]["max_steps"] == 9


@pytest.mark.parametrize(("processes", "error"), [(1, CheckpointError), (2, RuntimeError)])
def test_a_process_that_is_gone_is_no_bad_checkpoint(chorale_run, tmp_path, monkeypatch, processes, error):
    """Of several, `launch` asks which one is gone; alone there is only the checkpoint."""

    def broken(*_, **__):
        monkeypatch.setattr(distributed, "world_size", lambda: processes)
        raise RuntimeError("connection closed by peer")

    folder = shutil.copytree(chorale_run, tmp_path / "run")
    monkeypatch.setattr(lightning.Trainer, "fit", broken)
    with pytest.raises(error, match="connection closed by peer"):
        train_command.run(configs.compose("train", [f"resume={folder}"]))


def test_a_torn_checkpoint_is_refused_and_kept(chorale_run, tmp_path, refused):
    folder = shutil.copytree(chorale_run, tmp_path / "run")
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    line = refused("train", f"resume={folder}")
    assert f"{last} is torn or altered" in line
    assert f"{last.with_name('previous.ckpt')} is missing" in line
    assert last.stat().st_size == 1000
    assert lstmusic.load(folder)


def test_a_torn_checkpoint_is_named_and_the_one_before_is_used(never_stopped, tmp_path, capsys, report_of):
    folder = shutil.copytree(never_stopped, tmp_path / "run")
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    assert main(["train", f"resume={folder}"]) == 0
    assert f"{last} is torn or altered; going on from previous.ckpt, the one before" in capsys.readouterr().out
    check_equal_to(never_stopped, folder, report_of)


@pytest.fixture
def found(tmp_path):
    """A function: whether `resume=auto` and some overrides find a run that was asked for others."""

    def find(saved, asked):
        run = tmp_path / "runs" / "first"
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        (run / "checkpoints" / "last.ckpt").touch()
        (run / "overrides.yaml").write_text(yaml.safe_dump(saved))
        request = configs.compose("train", [*asked, "resume=auto", f"hydra.run.dir={tmp_path}/runs/second"])
        place = train_start.run_to_resume(request)
        assert place in (None, run)
        return place is not None

    return find


@pytest.mark.parametrize(
    ("saved", "asked", "same"),
    [
        (["seed=1"], ["seed=1"], True),
        (["seed=1", "model.cell=gru"], ["seed=1"], False),
        (["seed=1"], ["seed=1", "model.cell=gru"], False),
        (["seed=1"], ["seed=2"], False),
        (["trainer.max_steps=5", "jobs=1"], ["trainer.max_steps=9", "trainer.patience=3", "data.cache=else"], True),
        (["resume=auto", "hydra.run.dir=there"], [], True),
        (["init_from=bach", "++model.cell=gru"], ["init_from=bach"], True),
        (["init_from=bach", "model.dropout=0.1"], ["init_from=bach"], False),
    ],
)
def test_auto_goes_on_with_what_was_asked_for_and_with_nothing_else(found, saved, asked, same):
    assert found(saved, asked) == same


def test_auto_begins_beside_what_a_run_left_that_was_killed_before_it_saved(training, tmp_path, capsys):
    left = tmp_path / "runs" / "here"
    (left / "tensorboard").mkdir(parents=True)
    (left / "overrides.yaml").write_text("")
    assert main([*training(left, "encoding=chorale", "trainer.max_steps=1"), "resume=auto"]) == 0
    assert "holds no checkpoint, the new run goes to" in capsys.readouterr().out
    assert (tmp_path / "runs" / "here-2" / "report.json").is_file()
    assert {file.name for file in left.iterdir()} == {"tensorboard", "overrides.yaml"}


def test_auto_without_an_earlier_run_begins_one(training, tmp_path, report_of):
    assert main([*training(tmp_path / "runs" / "new", "encoding=chorale", "trainer.max_steps=1"), "resume=auto"]) == 0
    assert report_of(tmp_path / "runs" / "new")["steps"] == 1


@pytest.mark.parametrize("average", ["ema", "asgd"])
def test_a_mean_in_16_bits_is_refused(average, refused):
    line = refused("train", "trainer.precision=bf16-true", f"trainer.average={average}")
    assert f"trainer.precision=bf16-true trainer.average={average}: " in line
    assert "expected trainer.precision=bf16-mixed or trainer.average=none" in line
    configs.compose("train", ["trainer.precision=bf16-true", "trainer.average=none"])


def test_windows_too_short_to_vary_are_refused(refused):
    line = refused("train", "trainer.vary_bptt=true", "trainer.bptt_length=9")
    assert "trainer.vary_bptt=true trainer.bptt_length=9: expected at least 10" in line
    configs.compose("train", ["trainer.vary_bptt=true", "trainer.bptt_length=10"])


def test_a_sweep_of_trainings(training, tmp_path, report_of):
    arguments = training(tmp_path, "encoding=chorale", "trainer.max_steps=1", f"hydra.sweep.dir={tmp_path}/sweep")
    assert main([*arguments, "-m", "seed=1,2"]) == 0
    assert [report_of(tmp_path / "sweep" / k)["asked"]["seed"] for k in "01"] == [1, 2]
