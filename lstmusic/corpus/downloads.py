"""A data set's file: found in `$LSTMUSIC_DATA_DIR` or downloaded once, never used with a wrong checksum."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from lstmusic.errors import DownloadError
from lstmusic.schema import DataFile


def fetch(name: str, files: Sequence[DataFile], downloads: str | Path) -> tuple[Path, DataFile]:
    """One of the files that a data set may come as: from `$LSTMUSIC_DATA_DIR/<name>/`, or else downloaded once.

    Args:
        name: of the data set.
        files: any one of which will do; those without an address are only looked for.
        downloads: the folder of downloaded data sets.

    Returns:
        Where it is, and which one it is.

    Raises:
        DownloadError: no network, or the checksum is wrong; a wrong download is not kept.
    """
    given = os.environ.get("LSTMUSIC_DATA_DIR")
    for file in files if given else ():
        place = Path(str(given)).absolute() / name / file.name
        if place.is_file():
            if (found := file_sha256(place)) != file.sha256:
                raise DownloadError(f"{place}: sha256 {found[:12]}…, expected {file.sha256[:12]}…")
            return place, file
    import pooch

    file = next(file for file in files if file.url)
    try:
        known = f"sha256:{file.sha256}"
        place = pooch.retrieve(
            file.url, known, fname=file.name, path=Path(downloads).absolute() / name, progressbar=True
        )
    except Exception as error:  # requests, urllib3 and pooch each raise their own
        reason = str(error).split("\n")[0] or type(error).__name__
        place = Path(given or downloads) / name / file.name
        raise DownloadError(
            f"data={name}: {file.url} could not be downloaded ({reason}); or put it at {place}"
        ) from error
    return Path(place), file


def found(name: str, file: DataFile, downloads: str | Path) -> Path | None:
    """Where `fetch` would find a data set's file without a download; its checksum is not looked at."""
    places = [Path(place) / name / file.name for place in (os.environ.get("LSTMUSIC_DATA_DIR"), downloads) if place]
    return next((place for place in places if place.is_file()), None)


def file_sha256(path: str | Path) -> str:
    """The sha256 of a file, in flat memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
