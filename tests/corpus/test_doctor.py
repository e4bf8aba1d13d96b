"""Planted trouble: each piece has its verdict and its reason, the rest is used."""

import csv
import os

import mido
import numpy as np
import pytest

from lstmusic.corpus import doctor, sources, store
from lstmusic.corpus.doctor import Examiner
from lstmusic.corpus.pieces import PieceRef
from lstmusic.schema import FiltersConfig, LimitsConfig
from lstmusic.score import midi
from lstmusic.score.score import Track

# What a fresh Python runs before all else: a reader with every fault, told by a text in the file
BAD_READER = """
import ctypes, os, time
from lstmusic.score import midi_events

whole = midi_events.parse

def parse(data, *args):
    if b"planted: crash" in data:
        ctypes.string_at(0)
    if b"planted: abort" in data:
        os.abort()
    if b"planted: sleep" in data:
        time.sleep(600)
    if b"planted: memory" in data:
        bytearray(2**30)
    if b"planted: fault" in data:
        raise LookupError("a fault of its own")
    return whole(data, *args)

midi_events.parse = parse
"""
PLANTED = {
    "abort.mid": "the parser died (SIGABRT)",
    "crash.mid": "the parser died (SIGSEGV)",
    "fault.mid": "LookupError: a fault of its own",
    "memory.mid": "needed more than 512 MB (limits.memory_mb)",
    "sleep.mid": "took longer than 2 s (limits.seconds)",
}


