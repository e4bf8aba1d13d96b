"""`lstmusic listen`: songs in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lstmusic.config import Request
from lstmusic.listening import server
from lstmusic.schema import ListenConfig


def run(request: Request) -> dict[str, Any]:
    """Serve a folder of runs on 127.0.0.1 until Ctrl-C."""
    config: ListenConfig = request.config
    server.serve(Path(config.path), port=config.port, open_browser=config.open)
    return {}
