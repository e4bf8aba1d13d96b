"""`lstmusic bench`: the benchmark tables on this machine, peers beside lstmusic."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
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
from lstmusic.errors import ConfigError, ReadError
from lstmusic.schema import BenchConfig, one_of

Rows = list[dict[str, Any]]

MIN_WIDTH = 120  # columns; on a narrower screen lines go on below, but no figure is cut


def run(request: Request) -> dict[str, Any]:
    """Measure one table; the report."""
    config: BenchConfig = request.config
    one_of("table", config.table, tuple(TABLES))
    table, console = TABLES[config.table], Console()
    pieces = _pieces(config)
    folder = output.open_folder(request)
    with ExitStack() as own:
        files, left_out = _readable(pieces, own)
        if left_out:
            first = ": ".join(left_out[0])
            console.print(f"{len(left_out)} of {len(pieces)} files left out: {first}", markup=False, highlight=False)
        if not files:
            raise ConfigError(f"data={config.data.name}: none of {len(pieces)} files can be read, expected MIDI files")
        bar = own.enter_context(Progress(console=console, transient=True))
        task = bar.add_task("files", total=len(files))
        rows = table.run(files, on_progress=lambda done: bar.advance(task, done))
    show(f"table={config.table}", rows, console)
    results = {"rows": rows, "files": len(files), "left_out": left_out, "machine": machine.describe(table.PACKAGES)}
    return output.write_report(folder, "bench", request, results)


def _readable(pieces: list[PieceRef], own: ExitStack) -> tuple[list[Path], list[tuple[str, str]]]:
    """The files of pieces (`own` holds those of archives' members), and each that cannot be read, with the reason."""
    files, left_out = list[Path](), list[tuple[str, str]]()
    for piece in pieces:
        try:
            sources.read_piece(piece)
            files.append(own.enter_context(as_file(piece)))
        except ReadError as error:
            left_out.append((piece.name, str(error).removeprefix(f"{piece.name}: ")))
    return files, left_out


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


# each a module with `run(files, on_progress)` and PACKAGES
TABLES: dict[str, ModuleType] = {"encoding": encoding, "fidelity": fidelity, "copies": copies, "leak": leak}
