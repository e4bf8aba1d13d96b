"""table=leak, table=copies and table=fidelity: what is counted."""

import numpy as np
import pytest

from lstmusic.benchmarks import copies, fidelity, leak
from lstmusic.corpus import families
from lstmusic.score import midi
from lstmusic.score.score import NOTE_DTYPE, Score, Track, table


def tune(seed, length=80):
    """A random melody of 8ths and quarters, with the root of a chord every half note on a second track."""
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([240, 240, 480], length))
    pitch = 60 + rng.integers(0, 24, length)
    beats = np.arange(0, onset[-1], 960)
    melody = table(NOTE_DTYPE, onset, 240, pitch, 80, 0)
    roots = table(NOTE_DTYPE, beats, 960, 36 + rng.integers(0, 12, len(beats)), 80, 1)
    return Score(np.sort(np.concatenate([melody, roots]), order=["onset_tick", "track"]), (Track(), Track()))


@pytest.fixture
def files(tmp_path):
    """Twenty pieces: ten tunes, each there a second time a tone higher."""
    paths = []
    for k in range(20):
        score = tune(k // 2)
        score.notes["pitch"] += 2 * (k % 2)
        paths.append(tmp_path / f"{k:02d}.mid")
        midi.write(score, paths[-1])
    return paths


def test_families_do_not_leak_what_a_random_split_does(files):
    at_random, by_families = leak.run(files)
    assert (at_random["name"], by_families["name"]) == ("random", "families")
    # of two validation pieces and their copies nearly all copies are drawn for training
    assert at_random["run_24"] >= 0.5 and at_random["max_24"] == 1
    assert by_families["run_24"] == by_families["max_24"] == 0


def test_shared_runs_by_hand():
    first = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9], np.int8)
    pieces = [[first], [first[1:], first[:3]], [first[:7]], [np.ones(30, np.int8)]]
    runs = leak.shared_runs(pieces, 8)
    by_run = {number: sorted(runs.piece[runs.run == number].tolist()) for number in set(runs.run.tolist())}
    assert sorted(by_run.values()) == [[0], [0, 1]]


def test_leak_by_hand():
    runs = leak.Runs(np.array([0, 1, 1, 2, 3]), np.array([0, 0, 1, 1, 2]))
    for splits, share in (
        (["train", "valid", "valid", "valid"], 1 / 3),
        (["valid", "train", "valid", "train"], 1),
        (["valid", "valid", "valid", "train"], 0),
        (["test", "valid", "test", "train"], 0),
        (["train"] * 4, 0),
    ):
        assert leak.leak(runs, np.array(splits)) == pytest.approx(share)


def test_copies_are_found(files):
    rows = copies.run(files[::2])
    assert [row["name"] for row in rows] == list(copies.CHANGES)
    assert all(row["pieces"] == 10 and row["found"] >= 0.9 for row in rows)


def test_a_copy_that_is_another_tune_is_not_found(files, monkeypatch):
    """The figure can be low."""
    monkeypatch.setattr(copies, "CHANGES", {"another": lambda score, rng: tune(100)})
    (row,) = copies.run(files[:2])
    assert row["found"] == 0


@pytest.mark.parametrize("name", sorted(set(copies.CHANGES) - {"other instruments", "pedal folded into durations"}))
def test_a_change_changes(name):
    score = tune(0)
    changed = copies.CHANGES[name](score, np.random.default_rng(0))
    assert len(changed.notes) != len(score.notes) or (changed.notes != score.notes).any()
    assert families.lines(changed)


def test_fidelity_of_every_encoding(files):
    rows = {row["name"]: row for row in fidelity.run(files[:4])}
    assert list(rows) == list(fidelity.ENCODINGS)
    assert all(
        row["pieces"] == 4 and row["notes"] == sum(len(tune(k // 2).notes) for k in range(4)) for row in rows.values()
    )
    assert rows["metrical"]["lost"] == rows["metrical"]["max_onset_ms"] == 0
    assert rows["performance"]["max_onset_ms"] <= 10
    assert rows["melody"]["lost"] > 0.1
