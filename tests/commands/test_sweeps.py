"""`lstmusic COMMAND -m`: what a sweeper is told, and trainings that a launcher runs side by side; see docs/sweeps.md."""

import pytest
import yaml

from lstmusic import config
from lstmusic.cli import main


def needs(package):
    """Skip a test where a plugin of Hydra is missing."""
    return pytest.mark.skipif(not config.is_installed(package), reason=f"{package} is not installed (extra sweeps)")


@pytest.fixture
def sweep(training, tmp_path):
    """A function: run a sweep of tiny trainings; its folder."""

    def run(*overrides):
        asked = training(tmp_path, "encoding=chorale", "trainer.max_steps=2", f"hydra.sweep.dir={tmp_path}/sweep")
        assert main([*asked, "-m", *overrides]) == 0
        return tmp_path / "sweep"

    return run


@needs("hydra-optuna-sweeper")
def test_optuna_finds_the_best_of_two_trials(sweep, report_of):
    folder = sweep(
        *("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=1"),
        *("trainer.learning_rate=tag(log, interval(1e-4, 1e-1))", "model=choice(gru, rnn)"),
    )
    reports = [report_of(folder / k) for k in "01"]
    assert len({report["asked"]["trainer"]["learning_rate"] for report in reports}) == 2
    best = min(reports, key=lambda report: report["results"]["nll_per_token"])
    found = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    assert found["best_value"] == best["results"]["nll_per_token"]
    assert found["best_params"] == {
        "trainer.learning_rate": best["asked"]["trainer"]["learning_rate"],
        "model": best["asked"]["model"]["cell"],
    }


@pytest.fixture
def ask(chorale_run, tmp_path):
    """A function: sweep over splits of evaluate with Optuna; the exit code."""

    def run(*overrides):
        folders = (f"checkpoint={chorale_run}", f"hydra.sweep.dir={tmp_path}/sweep")
        optuna = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "hydra.sweeper.n_jobs=1")
        return main(["evaluate", "-m", *folders, *optuna, *overrides])

    return run


@needs("hydra-optuna-sweeper")
def test_a_study_in_a_file_goes_on(ask, tmp_path):
    optuna = pytest.importorskip("optuna")
    where = f"sqlite:///{tmp_path}/study.db"
    study = (f"hydra.sweeper.storage={where}", "hydra.sweeper.study_name=s", "split=choice(valid,test)")
    for number in (1, 2):
        assert ask(*study, f"hydra.sweep.subdir={number}") == 0
    trials = optuna.load_study(study_name="s", storage=where).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE"]


@needs("hydra-optuna-sweeper")
def test_a_sweeper_minimises_held_out_pieces_only(ask, capsys, monkeypatch):
    monkeypatch.delenv("LSTMUSIC_DEBUG", raising=False)
    assert ask("split=train") == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("lstmusic: hydra/sweeper=optuna: nothing to minimise here, expected")


@needs("hydra-joblib-launcher")
def test_joblib_runs_two_jobs_in_processes_of_their_own(sweep, report_of):
    folder = sweep("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1,2")
    reports = [report_of(folder / k) for k in "01"]
    assert [report["asked"]["seed"] for report in reports] == [1, 2]
    assert reports[0]["results"]["nll_per_token"] != reports[1]["results"]["nll_per_token"]


@pytest.mark.parametrize("plugin", config.PLUGINS)
def test_a_plugin_that_is_missing_is_named(refused, monkeypatch, plugin):
    monkeypatch.setattr(config, "is_installed", lambda package: False)
    assert refused("train", "-m", plugin, "seed=1,2") == (
        f"lstmusic: {plugin}: {config.PLUGINS[plugin]} is not installed, docs/sweeps.md says how it is"
    )


def test_a_choice_that_is_none_is_named(refused):
    assert "model=choice(gru, lsmt): expected one of" in refused("train", "-m", "model=choice(gru, lsmt)")


def test_a_sweep_goes_on_where_it_stopped(sweep, capsys):
    first = sweep("seed=1", "resume=auto")
    weights = (first / "0" / "model" / "model.safetensors").read_bytes()
    capsys.readouterr()
    again = sweep("seed=1", "resume=auto")
    assert f"resuming {first / '0'}" in capsys.readouterr().out
    assert (again / "0" / "model" / "model.safetensors").read_bytes() == weights
