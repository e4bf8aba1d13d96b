"""`lstmusic inspect`: pictures, tables and the page of a piece, whatever the encoding and the cell."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from lstmusic import music_model
from lstmusic.cli import main
from lstmusic.commands import inspect_views
from lstmusic.score import Score

PICTURES = {"gates.png", "surprise.png", "gradient_reach.png"}


@pytest.fixture(scope="module", autouse=True)
def small():
    """Figures of few steps: what they are is tested where they are made."""
    few = {"LAGS": 8, "LOSSES": 2, "MEMORY_LAGS": (1, 2, 4), "MEMORY_TARGETS": 5}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in few.items():
            patch.setattr(inspect_views, name, value)
        yield


@pytest.fixture(scope="module")
def held_out(chorale_run, tmp_path_factory):
    """The folder and report of a held-out piece."""
    folder = tmp_path_factory.mktemp("inspect") / "here"
    assert main(["inspect", f"hydra.run.dir={folder}", f"checkpoint={chorale_run}", "split=train"]) == 0
    return folder, json.loads((folder / "report.json").read_text())


@pytest.fixture
def inspect(tmp_path, report_of):
    """A function: inspect into a folder below tmp_path; that folder and its report."""

    def run(*overrides):
        folder = tmp_path / "here"
        assert main(["inspect", f"hydra.run.dir={folder}", *map(str, overrides)]) == 0
        return folder, report_of(folder)

    return run


def page_of(folder):
    text = (folder / "index.html").read_text("utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


def test_a_held_out_piece(held_out):
    folder, report = held_out
    assert report["piece"]["source"] == "the first piece of the train split"
    files = {path.name for path in folder.iterdir()}
    assert files >= {*PICTURES, "memory.png", "time_constants.png", "gates.csv", "index.html", "piece.mid"}
    for name in files:
        if name.endswith(".png"):
            assert Image.open(folder / name).size[0] == 1600
    layer = report["gates"]["layers"][0]
    assert set(layer["mean_gates"]) == {"input", "forget", "output"} and layer["cell"] == "lstm"
    assert layer["median_time_constant"] <= layer["longest_tenth"] <= layer["longest"]
    rows = report["gates"]["by_moment"]
    assert {(row["layer"], row["gate"]) for row in rows} == {(1, name) for name in layer["mean_gates"]}
    assert {"bar line", "other beat", "after: onset"} >= {row["moment"] for row in rows} > set()
    assert [row["steps"] for row in report["memory"]["by_memory"]] == [1, 2, 4]
    assert report["memory"]["by_memory"][-1]["above_the_longest"] == 0


def test_the_table_has_every_unit(held_out):
    folder, report = held_out
    rows = list(csv.DictReader((folder / "gates.csv").read_text().splitlines()))
    assert [int(row["unit"]) for row in rows] == list(range(12))
    constants = [float(row["time_constant_steps"]) for row in rows]
    assert np.median(constants) == pytest.approx(report["gates"]["layers"][0]["median_time_constant"], rel=1e-2)
    assert {row["strongest_gate"] for row in rows} <= {"input", "forget", "output"}
    means = [np.mean([float(row[f"mean_{name}"]) for row in rows]) for name in ("input", "forget", "output")]
    assert means == pytest.approx(list(report["gates"]["layers"][0]["mean_gates"].values()), abs=1e-3)


def test_a_file_and_its_page(inspect, chorale_run, music, capsys):
    folder, report = inspect(f"checkpoint={chorale_run}", f"piece={music / 'piece-3.mid'}", "memory=false")
    assert report["piece"] == {"name": "piece-3", "source": "the file piece-3.mid"}
    assert "memory" not in report and not (folder / "memory.png").exists()
    assert "nats per token of this piece" in capsys.readouterr().out
    (song,) = page_of(folder)["songs"]
    nats = music_model.load(chorale_run).nll(Score.read(music / "piece-3.mid"))
    assert sum(song["bar_nats"]) == pytest.approx(nats.sum(), abs=0.01)
    assert report["surprise"]["nats_per_token"] == pytest.approx(nats.mean(), abs=1e-3)
    assert len(song["note_nats"]) == len(song["notes"]) == 48
    assert max(song["note_nats"]) == pytest.approx(report["surprise"]["notes"][0]["nats"])
    assert {name for _, name in song["pictures"]} == {*PICTURES, "time_constants.png"}


def test_what_is_compared(inspect, chorale_run, train):
    other = train("encoding=chorale", "trainer.max_steps=2", "model=rnn")
    asked = (f"checkpoint={other}", f"compare=[{chorale_run}]", "memory=false")
    _, report = inspect(*asked)
    rows = report["gradient_reach"]["models"]
    names = [row["name"].split(" (")[0] for row in rows]
    assert names == ["rnn, trained", "lstm, trained", "rnn, untrained", "lstm, untrained", "gru, untrained"]
    assert all(list(row["norm_by_lag"]) == ["1", "4", "8"] and row["norm_by_lag"]["1"] > 0 for row in rows)
    assert {row["half_life_fit"] for row in rows} == {"a straight line through the logarithms at lags 1 to 8"}
    assert all(len(row["window_norms"]) == 4 for row in rows)  # a header and three bars, sixteen steps a window
    assert report["gates"]["layers"] == [
        {
            "layer": 1,
            "cell": "rnn",
            "mean_gates": {},
            "median_time_constant": None,
            "longest_tenth": None,
            "longest": None,
        }
    ]
    assert report["gates"]["by_moment"] == []


def test_events_without_bars(inspect, performance_run, music, capsys):
    folder, report = inspect(f"checkpoint={performance_run}", f"piece={music / 'piece-0.mid'}", "memory=false")
    assert not {"bar line", "other beat", "after: cadence"} & set(report["gates"]["moments"])
    (song,) = page_of(folder)["songs"]
    assert None not in song["note_nats"]
    assert "steps" in capsys.readouterr().out


def test_without_its_data_the_model_writes_the_piece(inspect, chorale_run, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in (chorale_run / "model").iterdir():
        text = file.read_bytes()
        (moved / file.name).write_bytes(
            re.sub(rb"path: /.*", b"path: /nowhere", text) if file.suffix == ".yaml" else text
        )
    _, report = inspect(f"checkpoint={moved}")
    assert report["piece"]["source"].startswith("written by the model itself")
    assert report["memory"] == {"missing": "data.path=/nowhere is not there"}


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_walk_through_needs_no_model(cell, capsys):
    assert main(["inspect", "walkthrough=true", f"cell={cell}"]) == 0
    assert f"torch.nn.{cell.upper()}" in capsys.readouterr().out


def test_what_is_refused(refused, chorale_run, performance_run, music):
    assert "cell=mlp: expected one of rnn, lstm, gru" in refused("inspect", "cell=mlp")
    assert "no.mid: no such file" in refused("inspect", f"checkpoint={chorale_run}", "piece=no.mid")
    asked = ("inspect", f"checkpoint={chorale_run}", f"compare=[{performance_run}]", f"piece={music / 'piece-0.mid'}")
    assert "encoding performance, expected chorale" in refused(*asked)
    assert "expected a list" in refused("inspect", "compare=bach")
