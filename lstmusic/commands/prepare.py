"""`lstmusic prepare`: a corpus, a verdict on every file, and what the encoding loses; nothing is trained."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from lstmusic.commands import output
from lstmusic.commands.corpora import check_request, reasons, requested_corpus, show_verdicts
from lstmusic.config import Request
from lstmusic.schema import PrepareConfig


def run(request: Request) -> dict[str, Any]:
    """Prepare a corpus; the report."""
    config: PrepareConfig = request.config
    console = Console()
    check_request(config)
    folder = output.open_folder(request)
    started = time.monotonic()
    others = Counter[str]()
    corpus = requested_corpus(config, console, others)
    wall_s = time.monotonic() - started
    shutil.copyfile(corpus.folder / "files.csv", folder / "files.csv")
    show_verdicts(corpus, console)
    show_fidelity(corpus.manifest["fidelity"], console)
    manifest = corpus.manifest
    results = {
        "corpus": str(corpus.folder),
        "sha256": manifest["sha256"],
        **{name: manifest[name] for name in ("files", "used", "repaired", "families", "repairs", "losses", "fidelity")},
        "others": dict(others),
        "skipped": len(manifest["skipped"]),
        "reasons": dict(reasons(manifest["skipped"]).most_common()),
        "splits": corpus.counts(),
        "wall_s": round(wall_s, 3),
        "files_per_second": round(manifest["files"] / wall_s, 1),
    }
    return output.write_report(folder, "prepare", request, results)


def show_fidelity(figures: dict[str, Any], console: Console) -> None:
    """Print what the encoding keeps of the music."""
    table = Table(title="fidelity of the encoding")
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in figures.items():
        shown = f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(name.replace("_", " "), shown)
    console.print(table)
