"""A data set's file is found, or downloaded once; a wrong checksum is an error that keeps nothing."""

import functools
import hashlib
import http.server
import threading

import pytest

from lstmusic.corpus.downloads import fetch
from lstmusic.errors import DownloadError
from lstmusic.schema import DataFile

DATA = b"a data set"
SHA256 = hashlib.sha256(DATA).hexdigest()
WRONG = "0" * 64


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A local web server over one file: its address, and the requests it has seen."""
    monkeypatch.delenv("LSTMUSIC_DATA_DIR", raising=False)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "set.zip").write_bytes(DATA)
    seen = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            seen.append(self.path)

    handler = functools.partial(Handler, directory=tmp_path / "web")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/set.zip", seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_downloaded_once(served, tmp_path):
    url, seen = served
    for _ in range(2):
        place, file = fetch("tiny", [DataFile("own.tar", WRONG), DataFile("set.zip", SHA256, url)], tmp_path / "down")
        assert (place.read_bytes(), file.name) == (DATA, "set.zip")
        assert seen == ["/set.zip"]
    assert [path.name for path in (tmp_path / "down" / "tiny").iterdir()] == ["set.zip"]


def test_a_download_shows_how_far_it_is(served, tmp_path, capsys):
    fetch("tiny", [DataFile("set.zip", SHA256, served[0])], tmp_path / "down")
    assert "100%" in capsys.readouterr().err


def test_the_data_folder_goes_first(served, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMUSIC_DATA_DIR", str(tmp_path / "sets"))
    (tmp_path / "sets" / "tiny").mkdir(parents=True)
    (tmp_path / "sets" / "tiny" / "own.tar").write_bytes(b"another packing")
    own = DataFile("own.tar", hashlib.sha256(b"another packing").hexdigest())
    place, file = fetch("tiny", [DataFile("set.zip", SHA256, served[0]), own], tmp_path / "down")
    assert (place, file) == (tmp_path / "sets" / "tiny" / "own.tar", own)
    assert not served[1]
    assert not (tmp_path / "down").exists()


def test_what_the_data_folder_lacks_is_downloaded(served, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMUSIC_DATA_DIR", str(tmp_path / "sets"))
    place, _ = fetch("tiny", [DataFile("set.zip", SHA256, served[0])], tmp_path / "down")
    assert place == tmp_path / "down" / "tiny" / "set.zip"


def test_a_wrong_checksum_in_the_data_folder_is_an_error(served, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMUSIC_DATA_DIR", str(tmp_path))
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "set.zip").write_bytes(b"torn")
    with pytest.raises(DownloadError, match=rf"set\.zip: sha256 [0-9a-f]{{12}}…, expected {SHA256[:12]}…"):
        fetch("tiny", [DataFile("set.zip", SHA256, served[0])], tmp_path / "down")
    assert not served[1]
    assert (tmp_path / "tiny" / "set.zip").read_bytes() == b"torn"  # it is not ours to delete


def test_a_wrong_download_is_an_error_and_not_kept(served, tmp_path):
    with pytest.raises(
        DownloadError, match=r"data=tiny: http://127.* could not be downloaded .*; or put it at"
    ) as error:
        fetch("tiny", [DataFile("set.zip", WRONG, served[0])], tmp_path / "down")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "down" / "tiny").iterdir()) == []


def test_a_download_that_was_damaged_later_is_fetched_again(served, tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "set.zip").write_bytes(b"torn")
    place, _ = fetch("tiny", [DataFile("set.zip", SHA256, served[0])], tmp_path)
    assert place.read_bytes() == DATA


def test_no_server_is_a_download_error(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMUSIC_DATA_DIR", str(tmp_path / "sets"))
    with pytest.raises(DownloadError, match="could not be downloaded") as error:
        fetch("tiny", [DataFile("none.json", WRONG, "http://127.0.0.1:9/none.json")], tmp_path / "down")
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(f"or put it at {tmp_path}/sets/tiny/none.json")
