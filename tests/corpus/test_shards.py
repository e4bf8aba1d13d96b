"""Shards: sized by the source alone, whole or missing, done once; and what is killed ends as if it had not been."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lstmusic.corpus import shards, sources, store
from lstmusic.corpus.doctor import Examiner
from lstmusic.schema import FiltersConfig, LimitsConfig

KILL = Path(__file__).with_name("kill.py")


@pytest.fixture
def source(midi_folder, tmp_path):
    """Three shards of pieces."""
    return sources.folder(midi_folder(36), tmp_path / "cache")


@pytest.mark.parametrize(("pieces", "size"), [(1, 16), (909, 16), (10_000, 157), (1_400_000, 1024)])
def test_the_size_of_a_shard_follows_from_the_number_of_pieces(pieces, size):
    assert shards.size_of(pieces) == size
    assert (shards.count(pieces) - 1) * size < pieces <= shards.count(pieces) * size


def test_only_missing_shards_are_made(source, tmp_path, monkeypatch):
    made, make = [], shards.make

    def stopping(task):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(task.number)
        return make(task)

    monkeypatch.setattr(shards, "make", stopping)
    with pytest.raises(KeyboardInterrupt):
        store.prepare(source, "chorale", {}, cache=tmp_path / "cache", jobs=1)
    assert not list((tmp_path / "cache").glob("*/manifest.json"))
    done = []
    monkeypatch.setattr(shards, "make", lambda task: made.append(task.number) or make(task))
    corpus = store.prepare(source, "chorale", {}, cache=tmp_path / "cache", jobs=1, on_progress=done.append)
    assert (made, done) == ([0, 1, 2], [32, 4])
    assert [piece.name for piece in corpus.pieces] == [ref.name for ref in source.pieces]
    assert [path.name for path in (tmp_path / "cache").glob("[!.]*")] == [corpus.folder.name]


def test_a_shard_is_there_when_its_rows_are(source, tmp_path):
    (tmp_path / "rows").mkdir()
    tasks = shards.missing(tmp_path, source.pieces, Examiner("chorale", {}, FiltersConfig()), LimitsConfig())
    assert [(task.number, len(task.refs)) for task in tasks] == [(0, 16), (1, 16), (2, 4)]
    assert shards.make(tasks[1]) == 16
    assert [task.number for task in shards.missing(tmp_path, source.pieces, *tasks[0][3:5])] == [0, 2]
    found = shards.read_rows(tmp_path, 1)
    assert [row.name for row in found.rows] == [ref.name for ref in source.pieces[16:32]]
    assert sum(row.tokens for row in found.rows) * 2 == shards.ids_file(tmp_path, 1).stat().st_size
    assert len(shards.read_sketches(tmp_path, 1)) == 16


def test_two_at_once_do_the_work_once(source, tmp_path, monkeypatch):
    made, make, corpora = [], shards.make, []
    monkeypatch.setattr(shards, "make", lambda task: made.append(task.number) or make(task))

    def prepare():
        corpora.append(store.prepare(source, "chorale", {}, cache=tmp_path / "cache", jobs=1))

    threads = [threading.Thread(target=prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [0, 1, 2]
    assert len({corpus.folder for corpus in corpora}) == 1 and len(corpora) == 2


def test_nobody_goes_on_working_for_a_run_that_was_killed(midi_folder, tmp_path):
    """All its processes hold the pipe: it ends when the last of them does."""
    program = (
        "import pathlib, sys\nfrom lstmusic.corpus import sources, store\nfolder, cache = sys.argv[1:]\n"
        "store.prepare(sources.folder(folder, cache), 'chorale', {}, cache=pathlib.Path(cache), jobs=2,"
        " on_progress=lambda done: print(done, flush=True))"
    )
    command = [sys.executable, "-c", program, midi_folder(60), tmp_path / "cache"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert [run.stdout.readline(), run.stdout.readline()] == ["0\n", "16\n"]
        run.kill()
        killed = time.monotonic()
        run.stdout.read()
    assert time.monotonic() - killed < 15


def test_what_is_killed_ends_with_the_same_bytes(midi_folder):
    command = [sys.executable, KILL, midi_folder(40), "--encoding", "chorale", "--kills", "2", "--seed", "1"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.endswith("2 kills, the same corpus each time\n")
