"""Where pieces come from: a folder, a data set found or downloaded once, music21's chorales."""

import functools
import hashlib
import http.server
import json
import threading

import numpy as np
import pytest

from lstmusic.corpus import sources
from lstmusic.corpus.sources import PieceRef
from lstmusic.errors import ConfigError, DownloadError, EmptyCorpusError, MissingFileError, ReadError
from lstmusic.events import codec as codecs

TINY = {
    "train": [[[72, 67, 60, 48]] * 4 + [[74, -1, 60, 48]] * 4, [[60, 55, 52, 36]] * 8],
    "valid": [[[70, 65, 58, 46]] * 8],
    "test": [[[71, 66, 59, 47]] * 8],
}
NAME = "Jsb16thSeparated.json"


@pytest.fixture
def tiny_jsb(tmp_path):
    """A data set of four pieces: its folder, its bytes' sha256."""
    folder = tmp_path / "sets" / "jsb16"
    folder.mkdir(parents=True)
    (folder / NAME).write_text(json.dumps(TINY))
    return folder, hashlib.sha256((folder / NAME).read_bytes()).hexdigest()


@pytest.fixture
def served(tiny_jsb):
    """A local web server over the data set: its address, and the requests it has seen."""
    seen = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            seen.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=tiny_jsb[0]))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/{NAME}", seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_folder_gives_its_music_files_in_order(midi_folder):
    folder = midi_folder(3)
    (folder / "tune.abc").write_text("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n")
    (folder / "notes.txt").write_text("no music")
    source = sources.folder(folder)
    assert [(ref.name, ref.kind) for ref in source.pieces] == [
        ("inner/song 0.mid", "midi"),
        ("song 1.mid", "midi"),
        ("song 2.mid", "midi"),
        ("tune.abc", "notation"),
    ]
    assert [len(sources.read_piece(ref).notes) for ref in source.pieces] == [32, 32, 32, 4]


def test_the_fingerprint_follows_names_and_bytes(midi_folder):
    folder = midi_folder(2)
    first = sources.folder(folder).fingerprint
    assert sources.folder(folder).fingerprint == first
    (folder / "song 1.mid").rename(folder / "song 7.mid")
    renamed = sources.folder(folder).fingerprint
    (folder / "song 7.mid").write_bytes(b"other")
    assert len({first, renamed, sources.folder(folder).fingerprint}) == 3


def test_a_midi_file_cut_anywhere_is_torn(midi_folder):
    file = midi_folder(1) / "inner" / "song 0.mid"
    whole = file.read_bytes()
    for stop in range(20, len(whole), 3):
        file.write_bytes(whole[:stop])
        with pytest.raises(ReadError):
            sources.read_piece(PieceRef("", "midi", str(file)))


