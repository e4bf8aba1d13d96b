"""A folder of runs in the browser: a server for this machine alone, which plays, seeks and lists the newest first."""

from __future__ import annotations

import html
import json
import mimetypes
import re
import socketserver
import sys
import webbrowser
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from lstmusic.errors import ConfigError, MissingFileError

HOST = "127.0.0.1"
TEMPLATE = Path(__file__).with_name("runs.html")
DEEPEST = 4  # folders below the one served in which a run may lie
MOST_LINKS = 12  # songs named on the front page, a run
LARGEST_REPORT = 16 << 20  # bytes; a report beyond is listed by its files alone
TYPES = {".mid": "audio/midi", ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}


@dataclass(frozen=True)
class Run:
    """One run on the front page: its folder below the one served, when it ended, and what it holds."""

    folder: Path
    ended: datetime
    songs: tuple[str, ...]
    count: int
    has_page: bool


class Server(socketserver.ThreadingTCPServer):
    """A threaded server that knows the folder it serves."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        super().__init__((HOST, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong, but not a browser that hangs up: it does so whenever the listener seeks."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where to find the front page."""
        return f"http://{HOST}:{self.server_address[1]}/"


def serve(folder: Path | str, *, port: int, open_browser: bool) -> None:
    """Serve a folder of runs until interrupted, after printing where.

    Args:
        folder: what `lstmusic` wrote its runs into, or one run.
        port: 0 for any that is free.
        open_browser: also open the front page.

    Raises:
        MissingFileError: there is no such folder.
        ConfigError: the port is taken, or is none.
    """
    with make_server(folder, port) as server:
        print(f"{server.url}  ({server.folder}; Ctrl-C ends)", flush=True)
        if open_browser:
            webbrowser.open(server.url)
        server.serve_forever()


def make_server(folder: Path | str, port: int) -> Server:
    """The server, bound and ready for `serve_forever`; raises as `serve` does."""
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"path={folder}: expected a folder of runs; there is none")
    try:
        return Server(folder, port)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port={port}: expected a free port (0 for any): {error}") from None


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with the front page or a file of the folder, in whole or in part."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Server

    def do_GET(self) -> None:
        """Answer with the content."""
        self.answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with the headers alone."""
        self.answer(with_body=False)

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is for the address."""

    def answer(self, *, with_body: bool) -> None:
        """Send what the path names; a page elsewhere that renames itself to this machine gets nothing."""
        host = self.headers.get("Host", HOST).rsplit(":", 1)[0]
        if host not in (HOST, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        path = unquote(urlsplit(self.path).path)
        if path == "/":
            self.send_text(front_page(self.server.folder), with_body)
            return
        file = inside(self.server.folder, path)
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_file(file, with_body)

    def send_text(self, text: str, with_body: bool) -> None:
        """Send a page."""
        body = text.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def send_file(self, file: Path, with_body: bool) -> None:
        """Send a file, or the one range of it that was asked for: browsers seek in a WAV by ranges."""
        size = file.stat().st_size
        span = byte_span(self.headers.get("Range", ""), size)
        start, stop = span or (0, size)
        if span and start >= stop:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if span else HTTPStatus.OK)
        kind = TYPES.get(file.suffix.lower()) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self.send_header("Content-Type", kind + ("; charset=utf-8" if kind.startswith("text/") else ""))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(stop - start))
        if span:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.end_headers()
        if with_body:
            with file.open("rb") as source:
                source.seek(start)
                left = stop - start
                while left > 0 and (block := source.read(min(left, 1 << 16))):
                    self.wfile.write(block)
                    left -= len(block)


def inside(root: Path, path: str) -> Path | None:
    """The file that a URL's path names below `root`, a folder's page if it names a folder; None if there is none.

    Hidden names, links that lead out, and everything above `root` count as none.
    """
    names = [name for name in path.split("/") if name]
    if any(name.startswith(".") or "\\" in name or "\0" in name for name in names):
        return None
    try:
        file = root.joinpath(*names).resolve()
        if file.is_dir() and path.endswith("/"):
            file = (file / "index.html").resolve()
        return file if file.is_relative_to(root) and file.is_file() else None
    except OSError:
        return None


def byte_span(asked: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last that a Range header asks for, empty if beyond; None if not one range."""
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", asked.strip())
    if match is None or asked.strip() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size


def find_runs(folder: Path) -> list[Run]:
    """Every run at or below `folder`, the newest first: a folder that has a page or a report."""
    found: dict[Path, float] = {}
    for depth in range(DEEPEST + 1):
        for name in ("index.html", "report.json"):
            for file in folder.glob("*/" * depth + name):
                parts = file.parent.relative_to(folder).parts
                if inside(folder, "/".join((*parts, name))) is not None:
                    found[file.parent] = max(found.get(file.parent, 0.0), file.stat().st_mtime)
    newest_first = sorted(found, key=lambda run: (found[run], run), reverse=True)
    return [read_run(folder, run, datetime.fromtimestamp(found[run])) for run in newest_first]


def read_run(root: Path, folder: Path, ended: datetime) -> Run:
    """What the front page says of one run."""
    songs = tuple(sorted(file.name for file in folder.glob("*.mid") if not file.name.startswith(".")))
    report, count = folder / "report.json", len(songs)
    try:
        told = json.loads(report.read_text("utf-8")) if report.stat().st_size <= LARGEST_REPORT else {}
        listed = told.get("songs") if isinstance(told, dict) else None
        count = len(listed) if isinstance(listed, list) else count
    except (OSError, ValueError, RecursionError):
        pass  # a report that is missing or torn: the files speak for themselves
    return Run(folder.relative_to(root), ended, songs, count, (folder / "index.html").is_file())


def front_page(folder: Path) -> str:
    """The list of runs as HTML."""
    rows = "\n".join(run_html(run) for run in find_runs(folder))
    empty = "<p>No runs here yet. <code>lstmusic generate</code> makes the first.</p>"
    page = TEMPLATE.read_text("utf-8").replace("{{folder}}", html.escape(folder.name))
    return page.replace("{{runs}}", f"<ol>\n{rows}\n</ol>" if rows else empty)


def run_html(run: Run) -> str:
    """One run as a list item."""
    parts = "".join(quote(part) + "/" for part in run.folder.parts)
    name = html.escape(" / ".join(run.folder.parts) or "this folder")
    heading = (
        f'<a href="/{parts}index.html">{name}</a>' if run.has_page else f'<a href="/{parts}report.json">{name}</a>'
    )
    links = [f'<a href="/{parts}{quote(song)}" download>{html.escape(song)}</a>' for song in run.songs[:MOST_LINKS]]
    more = len(run.songs) - len(links)
    links += [f"and {more} more"] if more else []
    count = f"{run.count} song{'' if run.count == 1 else 's'} · " if run.count else ""
    when = f'<time datetime="{run.ended:%Y-%m-%dT%H:%M:%S}">{run.ended:%d %B %Y, %H:%M}</time>'
    return f'<li><h2>{heading}</h2><p>{count}{when}</p><p class="songs">{" ".join(links)}</p></li>'
