"""`lstmusic bench`: a table on the screen, its rows and the machine in the report."""

import json
import shutil

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


def test_the_help_tells_of_every_table(capsys):
    assert main(["bench", "--help"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("table=")]
    assert all(f" {table}: " in line for table in bench.TABLES)


def test_no_number_of_pieces_is_all(taken, music, tmp_path):
    assert main(["bench", "data=folder", f"data.path={music}", "pieces=", f"hydra.run.dir={tmp_path}/run"]) == 0
    assert len(taken) == 8


def test_pieces_are_drawn_evenly(taken, music, tmp_path):
    assert main(["bench", "data=folder", f"data.path={music}", "pieces=3", f"hydra.run.dir={tmp_path}/run"]) == 0
    assert [path.name for path in taken] == ["piece-0.mid", "piece-2.mid", "piece-5.mid"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["table=encodings"],
            "table=encodings: expected one of encoding, fidelity, copies, leak, long_lag, polyphonic, training, "
            "generation, songs, controls, best_of, infill, harmonise, originality; did you mean encoding?",
        ),
        (["pieces=0"], "pieces=0: expected at least 1"),
        (["seeds=0"], "seeds=0: expected at least 1"),
        (["table=songs", "songs=0"], "songs=0: expected at least 1"),
        (
            ["songs=3"],
            "songs=3: belongs to table=songs, controls, best_of, infill, harmonise, originality, came with table=encoding",
        ),
        (["minutes=0"], "minutes=0.0: expected a positive number"),
        (["minutes=3"], "minutes=3: belongs to table=long_lag, polyphonic, came with table=encoding"),
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
    for _ in range(2):  # the first try does not block the second
        line = refused("bench", "data=folder", f"data.path={music}", f"hydra.run.dir={tmp_path}/run")
        assert "pip install 'lstmusic[bench]'" in line


def test_an_output_folder_that_holds_files_is_refused_before_any_work(taken, refused, music, tmp_path):
    line = refused("bench", "data=folder", f"data.path={music}", f"hydra.run.dir={music}")
    assert f"hydra.run.dir={music}: holds files already" in line
    assert not taken


def test_files_that_cannot_be_read_are_left_out_and_counted(music, tmp_path, report_of, refused, capsys):
    folder = shutil.copytree(music, tmp_path / "music")
    (folder / "piece-3.mid").write_text("<html>")
    (folder / "piece-5.mid").write_bytes((folder / "piece-4.mid").read_bytes()[:-50])
    request = ["bench", "table=copies", "data=folder", f"data.path={folder}"]
    assert main([*request, f"hydra.run.dir={tmp_path}/run"]) == 0
    report = report_of(tmp_path / "run")
    assert (report["files"], [name for name, _ in report["left_out"]]) == (6, ["piece-3.mid", "piece-5.mid"])
    assert all(row["pieces"] == 6 for row in report["rows"])
    assert "2 of 8 files left out: piece-3.mid: begins with" in capsys.readouterr().out
    for file in folder.iterdir():
        file.write_text("<html>")
    assert "none of 8 files can be read" in refused(*request, f"hydra.run.dir={tmp_path}/other")


@pytest.mark.parametrize("table", ["fidelity", "copies", "leak"])
def test_tables_of_files(table, music, tmp_path, report_of, capsys):
    request = ["bench", f"table={table}", "data=folder", f"data.path={music}", f"hydra.run.dir={tmp_path}/run"]
    assert main(request) == 0
    assert all(row["pieces"] == 8 for row in report_of(tmp_path / "run")["rows"])
    assert "…" not in capsys.readouterr().out  # no figure is cut


TRAINED = [{"name": "first", "steps": 1_200}, {"name": "second", "steps": 3}]


class Trained:
    """A table that trains: what it was given, and its rows."""

    PACKAGES = ("lstmusic", "torch")

    def __init__(self):
        self.given = []

    def rows(self, *, note, **given):
        note("at work")
        self.given.append(given)
        yield from TRAINED

    @staticmethod
    def summary(rows):
        return [{"name": "all", "most steps": max(row["steps"] for row in rows)}]


@pytest.fixture
def trained(monkeypatch):
    """A table that trains in the place of each."""
    table = Trained()
    monkeypatch.setattr(bench, "_module", lambda name: table)
    return table


def test_rows_of_a_table_that_trains_are_shown_and_written_as_they_come(trained, tmp_path, report_of, capsys):
    assert main(["bench", "table=long_lag", "minutes=0.5", f"hydra.run.dir={tmp_path}/run"]) == 0
    assert trained.given == [{"minutes": 0.5}]  # no seeds: the table's own
    report = report_of(tmp_path / "run")
    assert report["rows"] == json.loads((tmp_path / "run" / "rows.json").read_text()) == TRAINED
    assert set(report["machine"]["packages"]) == {"lstmusic", "torch"}
    out = capsys.readouterr().out
    assert "name first  steps 1200" in out
    assert "most steps" in out


def test_what_was_finished_before_an_interruption_stays(trained, tmp_path, monkeypatch):
    def interrupted(*, note, **given):
        yield TRAINED[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(trained, "rows", interrupted)
    assert main(["bench", "table=training", f"hydra.run.dir={tmp_path}/run"]) == 130
    assert json.loads((tmp_path / "run" / "rows.json").read_text()) == TRAINED[:1]


@pytest.mark.parametrize(
    ("asked", "subsets"),
    [
        ([], ("JSB_Chorales", "Nottingham", "MuseData", "Piano_midi")),
        (["data=polymusic"], ("JSB_Chorales", "Nottingham", "MuseData", "Piano_midi")),
        (["data=polymusic", "data.subset=MuseData"], ("MuseData",)),
    ],
)
def test_the_polyphonic_table_takes_all_sets_or_one(trained, tmp_path, asked, subsets):
    assert main(["bench", "table=polyphonic", *asked, "seeds=2", f"hydra.run.dir={tmp_path}/run"]) == 0
    (given,) = trained.given
    assert (given["seeds"], given["subsets"]) == (2, subsets)
    assert callable(given["open_set"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["table=polyphonic", "data=bach"], "data=bach: expected data=polymusic with table=polyphonic"),
        (["table=training", "pieces=3"], "pieces=3: belongs to table=encoding, fidelity, copies, leak, came with"),
        (["table=long_lag", "data=bach"], "data=bach: belongs to table=encoding, fidelity, copies, leak, polyphonic, "),
    ],
)
def test_keys_of_other_tables(trained, refused, tmp_path, overrides, words):
    assert words in refused("bench", *overrides, f"hydra.run.dir={tmp_path}/run")
    assert not trained.given and not (tmp_path / "run").exists()


@pytest.mark.parametrize("table", [name for name, entry in bench.TABLES.items() if entry.of_files])
def test_every_table_of_files_has_its_packages(table):
    assert "lstmusic" in bench._module(table).PACKAGES
