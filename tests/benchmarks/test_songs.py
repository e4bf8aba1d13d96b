"""table=songs: songs are written the same in any number of processes, and counted as by hand."""

from functools import partial

import numpy as np
import pytest

from lstmusic.benchmarks import song_writing, songs
from lstmusic.corpus import parallel
from lstmusic.music_model import load
from lstmusic.sampling.settings import Repetition
from lstmusic.writing import Song

BRIEF = {"length_bars": 1.0, "cadence": False}


@pytest.fixture
def one_process(monkeypatch):
    """Work stays in this process."""
    monkeypatch.setattr(song_writing.parallel, "run", lambda function, items, *where, **jobs: map(function, items))


def same(one: list[Song], other: list[Song]) -> bool:
    return [song.ids.tolist() for song in one] == [song.ids.tolist() for song in other]


def test_songs_are_the_first_16_of_each_seed(tiny_checkpoint, one_process):
    checkpoint = tiny_checkpoint("chorale")
    written = song_writing.write(checkpoint, 19, **BRIEF)
    model = load(checkpoint)
    assert same(written.songs, model.generate(16, seed=0, **BRIEF) + model.generate(3, seed=1, **BRIEF))
    assert written.seconds > 0
    ids = sum(len(song.ids) - model.codec.group_size for song in written.songs)  # the BOS group is not drawn
    assert written.ids_per_second == pytest.approx(ids / written.seconds)


def test_songs_of_a_later_seed(tiny_checkpoint, one_process, monkeypatch):
    monkeypatch.setattr(song_writing, "TOGETHER", 1)
    checkpoint = tiny_checkpoint("chorale")
    written = song_writing.write(checkpoint, 2, seed=7, **BRIEF)
    model = load(checkpoint)
    assert same(written.songs, model.generate(1, seed=7, **BRIEF) + model.generate(1, seed=8, **BRIEF))


def test_results_in_any_order_are_put_in_order(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(song_writing, "TOGETHER", 1)
    monkeypatch.setattr(parallel, "run", lambda function, items, *where, **jobs: map(function, items[::-1]))
    written = song_writing.write(tiny_checkpoint("melody"), 3, **BRIEF)
    assert [song.report["seed"] for song in written.songs] == [0, 1, 2]


def test_processes_write_the_same_songs(tiny_checkpoint, monkeypatch):
    checkpoint = tiny_checkpoint("melody")
    monkeypatch.setattr(song_writing, "TOGETHER", 1)
    apart = song_writing.write(checkpoint, 2, **BRIEF)
    monkeypatch.setattr(parallel, "_on_this_machine", lambda function, items, jobs: map(function, items))
    assert same(apart.songs, song_writing.write(checkpoint, 2, **BRIEF).songs)


@pytest.mark.parametrize(
    ("name", "expected"), [("chorale", {"length_bars": 8}), ("performance", {"length_seconds": 16})]
)
def test_length(name, expected, tiny_checkpoint):
    assert song_writing.length(load(tiny_checkpoint(name)).codec, 8) == expected


def test_nats_per_token_are_those_of_the_model(tiny_checkpoint):
    model = load(tiny_checkpoint("melody"))
    written = model.generate(3, seed=4, length_bars=4, cadence=False, temperature=1.5)
    judged = [model.nll(song.score) for song in written]
    of = partial(song_writing.nats_per_token, model.codec, written)
    assert of() == pytest.approx(np.concatenate(judged).mean(), abs=1e-4)  # summed, divided once
    assert min(of(0, 2), of(2, 4)) < of() < max(of(0, 2), of(2, 4))
    assert of(4, 8) != of(4, 8)  # nothing is there: not a number


def song(score, *, illegal=0, attempt=0, loops=0.0) -> Song:
    report = {"illegal": illegal, "attempt": attempt, "loops": loops}
    return Song(score, np.zeros(6, int), not illegal, report, nats=np.zeros(4))


def test_what_is_counted(phrase, score_of, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(songs, "nats_per_token", lambda codec, written: 1.25)
    repeated = score_of([(480 * k, 480, 60, 80, 0) for k in range(8)])  # its second bar is its first
    written = [song(phrase()), song(phrase(), illegal=2), song(phrase(), attempt=1), song(repeated, loops=0.5)]
    assert songs.measured(None, song_writing.Written(written, seconds=0.5)) == {
        "songs": 4,
        "ids": 16,
        "illegal_ids": 2,
        "without_notes": 1,
        "with_loops": 0.25,
        "repeated_bars": 0.125,
        "nats_per_token": 1.25,
        "ids_per_second": 32,
    }


def test_rows_and_their_summary(tiny_checkpoint, monkeypatch):
    asked, notes = [], []
    real = song_writing.write

    def write(checkpoint, count, **how):
        asked.append((how["temperature"], how["repetition"], how["cadence"], how["length_bars"]))
        return real(checkpoint, count, **{**how, "length_bars": 1})

    monkeypatch.setattr(songs, "write", write)
    checkpoint = tiny_checkpoint("melody")
    rows = list(songs.rows(note=notes.append, models=[checkpoint], songs=2, temperatures=(0.7, 1.3)))
    loops = [Repetition(break_loops=False), Repetition(break_loops=True)]
    assert asked == [(t, repetition, False, 8) for t in (0.7, 1.3) for repetition in loops]
    assert [(row["temperature"], row["break_loops"]) for row in rows] == [
        *((0.7, False), (0.7, True)),
        *((1.3, False), (1.3, True)),
    ]
    assert all(row["songs"] == 2 and row["illegal_ids"] == row["without_notes"] == 0 for row in rows)
    assert notes[0] == f"{checkpoint}, temperature 0.7, loops left"
    rows[0]["with_loops"], rows[1]["with_loops"] = 0.5, 0.0
    cold, hot = songs.summary(rows)
    assert (cold["temperature"], hot["temperature"]) == (0.7, 1.3)
    assert cold["model"] == f"{checkpoint} (melody)"
    assert (cold["songs"], cold["illegal_ids"], cold["with loops"]) == (4, 0, "50.0% → 0.0%")
