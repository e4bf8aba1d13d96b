"""A folder becomes a corpus: a verdict for every file, kept on disk, whole or not at all."""

import csv

import numpy as np
import pytest

from lstmusic.corpus import shards, sources, store
from lstmusic.corpus.pieces import Source
from lstmusic.errors import EmptyCorpusError, OutputError
from lstmusic.score import midi


@pytest.fixture
def mixed_folder(midi_folder):
    """Three good files and four that are not."""
    folder = midi_folder(3)
    whole = (folder / "song 1.mid").read_bytes()
    (folder / "page.mid").write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>")
    (folder / "torn.mid").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mid").write_bytes(b"")
    (folder / "silent.MID").write_bytes(b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0")
    (folder / "cover.jpg").write_bytes(b"no music")
    return folder


def folder_source(folder):
    """The pieces of a folder."""
    return sources.folder(folder, folder.parent / "cache")


def prepared(source, tmp_path, encoding="chorale", **options):
    """A corpus in a cache below tmp_path."""
    return store.prepare(source, encoding, options, cache=tmp_path / "cache", jobs=1)


def test_every_file_has_a_verdict_and_a_reason(mixed_folder, tmp_path):
    done = []
    corpus = store.prepare(
        folder_source(mixed_folder), "chorale", {}, cache=tmp_path / "cache", jobs=1, on_progress=done.append
    )
    assert [piece.name for piece in corpus.pieces] == ["inner/song 0.mid", "song 1.mid", "song 2.mid"]
    assert sum(done) == 7
    reasons = dict(corpus.manifest["skipped"])
    assert sorted(reasons) == ["empty.mid", "page.mid", "silent.MID", "torn.mid"]
    assert all("expected" in reason for reason in reasons.values()), reasons
    assert "no notes" in reasons["silent.MID"]
    rows = {row["file"]: row for row in csv.DictReader((corpus.folder / "files.csv").open(newline=""))}
    assert len(rows) == 7
    assert {name for name, row in rows.items() if row["verdict"] == "skipped"} == set(reasons)
    assert all(rows[name]["reason"] == reason for name, reason in reasons.items())
    good = rows["song 1.mid"]
    assert (good["verdict"], good["reason"], good["notes"], good["seconds"]) == ("used", "", "32", "4.00")


def test_ids_come_back_as_they_were_encoded(midi_folder, tmp_path, codec, phrase):
    corpus = prepared(folder_source(midi_folder(3)), tmp_path, codec.name, **codec.options)
    assert corpus.codec.options == codec.options
    for k, piece in enumerate(corpus.pieces):
        assert f"song {k}" in piece.name
        expected = codec.encode(phrase(seed=k))
        assert corpus.ids(k).tolist() == expected.tolist()
        assert piece.length == len(expected)
        assert piece.notes == codec.num_notes(expected)
    assert isinstance(corpus.ids(0), np.memmap)


def test_an_empty_corpus_is_an_error_that_lists_reasons(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for k in range(7):
        (folder / f"page {k}.mid").write_text("<html>")
    with pytest.raises(EmptyCorpusError) as error:
        prepared(folder_source(folder), tmp_path)
    message = str(error.value)
    assert message.startswith("no usable piece among 7 files: page 0.mid: ")
    assert message.count("page ") >= 5
    assert message.endswith("; and 2 more")
    assert "\n" not in message
    assert list((tmp_path / "cache").glob("[!.]*")) == []


def test_the_second_time_nothing_is_read(midi_folder, tmp_path, monkeypatch):
    source = folder_source(midi_folder(3))
    first = prepared(source, tmp_path)
    monkeypatch.setattr(shards, "make", lambda *args, **options: pytest.fail("read again"))
    again = prepared(source, tmp_path)
    assert again.folder == first.folder
    assert again.ids(2).tolist() == first.ids(2).tolist()


def test_other_bytes_or_another_encoding_are_another_corpus(midi_folder, tmp_path, phrase):
    folder = midi_folder(3)
    first = prepared(folder_source(folder), tmp_path)
    canonical = prepared(folder_source(folder), tmp_path, strikes=False)
    midi.write(phrase(seed=9), folder / "song 1.mid")
    changed = prepared(folder_source(folder), tmp_path)
    assert len({first.folder, canonical.folder, changed.folder}) == 3
    assert changed.ids(1).tolist() != first.ids(1).tolist()


def test_a_torn_cache_is_made_anew(midi_folder, tmp_path):
    source = folder_source(midi_folder(3))
    corpus = prepared(source, tmp_path)
    before = corpus.manifest
    (corpus.folder / "manifest.json").unlink()
    assert prepared(source, tmp_path).manifest == before
    assert [path.name for path in (tmp_path / "cache").glob("[!.]*")] == [corpus.folder.name]


def test_a_cache_that_cannot_be_written_is_an_output_error(midi_folder, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        prepared(folder_source(midi_folder(1)), tmp_path)


def test_losses_are_counted_by_reason(tmp_path, score_of):
    folder = tmp_path / "music"
    folder.mkdir()
    for k in range(2):
        rows = [(480 * t, 480, pitch, 80, 0) for t in range(8) for pitch in (60 + k * t, 110)]
        midi.write(score_of(rows), folder / f"{k}.mid")
    corpus = prepared(folder_source(folder), tmp_path)
    assert corpus.manifest["losses"] == {"notes out of range left out": 16}


def test_splits_are_seeded_and_copies_stay_together(tmp_path, phrase):
    folder = tmp_path / "music"
    folder.mkdir()
    for k in range(10):
        score = phrase(seed=k)
        for shift in (0, 2):
            score.notes["pitch"] += shift
            midi.write(score, folder / f"{k} up {shift}.mid")
    source = folder_source(folder)
    corpus = prepared(source, tmp_path)
    names = corpus.piece_names()
    assert {split: len(pieces) for split, pieces in names.items()} == {"train": 16, "valid": 2, "test": 2}
    for pieces in names.values():
        assert all(name.replace("up 0", "up 2") in pieces for name in pieces)
    again = store.Corpus(corpus.folder, seed=0)
    assert again.piece_names() == names
    assert any(store.Corpus(corpus.folder, seed=seed).piece_names() != names for seed in range(1, 5))
    counts = corpus.counts()
    assert sum(row["notes"] for row in counts.values()) == sum(piece.notes for piece in corpus.pieces)


def test_a_data_set_keeps_its_own_split(midi_folder, tmp_path):
    refs = folder_source(midi_folder(3)).pieces
    own = [ref._replace(split=split) for ref, split in zip(refs, ("test", "train", "valid"), strict=True)]
    corpus = prepared(Source(own, "fingerprint"), tmp_path)
    assert corpus.splits == ["test", "train", "valid"]


def test_lanes_of_a_split_read_the_pieces_of_that_split(tmp_path, midi_folder):
    corpus = prepared(folder_source(midi_folder(6)), tmp_path)
    for name in sources.SPLITS:
        lanes = corpus.lanes(name, num_lanes=2, window_steps=64)
        windows = [lanes.window(0, k) for k in range(lanes.num_windows(0))]
        weight = sum(float(window.weight.sum()) for window in windows)
        assert weight == sum(corpus.pieces[i].length - corpus.codec.group_size for i in corpus.indices(name)) > 0
