"""From a data configuration to a prepared corpus, with a progress bar."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lstmusic.corpus import sources, store
from lstmusic.corpus.store import Corpus
from lstmusic.schema import DataConfig

REASONS_SHOWN = 5


def open_corpus(data: DataConfig, encoding: str, options: dict, *, seed: int, console: Console) -> Corpus:
    """Find, prepare (or open from the cache) and summarise a corpus; see `corpus.store.prepare` for what it raises."""
    source = sources.find(data)
    columns = (TextColumn("reading {task.fields[name]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(source.pieces), name=data.name)
        corpus = store.prepare(
            source,
            encoding,
            options,
            cache=Path(data.cache),
            jobs=data.jobs,
            seed=seed,
            on_progress=lambda done: bar.advance(task, done),
        )
    counts = corpus.counts()
    words = ", ".join(f"{name} {row['pieces']} pieces {row['tokens']:,} tokens" for name, row in counts.items())
    console.print(f"data: {data.name} as {encoding}: {words}")
    skipped = corpus.manifest["skipped"]
    if skipped:
        console.print(f"skipped {len(skipped)} of {len(source.pieces)} files:")
        for name, reason in skipped[:REASONS_SHOWN]:
            console.print(f"  {name}: {reason}", markup=False)
        if len(skipped) > REASONS_SHOWN:
            console.print(
                f"  … and {len(skipped) - REASONS_SHOWN} more, see {corpus.folder / 'files.csv'}", markup=False
            )
    for reason, count in Counter(corpus.manifest["losses"]).most_common(REASONS_SHOWN):
        console.print(f"  {count:,} {reason}", markup=False)
    return corpus
