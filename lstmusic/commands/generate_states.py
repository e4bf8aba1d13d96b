"""The keys `state.*` of `lstmusic generate`: where songs go on from, and where one is stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from lstmusic.errors import ConfigError
from lstmusic.events.codec import Codec
from lstmusic.music_model import MusicModel
from lstmusic.sampling.snapshot import Snapshot, check_new
from lstmusic.schema import StateConfig
from lstmusic.schema.checks import is_printable
from lstmusic.stopping import so_far
from lstmusic.writing import Song


def check_file(state: StateConfig) -> None:
    """Raise ConfigError where no new file can be written."""
    if state.save is None:
        return
    check_new(state.save)
    if not (folder := Path(state.save).absolute().parent).is_dir():
        raise ConfigError(f"state.save={state.save}: there is no folder {folder}, expected a file in one that there is")


def check_bar(state: StateConfig, codec: Codec, ids: np.ndarray) -> None:
    """Raise ConfigError where a piece, int64 [N], which keeps its length while it is rewritten, has not so many bars."""
    if state.save is not None:
        so_far(codec, ids, state.bar)


def loaded(state: StateConfig, model: MusicModel) -> list[Snapshot]:
    """Where songs go on from: none where they begin, one for all of them, or one for each share of a blend.

    Raises:
        MissingFileError: there is no such file.
        ConfigError: a file is damaged, or of another model.
    """
    snapshots = []
    for file in state.files:
        snapshot = Snapshot.read(file)
        try:
            snapshot.check(model.model, model.codec.grammar, model.folder.sha256)
        except ConfigError as error:
            raise ConfigError(f"state.load={file}: {error}") from error
        stem = Path(file).stem
        snapshots.append(replace(snapshot, name=snapshot.name or (stem if is_printable(stem) else "")))
    if not state.shares:
        return snapshots
    one, other = snapshots
    return [one.blended(other, share) for share in state.shares]


def written(model: MusicModel, starts: list[Snapshot], songs: int, how: dict[str, Any]) -> list[Song]:
    """So many songs from where they start; of several starts the first song of each, so that nothing else differs.

    Args:
        how: the other arguments of `MusicModel.generate`.
    """
    if len(starts) > 1:
        return [song for start in starts for song in model.generate(1, start=start, **how)]
    return model.generate(songs, start=starts[0] if starts else None, **how)


def saved(state: StateConfig, model: MusicModel, song: Song, console: Console) -> dict[str, Any]:
    """Write where a song stands after the bars that were asked for; what is to be told of it, or why it was refused."""
    if state.save is None:
        return {}
    try:
        snapshot = model.snapshot(song, state.bar, state.name or "")
        path = snapshot.write(state.save)
    except ConfigError as error:  # the songs are there: their report is to be, too
        return {"refused": str(error)}
    bars = snapshot.bars if state.bar is None else state.bar  # which does not count an upbeat
    console.print(f"{path}  song 1 after {bars:g} bars", markup=False, highlight=False, soft_wrap=True)
    return {"saved": str(path), "name": snapshot.name, "bars": round(snapshot.bars, 3), "ids": len(snapshot.ids)}