@pytest.fixture
def bad_reader(tmp_path, monkeypatch):
    """Whoever starts a Python from here on gets a MIDI reader with every fault."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BAD_READER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


def with_text(score, text):
    """The same score, saying something."""
    return type(score)(score.notes, score.tracks, score.tempi, texts=((0, text),))


def rows_of(corpus):
    """The lines of files.csv by file."""
    with open(corpus.folder / "files.csv", newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def plant_files(folder, phrase):
    """Everything that people have called x.mid; the names of those that hold music."""
    good = {"a song.mid", "🎹 \N{SNOWMAN}.mid", "bad \udcff.mid"}
    for seed, name in enumerate(sorted(good)):
        midi.write(phrase(seed=seed), folder / "new.mid")
        os.rename(folder / "new.mid", folder / name)
    for name in PLANTED:
        midi.write(with_text(phrase(seed=9), f"planted: {name.removesuffix('.mid')}"), folder / name)
    (folder / "page.mid").write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>")
    (folder / "empty.mid").write_bytes(b"")
    (folder / "folder.mid").mkdir()
    os.symlink(folder / "loop.mid", folder / "loop.mid")
    os.symlink(folder, folder / "round and round")
    os.mkfifo(folder / "pipe.mid")
    far = mido.MidiFile(folder / "a song.mid")
    far.tracks[1].insert(-1, mido.Message("note_on", note=60, velocity=9, time=2**28 - 1))
    far.tracks[1].insert(-1, mido.Message("note_off", note=60, time=2**28 - 1))
    far.save(folder / "far note.mid")
    return good


def test_planted_trouble_is_named_and_the_rest_is_used(tmp_path, phrase, bad_reader):
    folder = tmp_path / "music"
    folder.mkdir()
    plant_files(folder, phrase)
    source = sources.folder(folder, tmp_path / "cache")
    limits = LimitsConfig(seconds=2, memory_mb=512)
    corpus = store.prepare(source, "performance", {}, cache=tmp_path / "cache", limits=limits, jobs=1)
    rows = rows_of(corpus)
    used = {name for name, row in rows.items() if row["verdict"] != "skipped"}
    assert used == {"a song.mid", "🎹 \N{SNOWMAN}.mid", r"bad \xff.mid"}
    assert used == {piece.name for piece in corpus.pieces}
    assert {name: rows[name]["reason"] for name in PLANTED} == PLANTED
    others = {"page.mid", "empty.mid", "folder.mid", "loop.mid", "pipe.mid", "far note.mid"}
    assert others < set(rows)
    assert all(rows[name]["reason"] for name in others)
    assert "expected at most" in rows["far note.mid"]["reason"]
    assert not any(str(tmp_path) in row["reason"] for row in rows.values())


def test_a_tempo_far_behind_the_last_note_is_cut_and_the_piece_is_repaired(tmp_path, phrase):
    folder = tmp_path / "music"
    folder.mkdir()
    midi.write(phrase(), folder / "far.mid")
    file = mido.MidiFile(folder / "far.mid")
    file.tracks[0].insert(-1, mido.MetaMessage("set_tempo", tempo=400_000, time=2**28 - 1))
    file.save(folder / "far.mid")
    source = sources.folder(folder, tmp_path / "cache")
    corpus = store.prepare(source, "performance", {}, cache=tmp_path / "cache", jobs=1)
    row = rows_of(corpus)["far.mid"]
    assert (row["verdict"], row["seconds"]) == ("repaired", "4.00")
    assert row["repairs"].endswith(": 1")
    assert corpus.manifest["repaired"] == corpus.manifest["used"] == 1


def examined(tmp_path, score, **filters):
    """The verdict on one score."""
    midi.write(score, tmp_path / "piece.mid")
    examiner = Examiner("performance", {}, FiltersConfig(**filters))
    return examiner(PieceRef("piece.mid", "midi", str(tmp_path / "piece.mid")))


def test_the_row_of_a_piece_says_what_it_holds(tmp_path, phrase):
    row, ids, sketch = examined(tmp_path, phrase())
    assert (row.name, row.reason, row.notes, row.seconds, row.tracks) == ("piece.mid", "", 32, 4.0, 4)
    assert row.tokens == len(ids)
    assert (row.fidelity.lost, row.fidelity.added) == (0, 0)
    assert sketch.dtype == np.uint32


def test_a_reader_that_fails_in_its_own_way_is_a_reason():
    row, ids, _ = Examiner("chorale", {}, FiltersConfig())(PieceRef("odd", "jsb16", os.devnull, "train", 0))
    assert row.reason.startswith("JSONDecodeError: ")
    assert (ids, row.own_split) == (None, "train")


def test_want_of_memory_is_no_verdict_of_the_examiner(monkeypatch):
    def hoard(ref, remarks):
        try:
            raise MemoryError
        except MemoryError as error:
            raise ValueError("torn") from error

    monkeypatch.setattr(doctor, "read_piece", hoard)
    with pytest.raises(MemoryError):
        Examiner("chorale", {}, FiltersConfig())(PieceRef("large.mid", "midi", "large.mid"))


def test_the_digest_knows_notes_and_tempo_but_no_resolution_and_no_order_of_tracks(score_of):
    rows = [(0, 480, 60, 80, 0), (480, 240, 64, 90, 1)]
    tracks = (Track(0), Track(40))
    first = doctor.digest(score_of(rows, tracks=tracks).canonical())
    halved = [(onset // 2, duration // 2, *rest) for onset, duration, *rest in rows]
    assert doctor.digest(score_of(halved, tracks=tracks, ticks_per_quarter=240).canonical()) == first
    swapped = [(*rest, 1 - track) for *rest, track in rows]
    assert doctor.digest(score_of(swapped, tracks=tracks[::-1]).canonical()) == first
    for other in (
        score_of(rows, tracks=tracks[::-1]),
        score_of(rows, tracks=tracks, qpm=121),
        score_of(rows, tracks=tracks, ticks_per_quarter=960),
        score_of(rows, tracks=(Track(0), Track(40, True))),
        score_of([(0, 480, 60, 81, 0), rows[1]], tracks=tracks),
        score_of(rows[:1], tracks=tracks[:1]),
    ):
        assert doctor.digest(other.canonical()) != first
