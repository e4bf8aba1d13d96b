"""The output folder of a run: made once, never overwritten; its report and configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lstmusic import __version__
from lstmusic.config import Request
from lstmusic.errors import OutputError
from lstmusic.files import whole

CONFIGURATION = ("config.yaml", "overrides.yaml")


def open_folder(request: Request) -> Path:
    """Make the run's folder and write its composed configuration there. A second run in the same second gets `-2`.

    Raises:
        OutputError: it holds files already, or cannot be written.
    """
    folder = request.folder
    given = any(override.startswith("hydra.run.dir=") for override in request.overrides)
    number = 1
    try:
        while folder.exists() and (inside := {file.name for file in folder.iterdir()}):
            if given and inside <= {*CONFIGURATION}:  # of a run that stopped before it wrote anything
                break
            if given:
                raise OutputError(f"hydra.run.dir={folder}: holds files already, expected a new or empty folder")
            number += 1
            folder = request.folder.with_name(f"{request.folder.name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
        write_config(folder, request)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}), expected a folder of yours") from error
    return folder


def write_config(folder: Path, request: Request) -> None:
    """Write the composed configuration and the overrides that led to it."""
    import yaml

    with whole(folder / "config.yaml") as beside:
        beside.write_text(yaml.safe_dump(request.plain, sort_keys=False, allow_unicode=True))
    with whole(folder / "overrides.yaml") as beside:
        beside.write_text(yaml.safe_dump(request.overrides, allow_unicode=True))


def write_report(folder: Path, command: str, request: Request, results: dict[str, Any]) -> dict[str, Any]:
    """Write report.json: what was asked, what was done, what was measured. Beside first, then renamed.

    Raises:
        OutputError: it cannot be written.
    """
    report = {"command": command, "lstmusic": __version__, "asked": request.plain, **results}
    with whole(folder / "report.json") as beside:
        beside.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    return report