def test_a_folder_that_is_missing_or_holds_no_music_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"data\.path=.*nowhere: no such folder"):
        sources.folder(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no music")
    with pytest.raises(EmptyCorpusError, match=r"data\.path=.*: no file ends in \.mid, \.midi, \.mxl"):
        sources.folder(tmp_path)


def test_find_names_its_choices(tmp_path):
    nothing = {"path": None, "url": "", "sha256": "", "downloads": tmp_path}
    with pytest.raises(ConfigError, match="data=maestro: expected one of bach, jsb16, folder"):
        sources.find("maestro", **nothing)
    with pytest.raises(ConfigError, match=r"data\.path: missing, expected a folder"):
        sources.find("folder", **nothing)


def test_jsb16_is_read_from_the_data_folder(tiny_jsb, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMUSIC_DATA_DIR", str(tmp_path / "sets"))
    source = sources.jsb16(f"http://nowhere.invalid/{NAME}", tiny_jsb[1], tmp_path / "downloads")
    assert [ref.name for ref in source.pieces] == ["train-000", "train-001", "valid-000", "test-000"]
    assert [ref.split for ref in source.pieces] == ["train", "train", "valid", "test"]
    assert source.fingerprint == tiny_jsb[1]
    notes = sources.read_piece(source.pieces[0]).notes
    rows = [(n["track"], n["pitch"], n["onset_tick"] // 120, n["duration_tick"] // 120) for n in notes]
    assert rows == [(0, 72, 0, 4), (1, 67, 0, 4), (2, 60, 0, 8), (3, 48, 0, 8), (0, 74, 4, 4)]
    assert not (tmp_path / "downloads").exists()


def test_a_wrong_checksum_of_a_local_file_is_an_error(tiny_jsb, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMUSIC_DATA_DIR", str(tmp_path / "sets"))
    with pytest.raises(DownloadError, match=f"{NAME}: sha256 {tiny_jsb[1][:12]}…, expected 000000000000…"):
        sources.jsb16(f"http://nowhere.invalid/{NAME}", "0" * 64, tmp_path / "downloads")


def test_a_data_set_is_downloaded_once(served, tiny_jsb, tmp_path, monkeypatch):
    monkeypatch.delenv("LSTMUSIC_DATA_DIR", raising=False)
    url, seen = served
    for _ in range(2):
        source = sources.jsb16(url, tiny_jsb[1], tmp_path / "downloads")
        assert len(source.pieces) == 4
        assert len(seen) == 1
    assert [path.name for path in (tmp_path / "downloads" / "jsb16").iterdir()] == [NAME]


def test_a_wrong_download_is_an_error_and_not_kept(served, tmp_path, monkeypatch):
    monkeypatch.delenv("LSTMUSIC_DATA_DIR", raising=False)
    with pytest.raises(DownloadError, match=r"data=jsb16: http://127.* could not be downloaded .*; or put it at"):
        sources.jsb16(served[0], "0" * 64, tmp_path / "downloads")
    assert list((tmp_path / "downloads" / "jsb16").iterdir()) == []


def test_no_server_is_a_download_error(tmp_path, monkeypatch):
    monkeypatch.delenv("LSTMUSIC_DATA_DIR", raising=False)
    with pytest.raises(DownloadError, match="could not be downloaded") as error:
        sources.jsb16("http://127.0.0.1:9/none.json", "0" * 64, tmp_path / "downloads")
    assert "\n" not in str(error.value)


def test_a_grid_and_its_encoding_are_the_same_music():
    codec = codecs.build("chorale", strikes=False)
    rng = np.random.default_rng(0)
    grid = np.repeat(rng.integers(48, 72, (30, 4)), 2, axis=0)
    grid[4:9, 2] = -1
    ids = codec.encode(sources.grid_score(grid))
    assert codec.scored(ids).sum() == grid.size
    back = np.zeros_like(grid)
    for note in codec.decode(ids).notes:
        start = note["onset_tick"] // 120
        back[start : start + note["duration_tick"] // 120, note["track"]] = note["pitch"]
    assert np.array_equal(back, np.maximum(grid, 0))


def test_a_grid_without_a_tempo_walks_at_that_of_a_chorale():
    assert sources.grid_score(np.full((4, 4), 60)).tempi["us_per_quarter"].tolist() == [750_000]


def test_every_chorale_of_music21_is_found():
    source = sources.bach()
    assert len(source.pieces) == 350
    assert len({ref.name for ref in source.pieces}) == 350
    assert sources.bach().fingerprint == source.fingerprint


@pytest.mark.parametrize(("work", "meter", "key", "pickup"), [("bach/bwv269", (3, 4), (7, False), 480)])
def test_a_chorale_of_music21_has_voices_meter_key_pickup_and_a_walking_tempo(work, meter, key, pickup):
    score = sources.read_piece(PieceRef(work, "music21", work))
    assert [track.name for track in score.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert score.meters.tolist() == [(0, *meter)]
    assert score.keys.tolist() == [(0, *key)]
    assert score.pickup_tick == pickup
    assert score.tempi.tolist() == [(0, 750_000)]


def test_a_work_that_is_there_twice_is_read_once():
    from lstmusic.corpus.sources import _music21_file

    assert _music21_file("bach/bwv245.3").name == "bwv245.3.mxl"  # not 245.37
    assert _music21_file("bach/bwv281").stem == "bwv281"
    assert len(sources.read_piece(PieceRef("bach/bwv281", "music21", "bach/bwv281")).tracks) == 4


def test_the_real_jsb16_file_encodes_without_loss(data_dir):
    """229 / 76 / 77 pieces; every token of the grid is one scored id."""
    file = data_dir / "jsb16" / NAME
    if not file.is_file():
        pytest.skip(f"{file.name} is not there")
    codec = codecs.build("chorale", strikes=False)
    grids = json.loads(file.read_text())
    assert {split: len(pieces) for split, pieces in grids.items()} == {"train": 229, "valid": 76, "test": 77}
    for k, grid in enumerate(grids["valid"]):
        ids = codec.encode(sources.read_piece(PieceRef("", "jsb16", str(file), "valid", k)))
        codec.grammar.check(ids)
        assert codec.scored(ids).sum() == np.size(grid)
