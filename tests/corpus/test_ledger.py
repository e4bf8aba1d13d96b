"""The last pass: copies and relatives are found over all shards, and every file has its line."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from lstmusic.corpus import ledger, sources, store
from lstmusic.schema import FiltersConfig
from lstmusic.score import midi


def tune(score_of, seed, *, up=0, qpm=120):
    """A melody of forty notes that is like no other seed's."""
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([120, 240, 360, 480], 40))
    pitch = 60 + up + rng.integers(-12, 13, 40)
    return score_of([(int(t), 120, int(p), 80, 0) for t, p in zip(onset, pitch, strict=True)], qpm=qpm)


@pytest.fixture
def music(tmp_path, score_of):
    """Twenty tunes in two shards; copies of the first: exact, transposed and faster."""
    folder = tmp_path / "music"
    folder.mkdir()
    for seed in range(20):
        midi.write(tune(score_of, seed), folder / f"{seed:02d}.mid")
    midi.write(tune(score_of, 0), folder / "20 same.mid")
    midi.write(tune(score_of, 0, up=3), folder / "21 higher.mid")
    midi.write(tune(score_of, 0, qpm=150), folder / "22 faster.mid")
    (folder / "23.mid").write_bytes(b"")
    return folder


def prepared(folder, tmp_path, **filters):
    """The corpus of a folder, and its files.csv by file."""
    source = sources.folder(folder, tmp_path / "cache")
    cache = tmp_path / "cache"
    corpus = store.prepare(source, "performance", {}, cache=cache, filters=FiltersConfig(**filters), jobs=1)
    with open(corpus.folder / "files.csv", newline="", encoding="utf-8") as file:
        return corpus, {row["file"]: row for row in csv.DictReader(file)}


def test_of_exact_copies_the_first_is_used_and_near_ones_stay_in_its_family(music, tmp_path):
    corpus, rows = prepared(music, tmp_path)
    assert (corpus.manifest["shards"], corpus.manifest["files"], corpus.manifest["used"]) == (2, 24, 22)
    assert corpus.manifest["families"] == 20
    same, higher, faster = (rows[name] for name in ("20 same.mid", "21 higher.mid", "22 faster.mid"))
    assert (same["verdict"], same["reason"], same["duplicate_of"]) == (
        "skipped",
        "exact duplicate of 00.mid",
        "00.mid",
    )
    assert higher["verdict"] == faster["verdict"] == "used"
    assert higher["reason"] == "near-duplicate of 00.mid"
    assert faster["reason"].startswith("near-duplicate of ")
    assert {row["family"] for row in (same, higher, faster, rows["00.mid"])} == {"00.mid"}
    assert (rows["01.mid"]["family"], rows["01.mid"]["duplicate_of"], rows["01.mid"]["reason"]) == ("01.mid", "", "")
    first, *_, third, fourth = corpus.pieces
    assert (first.family, third.family, fourth.family) == (0, 0, 0)
    assert [piece.name for piece in corpus.pieces][-2:] == ["21 higher.mid", "22 faster.mid"]
    assert len({corpus.splits[i] for i in (0, 20, 21)}) == 1
    assert corpus.manifest["skipped"] == [[name, rows[name]["reason"]] for name in ("20 same.mid", "23.mid")]


def test_copies_are_kept_where_the_filters_say_so(music, tmp_path):
    corpus, rows = prepared(music, tmp_path, duplicates=True)
    assert rows["20 same.mid"]["verdict"] == "used"
    assert rows["20 same.mid"]["reason"] == "exact duplicate of 00.mid"
    assert corpus.manifest["used"] == 23
    assert corpus.ids(20).tolist() == corpus.ids(0).tolist()


def test_a_data_set_with_its_own_split_keeps_its_copies(music, tmp_path):
    source = sources.folder(music, tmp_path / "cache")
    own = [ref._replace(split="test" if ref.name == "20 same.mid" else "train") for ref in source.pieces]
    corpus = store.prepare(source._replace(pieces=own), "performance", {}, cache=tmp_path / "own", jobs=1)
    assert {name: row["pieces"] for name, row in corpus.counts().items()} == {"train": 22, "valid": 0, "test": 1}
    assert "20 same.mid,used,exact duplicate of 00.mid" in (corpus.folder / "files.csv").read_text()


def test_relatives_are_left_out_where_the_filters_say_so(music, tmp_path):
    corpus, rows = prepared(music, tmp_path, near_duplicates=False)
    assert [rows[name]["verdict"] for name in ("21 higher.mid", "22 faster.mid")] == ["skipped", "skipped"]
    assert [piece.name for piece in corpus.pieces] == [f"{seed:02d}.mid" for seed in range(20)]
    assert [piece.family for piece in corpus.pieces] == list(range(20))


def test_every_file_has_a_line_of_figures(music, tmp_path):
    corpus, rows = prepared(music, tmp_path)
    assert tuple(rows["00.mid"]) == ledger.COLUMNS
    assert ledger.COLUMNS[:6] == ("file", "verdict", "reason", "notes", "tokens", "seconds")
    for k, piece in enumerate(corpus.pieces):
        row = rows[piece.name]
        assert (
            (int(row["notes"]), int(row["tokens"])) == (piece.notes, piece.length) == (piece.notes, len(corpus.ids(k)))
        )
        assert (row["tracks"], row["lost_notes"]) == ("1", "0")
        assert 0 <= float(row["onset_error_ms_mean"]) <= float(row["onset_error_ms_max"]) <= 10
    assert corpus.manifest["fidelity"]["notes"] == sum(piece.notes for piece in corpus.pieces)
    empty = rows["23.mid"]
    assert (empty["verdict"], empty["tokens"], empty["family"]) == ("skipped", "0", "")


def test_repairs_are_named_and_counted(music, tmp_path, score_of):
    score = tune(score_of, 50)
    midi.write(replace(score, tracks=(replace(score.tracks[0], name="drums"),)), tmp_path / "drums.mid")
    both = midi.read(tmp_path / "drums.mid")
    notes = np.concatenate([both.notes, both.notes])
    notes["track"][: len(both.notes)] = 1
    tracks = (*both.tracks, replace(both.tracks[0], name="lead"))
    midi.write(replace(both, notes=notes, tracks=tracks), music / "24.mid")
    corpus, rows = prepared(music, tmp_path)
    assert (rows["24.mid"]["verdict"], rows["24.mid"]["repairs"]) == (
        "repaired",
        "tracks named drums taken as drums: 1",
    )
    assert corpus.manifest["repairs"] == {"tracks named drums taken as drums": 1}
    assert corpus.manifest["repaired"] == 1


def test_the_hash_of_a_corpus_is_that_of_its_content(music, tmp_path):
    first, _ = prepared(music, tmp_path)
    again, _ = prepared(music, tmp_path / "elsewhere")
    assert again.manifest == first.manifest
    (music / "00.mid").rename(music / "other.mid")
    assert prepared(music, tmp_path)[0].manifest["sha256"] != first.manifest["sha256"]
