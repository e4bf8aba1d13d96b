"""From a request to a prepared corpus, with its progress, and what became of its files."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from lstmusic import config as configs
from lstmusic.corpus import sources, store
from lstmusic.corpus.store import Corpus
from lstmusic.events import codec as codecs
from lstmusic.schema import DataConfig, FiltersConfig, LimitsConfig, ParallelConfig, PrepareConfig, TrainConfig

if TYPE_CHECKING:  # a command that only reads does not wait for torch
    from lstmusic.music_model import MusicModel

REASONS_SHOWN = 5
SECONDS_BETWEEN_LINES = 15.0  # of progress, where the output is no terminal


def check_request(config: PrepareConfig | TrainConfig) -> None:
    """Raise what can be refused before any work: a folder that is not there, an encoding that cannot be made."""
    if config.data.name == "folder":
        sources.check_path(config.data.path)
    codecs.build(config.encoding.name, **config.encoding.options())


def requested_corpus(config: PrepareConfig | TrainConfig, console: Console, others: Counter | None = None) -> Corpus:
    """The corpus that a request asks for; see `open_corpus`."""
    return open_corpus(
        config.data,
        config.encoding.name,
        config.encoding.options(),
        filters=config.filters,
        limits=config.limits,
        parallel=config.parallel,
        jobs=config.jobs,
        seed=config.seed,
        console=console,
        others=others,
    )


def open_corpus(
    data: DataConfig,
    encoding: str,
    options: dict,
    *,
    filters: FiltersConfig,
    limits: LimitsConfig | None = None,
    parallel: ParallelConfig | None = None,
    jobs: int,
    seed: int,
    console: Console,
    others: Counter | None = None,
) -> Corpus:
    """Find, prepare (or open from the cache) and summarise a corpus.

    Args:
        data, encoding, options, filters, limits, parallel, jobs, seed: see `corpus.store.prepare`, also for what it raises.
        console: where progress and the summary are shown.
        others: gathers how many files of other kinds stand beside the music, by suffix.
    """
    source = sources.find(data)
    if source.others:
        kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in sorted(source.others.items()))
        console.print(
            f"{sum(source.others.values()):,} files of other kinds not read ({kinds})", markup=False, highlight=False
        )
    if others is not None:
        others.update(source.others)
    with _progress(data.name, len(source.pieces), console) as advance:
        corpus = store.prepare(
            source,
            encoding,
            options,
            cache=Path(data.cache),
            filters=filters,
            limits=limits,
            parallel=parallel,
            jobs=jobs,
            seed=seed,
            on_progress=advance,
        )
    counts = corpus.counts()
    words = ", ".join(f"{name} {row['pieces']} pieces {row['tokens']:,} tokens" for name, row in counts.items())
    console.print(f"data: {data.name} as {encoding}: {words}")
    return corpus


def own_data(model: MusicModel) -> DataConfig:
    """The data that a model was trained on."""
    return configs.typed(DataConfig, model.folder.facts["data"])


def corpus_of(model: MusicModel, data: DataConfig, *, jobs: int, console: Console) -> Corpus:
    """A corpus read as the model's own was; where it is that one, with its split. See `open_corpus`."""
    facts, own = model.folder.facts, own_data(model)
    corpus = open_corpus(
        data,
        model.codec.name,
        model.codec.options,
        filters=configs.typed(FiltersConfig, facts.get("filters", {})),
        jobs=jobs,
        seed=facts.get("seed", 0),
        console=console,
    )
    if (data.name, data.path, data.subset) == (own.name, own.path, own.subset):
        corpus.split_as(model.folder.split)
    return corpus


class _Rate(ProgressColumn):
    """Files per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f} files/s")


@contextmanager
def _progress(name: str, total: int, console: Console) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of files just done: it moves a bar, or writes a line now and then."""
    columns = (
        TextColumn("reading {task.fields[name]}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total, name=name)
        started = last = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            bar.advance(task, count)
            now = time.monotonic()
            if not console.is_terminal and now - last > SECONDS_BETWEEN_LINES and done < total:
                last, rate = now, done / (now - started)
                left_s = (total - done) / max(rate, 1e-9)
                console.print(f"read {done:,} of {total:,} files, {rate:,.0f} files/s, {left_s / 60:.0f} min left")

        yield advance


def show_verdicts(corpus: Corpus, console: Console) -> None:
    """Print what became of the files: how many were used, repaired and skipped, why, and what was left out."""
    manifest = corpus.manifest
    skipped = manifest["skipped"]
    console.print(
        f"{manifest['files']:,} files: {manifest['used']:,} used ({manifest['repaired']:,} of them repaired), "
        f"{len(skipped):,} skipped; {manifest['families']:,} families"
    )
    for title, counts in (
        ("skipped", reasons(skipped)),
        ("repaired", Counter(manifest["repairs"])),
        ("left out or moved", Counter(manifest["losses"])),
    ):
        for reason, count in counts.most_common(REASONS_SHOWN):
            console.print(f"  {title}: {count:,} {reason}", markup=False, highlight=False)
        if len(counts) > REASONS_SHOWN:
            console.print(f"  {title}: … and {len(counts) - REASONS_SHOWN} more kinds", markup=False)
    for name, reason in skipped[:REASONS_SHOWN]:
        console.print(f"  {name}: {reason}", markup=False, highlight=False)
    if len(skipped) > REASONS_SHOWN:
        console.print(f"  … and {len(skipped) - REASONS_SHOWN} more files", markup=False)
    console.print(f"a line for every file: {corpus.folder / 'files.csv'}", markup=False, highlight=False)


def reasons(skipped: list[list[str]]) -> Counter:
    """How many files were skipped for each kind of reason: without their numbers and names."""
    kinds: Counter = Counter()
    for _, reason in skipped:
        kind = re.sub(r"(duplicate of) .*", r"\1 another", reason)
        kind = re.sub(r"(damaged after|left there at) .*|(a link to) .*(, expected)", r"\1\2 …\3", kind)
        kinds[re.sub(r"\d+(?:[.,]\d+)*", "N", re.sub(r"b?(['\"]).*?\1", "…", kind))] += 1
    return kinds
