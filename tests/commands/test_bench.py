"""`lstmusic bench`: a table on the screen, its rows and the machine in the report."""

import pytest

from lstmusic.benchmarks import encoding
from lstmusic.cli import main
from lstmusic.commands import bench
from lstmusic.errors import ConfigError

ROWS = [{"name": "somebody", "ms_per_file": 0.5, "ids_per_second": 12_345_678.0, "times_miditok": None}]


@pytest.fixture
def taken(monkeypatch):
    """The files that the table is given, without measuring any."""
    seen = []
    monkeypatch.setattr(encoding, "run", lambda files, on_progress: seen.extend(files) or ROWS)
    return seen


def test_the_report_and_the_screen_show_the_rows(taken, music, tmp_path, report_of, capsys):
    assert main(["bench", "data=folder", f"data.path={music}", f"hydra.run.dir={tmp_path}/run"]) == 0
    report = report_of(tmp_path / "run")
    assert report["rows"] == ROWS
    assert set(report["machine"]["packages"]) == set(encoding.PACKAGES)
    out = capsys.readouterr().out
    assert "12,345,678" in out
    assert "× miditok" in out
    assert [path.name for path in taken] == [f"piece-{k}.mid" for k in range(8)]


def test_pieces_are_drawn_evenly(taken, music, tmp_path):
    assert main(["bench", "data=folder", f"data.path={music}", "pieces=3", f"hydra.run.dir={tmp_path}/run"]) == 0
    assert [path.name for path in taken] == ["piece-0.mid", "piece-2.mid", "piece-5.mid"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["table=encodings"],
            "table=encodings: expected one of encoding, fidelity, copies, leak; did you mean encoding?",
        ),
        (["pieces=0"], "pieces=0: expected at least 1"),
        (["data=bach"], "data=bach: no MIDI files, expected some"),
        (["encoding=performance"], "encoding=performance: belongs to train; bench has its own"),
    ],
)
def test_a_wrong_request(refused, music, tmp_path, overrides, words):
    data = [] if "data=bach" in overrides else ["data=folder", f"data.path={music}"]
    assert words in refused("bench", *data, *overrides, f"hydra.run.dir={tmp_path}/run")
    assert not (tmp_path / "run").exists()


def test_a_missing_peer_leaves_nothing(refused, music, tmp_path, monkeypatch):
    def missing(*args, **options):
        raise ConfigError("miditok: not installed; pip install 'lstmusic[bench]'")

    monkeypatch.setattr(encoding, "contenders", missing)
    line = refused("bench", "data=folder", f"data.path={music}", f"hydra.run.dir={tmp_path}/run")
    assert "pip install 'lstmusic[bench]'" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("table", ["fidelity", "copies", "leak"])
def test_tables_of_files(table, music, tmp_path, report_of, capsys):
    request = ["bench", f"table={table}", "data=folder", f"data.path={music}", f"hydra.run.dir={tmp_path}/run"]
    assert main(request) == 0
    assert all(row["pieces"] == 8 for row in report_of(tmp_path / "run")["rows"])
    assert "…" not in capsys.readouterr().out  # no figure is cut


def test_every_table_has_its_packages():
    assert all("lstmusic" in packages for _, packages in bench.TABLES.values())
