"""table=encoding: the rows, what is counted, and a peer that is missing."""

import importlib
import time

import pytest

from lstmusic.benchmarks import encoding, machine
from lstmusic.errors import ConfigError
from lstmusic.score import midi


@pytest.fixture
def files(tmp_path, phrase):
    """Three small MIDI files."""
    paths = [tmp_path / f"{k}.mid" for k in range(3)]
    for k, path in enumerate(paths):
        midi.write(phrase(bars=2, seed=k), path)
    return paths


def test_ids_are_counted_once_and_a_warming_file_costs_nothing(files, monkeypatch):
    calls = []

    def counting(path):
        calls.append(path)
        until = time.process_time() + 0.01
        while time.process_time() < until:
            pass
        return 100

    monkeypatch.setattr(encoding, "BLOCK", 2)
    monkeypatch.setattr(encoding, "contenders", lambda: {"MidiTok slow": counting, "parsing": lambda path: 0})
    done = []
    slow, parsing = encoding.run(files, on_progress=done.append)
    assert calls == [files[0], *files[:2], files[2], files[2]]
    assert done == [2, 1]
    assert slow["ids_per_file"] == 100
    assert slow["ms_per_file"] == pytest.approx(10, rel=0.3)
    assert slow["files_per_second"] == pytest.approx(1000 / slow["ms_per_file"])
    assert slow["ids_per_second"] == pytest.approx(100 * slow["files_per_second"])
    assert (slow["times_miditok"], parsing["times_miditok"]) == (1, None)


def test_a_file_that_one_fails_on_is_left_out_for_all(files, monkeypatch):
    def fails_on(bad, seconds):
        def contender(path):
            if path in bad:
                raise RuntimeError("of its own kind")
            until = time.process_time() + seconds
            while time.process_time() < until:
                pass
            return 10 * (1 + files.index(path))

        return contender

    two = {"MidiTok": fails_on(files[1:2], 0.002), "ours": fails_on([], 0.002)}
    monkeypatch.setattr(encoding, "contenders", lambda: two)
    rows = encoding.run(files)
    assert [row["failed"] for row in rows] == [1, 0]
    assert [row["ids_per_file"] for row in rows] == [20, 20]  # of the first and the third: 10 and 30
    two["ours"] = fails_on(files[::2], 0.0)
    with pytest.raises(ConfigError, match=r"none of 3 files .* \(MidiTok fails on 1, ours fails on 2\)"):
        encoding.run(files)


def test_every_contender_reads_the_same_files(files):
    pytest.importorskip("miditok")
    rows = {row["name"]: row for row in encoding.run(files)}
    assert set(rows) == set(encoding.contenders())
    for name, row in rows.items():
        assert row["ms_per_file"] > 0
        assert (row["ids_per_file"] == 0) == name.endswith("parsing alone")
    ratios = [row["times_miditok"] for name, row in rows.items() if name.startswith("MidiTok")]
    assert max(ratios) == 1


def test_a_missing_peer_is_one_line(monkeypatch):
    whole = importlib.import_module

    def without(name):
        if name == "miditok":
            raise ImportError(name)
        return whole(name)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ConfigError, match=r"^miditok: not installed; pip install 'lstmusic\[bench\]'$"):
        encoding.contenders()


def test_the_machine_is_described():
    found = machine.describe(("numpy", "no-such-package"))
    assert found["cores"] >= 1
    assert found["cpu"]
    assert found["python"].startswith("3.")
    assert found["packages"]["numpy"][0].isdigit()
    assert found["packages"]["no-such-package"] is None
