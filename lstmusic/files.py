"""Files that appear whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lstmusic.errors import OutputError


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """Give a name beside `path` to write to; it takes the place of `path` at the end, and is gone if anything fails.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full; what stood at `path` still does.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # a file system that is read-only refuses to remove what is not there
            beside.unlink(missing_ok=True)
