"""`lstmusic prepare`: what is checked before any work, and what the report says of files that are not used."""

import shutil

from lstmusic.cli import main
from lstmusic.commands import corpora


def test_an_output_folder_that_holds_files_is_refused_before_any_work(refused, music, tmp_path):
    cache = tmp_path / "cache"
    line = refused("prepare", "data=folder", f"data.path={music}", f"data.cache={cache}", f"hydra.run.dir={music}")
    assert f"hydra.run.dir={music}: holds files already" in line
    assert not cache.exists()


def test_an_empty_corpus_does_not_block_a_second_try(refused, music, tmp_path, report_of):
    folder, run = tmp_path / "music", tmp_path / "run"
    folder.mkdir()
    (folder / "page.mid").write_text("<html>")
    places = (f"data.path={folder}", f"data.cache={tmp_path}/cache", f"hydra.run.dir={run}", "jobs=1")
    assert "no usable piece" in refused("prepare", "data=folder", *places)
    shutil.copy(music / "piece-0.mid", folder)
    assert main(["prepare", "data=folder", *places]) == 0
    assert report_of(run)["used"] == 1
    assert "holds files already" in refused("prepare", "data=folder", *places)


def test_files_of_other_kinds_are_counted(music, tmp_path, report_of, capsys):
    folder = shutil.copytree(music, tmp_path / "music")
    for name in ("a.txt", "b.txt", "c.pdf"):
        (folder / name).write_text("no music")
    places = (f"data.path={folder}", f"data.cache={tmp_path}/cache", f"hydra.run.dir={tmp_path}/run", "jobs=1")
    assert main(["prepare", "data=folder", *places]) == 0
    assert report_of(tmp_path / "run")["others"] == {".txt": 2, ".pdf": 1}
    assert "3 files of other kinds not read (.pdf 1, .txt 2)" in capsys.readouterr().out


def test_reasons_are_counted_without_numbers_and_names():
    said = {
        "reaches tick 123, expected at most 4,000": "reaches tick N, expected at most N",
        "takes 1.5 s, expected 30.": "takes N s, expected N.",
        "begins with b'<html>', expected b'MThd'": "begins with …, expected …",
        "near-duplicate of a (1), b.mid": "near-duplicate of another",
        "torn or damaged after a (1).mid (unexpected end of data)": "torn or damaged after …",
        "torn or damaged after a.mid (the stream ends inside b (2).mid)": "torn or damaged after …",
        "unpacks to more than 200 times its size, left there at a/b.mid": (
            "unpacks to more than N times its size, left there at …"
        ),
        "a link to /some/where, expected a file": "a link to …, expected a file",
        "a link to a folder that is read already": "a link to a folder that is read already",
    }
    for reason, kind in said.items():
        assert corpora.reasons([["a.mid", reason]]) == {kind: 1}
