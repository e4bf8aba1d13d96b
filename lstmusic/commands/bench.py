"""`lstmusic bench`: the benchmark tables on this machine, peers beside lstmusic."""

from __future__ import annotations

import importlib
import json
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lstmusic import config as configs
from lstmusic.benchmarks import machine
from lstmusic.commands import output
from lstmusic.config import Request
from lstmusic.corpus import sources
from lstmusic.corpus.folders import as_file
from lstmusic.corpus.pieces import PieceRef
from lstmusic.corpus.split import evenly
from lstmusic.corpus.store import Corpus
from lstmusic.errors import ConfigError, ReadError
from lstmusic.files import whole
from lstmusic.schema import FRAMES_PER_QUARTER, BenchConfig, FiltersConfig, one_of

Row = dict[str, Any]
Rows = list[Row]

MAX_WIDTH = 400  # columns; on a narrower screen lines go on below, but neither name nor figure is cut


class _Entry(NamedTuple):
    """A module of `benchmarks`, the keys that it takes, and whether it measures files.

    One that measures files has `run(files, on_progress)`, which returns the rows. Any other trains models, or lets them
    write, and has `rows(note, ...)`, a generator that is given its keys by name (unless they are empty) and, where it takes
    `data`, `open_set` and `subsets`; it calls `note` with words about what it does, and its `summary(rows)` is what the
    screen shows at the end. One with a picture has `draw(rows, folder)`. One of `pieces_of_models` is given `corpus_of`,
    which opens the corpus that a checkpoint was trained on, split as it was. Each has PACKAGES.
    """

    takes: tuple[str, ...]
    of_files: bool = False
    picture: bool = False
    pieces_of_models: bool = False


TABLES = {
    **dict.fromkeys(("encoding", "fidelity", "copies", "leak"), _Entry(("data", "pieces"), of_files=True)),
    "long_lag": _Entry(("minutes", "seeds")),
    "polyphonic": _Entry(("data", "minutes", "seeds", "models")),
    "training": _Entry(()),
    "generation": _Entry(("models",)),
    "songs": _Entry(("models", "songs")),
    "controls": _Entry(("models", "songs"), picture=True),
    "best_of": _Entry(("models", "songs")),
    "infill": _Entry(("models", "songs"), pieces_of_models=True),
    "harmonise": _Entry(("models", "songs"), pieces_of_models=True),
    "originality": _Entry(("models", "songs"), pieces_of_models=True),
}


def run(request: Request) -> dict[str, Any]:
    """Measure one table; the report."""
    config: BenchConfig = request.config
    one_of("table", config.table, tuple(TABLES))
    _check_keys(request)
    table, console = _module(config.table), Console()
    started = time.monotonic()
    measure = _of_files if TABLES[config.table].of_files else _by_rows
    folder, results = measure(request, table, console)
    results |= {"machine": machine.describe(table.PACKAGES), "wall_s": round(time.monotonic() - started, 1)}
    return output.write_report(folder, "bench", request, results)


def _module(table: str) -> ModuleType:
    return importlib.import_module(f"lstmusic.benchmarks.{table}")


def _check_keys(request: Request) -> None:
    """Raise ConfigError where a key was given that this table does not take."""
    takes = TABLES[request.config.table].takes
    for override in request.overrides:
        key = override.partition("=")[0].partition(".")[0]
        takers = [name for name, entry in TABLES.items() if key in entry.takes]
        if takers and key not in takes:
            raise ConfigError(
                f"{override}: belongs to table={', '.join(takers)}, came with table={request.config.table}"
            )


def _by_rows(request: Request, table: ModuleType, console: Console) -> tuple[Path, dict[str, Any]]:
    """The rows of a table that yields them one by one, shown and written to rows.json as they come."""
    arguments = _arguments(request, console)
    folder = output.open_folder(request)
    rows: Rows = []
    with console.status("") as status:
        for row in table.rows(note=status.update, **arguments):
            rows.append(row)
            with whole(folder / "rows.json") as beside:
                beside.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
            words = "  ".join(f"{name} {_cell(value)}" for name, value in row.items())
            console.print(words, markup=False, highlight=False, soft_wrap=True)
    if TABLES[request.config.table].picture:
        table.draw(rows, folder)
    show(f"table={request.config.table}", table.summary(rows), console)
    return folder, {"rows": rows}


def _arguments(request: Request, console: Console) -> dict[str, Any]:
    """What a table that yields its rows is given."""
    config: BenchConfig = request.config
    takes = TABLES[config.table].takes
    models = config.models.split(",") if config.models else None
    given = {"minutes": config.minutes, "seeds": config.seeds, "models": models, "songs": config.songs}
    arguments: dict[str, Any] = {key: value for key, value in given.items() if key in takes and value is not None}
    if TABLES[config.table].pieces_of_models:
        arguments["corpus_of"] = partial(_corpus_of, console)
    return arguments | _sets(request, console) if "data" in takes else arguments


def _corpus_of(console: Console, checkpoint: str) -> Corpus:
    """The corpus that a model was trained on, with its split."""
    from lstmusic import music_model
    from lstmusic.commands import corpora

    model = music_model.load(checkpoint)
    return corpora.corpus_of(model, corpora.own_data(model), jobs=-1, console=console)


def _sets(request: Request, console: Console) -> dict[str, Any]:
    """The sets of data=polymusic, all of them unless one is asked for, and what opens each as frames of 88 keys.

    Raises:
        ConfigError: another data set is asked for.
    """
    asked = [o for o in request.overrides if o.split("=")[0].split(".")[0] == "data"]
    if any(o.startswith("data=") and o != "data=polymusic" for o in asked):
        raise ConfigError(f"data={request.config.data.name}: expected data=polymusic with table={request.config.table}")
    choices = ["data=polymusic", *(o for o in asked if o != "data=polymusic")]

    def open_set(subset: str) -> Corpus:
        from lstmusic.commands.corpora import open_corpus

        data = configs.compose("bench", [*choices, f"data.subset={subset}"]).config.data
        keep_all = FiltersConfig(min_notes=1, min_seconds=0, min_pitches=1, duplicates=True)
        options = {"frames_per_quarter": FRAMES_PER_QUARTER[subset]}
        return open_corpus(data, "frames", options, filters=keep_all, jobs=1, seed=0, console=console)

    one = any(o.startswith("data.subset=") for o in asked)
    return {"open_set": open_set, "subsets": (request.config.data.subset,) if one else tuple(FRAMES_PER_QUARTER)}


def _of_files(request: Request, table: ModuleType, console: Console) -> tuple[Path, dict[str, Any]]:
    """The rows of a table that measures the files of a data set."""
    config: BenchConfig = request.config
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
    return folder, {"rows": rows, "files": len(files), "left_out": left_out}


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
    return evenly(pieces, config.pieces or len(pieces))


def show(title: str, rows: Rows, console: Console) -> None:
    """Print rows as a table: a column for each key, numbers with as many digits as can be compared."""
    table = Table(title=title)
    for k, name in enumerate(rows[0]):
        title = name.replace("_per_", "/").replace("/second", "/s").replace("times_", "× ")
        table.add_column(title, justify="right" if k else "left", no_wrap=k > 0)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console.width = max(console.width, Console(width=MAX_WIDTH).measure(table).maximum)
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)
