"""`lstmusic bench`: the benchmark tables on this machine, peers beside lstmusic."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lstmusic.benchmarks import copies, encoding, fidelity, leak, machine
from lstmusic.commands import output
from lstmusic.config import Request
from lstmusic.corpus import sources
from lstmusic.corpus.folders import as_file
from lstmusic.corpus.pieces import PieceRef
from lstmusic.errors import ConfigError
from lstmusic.schema import BenchConfig, one_of

Rows = list[dict[str, Any]]

MIN_WIDTH = 120  # columns; on a narrower screen lines go on below, but no figure is cut


def run(request: Request) -> dict[str, Any]:
    """Measure one table; the report."""
    config: BenchConfig = request.config
    one_of("table", config.table, tuple(TABLES))
    measure, packages = TABLES[config.table]
    console = Console()
    rows = measure(config, console)
    folder = output.open_folder(request)
    show(f"table={config.table}", rows, console)
    return output.write_report(folder, "bench", request, {"rows": rows, "machine": machine.describe(packages)})


def _of_files(table: ModuleType) -> Callable[[BenchConfig, Console], Rows]:
    """A table whose module has `run(files, on_progress)`, over the files of the data."""

    def measure(config: BenchConfig, console: Console) -> Rows:
        with ExitStack() as own, Progress(console=console, transient=True) as bar:
            files = [own.enter_context(as_file(piece)) for piece in _pieces(config)]  # members of archives as files
            task = bar.add_task("files", total=len(files))
            return table.run(files, on_progress=lambda done: bar.advance(task, done))

    return measure


def _pieces(config: BenchConfig) -> list[PieceRef]:
    """The MIDI files of the data, or `pieces` of them, evenly drawn in the order of their names.

    Raises:
        ConfigError: there are none.
    """
    pieces = [piece for piece in sources.find(config.data).pieces if piece.kind == "midi"]
    if not pieces:
        raise ConfigError(f"data={config.data.name}: no MIDI files, expected some")
    count = min(config.pieces or len(pieces), len(pieces))
    return [pieces[k * len(pieces) // count] for k in range(count)]


def show(title: str, rows: Rows, console: Console) -> None:
    """Print rows as a table: a column for each key, numbers with as many digits as can be compared."""
    table = Table(title=title)
    for k, name in enumerate(rows[0]):
        title = name.replace("_per_", "/").replace("/second", "/s").replace("times_", "× ")
        table.add_column(title, justify="right" if k else "left", no_wrap=k > 0)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console.width = max(console.width, MIN_WIDTH)
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)


TABLES: dict[str, tuple[Callable[[BenchConfig, Console], Rows], tuple[str, ...]]] = {
    "encoding": (_of_files(encoding), encoding.PACKAGES),
    "fidelity": (_of_files(fidelity), fidelity.PACKAGES),
    "copies": (_of_files(copies), copies.PACKAGES),
    "leak": (_of_files(leak), leak.PACKAGES),
}
