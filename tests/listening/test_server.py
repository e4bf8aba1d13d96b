"""The server: pages, ranges and the list of runs; nothing outside its folder."""

import http.client
import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmusic.errors import ConfigError, MissingFileError
from lstmusic.listening import server as serving


@pytest.fixture
def outputs(tmp_path):
    """Two runs, one with a page, and a secret beside the served folder."""
    folder = tmp_path / "outputs"
    for age, name in ((200, "old <i>"), (100, "new")):
        run = folder / "generate" / name
        run.mkdir(parents=True)
        (run / "song-001.mid").write_bytes(b"MThd")
        (run / "song-001.wav").write_bytes(bytes(range(256)) * 10)
        (run / "report.json").write_text(json.dumps({"songs": [{}, {}, {}]}) if name == "new" else "{torn")
        os.utime(run / "report.json", (2_000_000_000 - age, 2_000_000_000 - age))
    (folder / "generate" / "new" / "index.html").write_text("<p>the page</p>")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / ".hidden").write_text("secret")
    return folder


@pytest.fixture
def get(outputs):
    """A function: path and headers to (status, headers, body)."""
    with serving.make_server(outputs, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()

        def ask(path, method="GET", **headers):
            connection = http.client.HTTPConnection(serving.HOST, server.server_address[1], timeout=5)
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, dict(answer.getheaders()), body

        yield ask
        server.shutdown()
        thread.join()


def test_front_page_lists_the_newest_first_and_escapes(get):
    status, _, body = get("/")
    text = body.decode()
    assert status == 200 and text.index("generate / new") < text.index("generate / old &lt;i&gt;")
    assert 'href="/generate/new/index.html"' in text and 'href="/generate/old%20%3Ci%3E/song-001.mid"' in text
    assert "3 songs" in text and "1 song ·" in text and "<i>" not in text


def test_files_whole_and_in_part(get):
    whole = bytes(range(256)) * 10
    path = "/generate/old%20%3Ci%3E/song-001.wav"
    status, headers, body = get(path)
    assert (status, body, headers["Accept-Ranges"], headers["Content-Type"]) == (200, whole, "bytes", "audio/wav")
    status, headers, body = get(path, Range="bytes=100-199")
    assert (status, body, headers["Content-Range"]) == (206, whole[100:200], "bytes 100-199/2560")
    assert get(path, Range="bytes=2500-")[::2] == (206, whole[2500:])
    assert get(path, Range="bytes=-60")[::2] == (206, whole[-60:])
    assert get(path, Range="bytes=0-")[::2] == (206, whole)
    assert get(path, Range="bytes=9999-")[0] == 416
    assert get(path, Range="bytes=1-2,5-6")[::2] == (200, whole)
    status, headers, body = get(path, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "2560", b"")
    assert get("/generate/new/")[2] == b"<p>the page</p>"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/%2e%2e/secret.txt", "/generate/../../secret.txt", "/..%2fsecret.txt", "//etc/passwd",
        "/link.txt", "/.hidden", "/generate/", "/generate", "/generate/none.wav", "/a%00b", "/..%5csecret.txt",
        "/" + "a" * 5000,
    ],
)  # fmt: skip
def test_nothing_else_is_served(get, path):
    status, _, body = get(path)
    assert status == 404 and b"secret" not in body


def test_other_host_names_and_methods_are_refused(get):
    assert get("/", Host="evil.example")[0] == 403
    assert get("/", method="POST")[0] == 501


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,25}-\d{0,25}", fullmatch=True), st.integers(0, 10**6))
def test_any_range_is_within_the_file(asked, size):
    span = serving.byte_span(asked, size)
    assert span is None or (span[0] >= 0 and span[1] <= size)


def test_an_empty_folder_says_how_to_begin(tmp_path):
    assert "lstmusic generate" in serving.front_page(tmp_path)


def test_bad_requests_are_named(tmp_path):
    with pytest.raises(MissingFileError, match="none"):
        serving.make_server(tmp_path / "none", 0)
    with serving.make_server(tmp_path, 0) as first:
        port = first.server_address[1]
        with pytest.raises(ConfigError, match=f"port={port}") as error:
            serving.make_server(tmp_path, port)
        assert error.value.exit_code == 2
    with pytest.raises(ConfigError, match="port=70000"):
        serving.make_server(tmp_path, 70000)


def test_serve_prints_where_and_opens_the_browser(tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(serving.webbrowser, "open", opened.append)
    monkeypatch.setattr(serving.Server, "serve_forever", lambda self: None)
    serving.serve(tmp_path, port=0, open_browser=True)
    assert opened[0].startswith("http://127.0.0.1:") and opened[0] in capsys.readouterr().out
