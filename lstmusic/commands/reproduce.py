"""`lstmusic reproduce`: songs made again from what their files say they were made by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from lstmusic import music_model, provenance, reproduction
from lstmusic.commands import output
from lstmusic.config import Request
from lstmusic.errors import ConfigError, ReproductionError, RequestError
from lstmusic.music_model import MusicModel
from lstmusic.schema import ReproduceConfig
from lstmusic.score import Score, midi
from lstmusic.score.reading import MIDI_SUFFIXES


def run(request: Request) -> dict[str, Any]:
    """Make a song, or each song of a folder, again and compare the bytes; the report. One that differs is a failure."""
    config: ReproduceConfig = request.config
    console = Console()
    songs = {path: provenance.facts_of(path) for path in _files(config.song)}
    models: dict[str, MusicModel] = {}
    for path, facts in songs.items():
        name = config.checkpoint or facts["checkpoint"]
        try:
            models[name] = models.get(name) or music_model.load(name)
            reproduction.check_model(facts, models[name])
        except RequestError as error:
            raise type(error)(f"song={path}: {error}; where its model lies now is for checkpoint= to say") from error
    folder = output.open_folder(request)
    rows, told = [], ""
    for path, facts in songs.items():
        run_told = _words(facts)
        if run_told != told:  # once for all songs of a run
            told = run_told
            console.print(told, markup=False, highlight=False, soft_wrap=True)
        rows.append(_again(path, facts, models[config.checkpoint or facts["checkpoint"]], folder / path.name))
        words = "; ".join(rows[-1]["differences"]) or f"the same {rows[-1]['bytes']} bytes"
        line = f"{path}  seed {facts['seed']}, song {facts['song']}: {words}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    different = [row for row in rows if not row["same"]]
    if len(rows) > 1:
        console.print(f"{len(rows) - len(different)} of {len(rows)} songs have the same bytes")
    report = output.write_report(folder, "reproduce", request, {"songs": rows, "different": len(different)})
    if different:
        others = f" ({len(different)} of {len(rows)} songs differ)" if len(rows) > 1 else ""
        raise ReproductionError(f"song={different[0]['song']}: {different[0]['differences'][0]}{others}")
    return report


def _files(song: str | None) -> list[Path]:
    """The MIDI files that are meant.

    Raises:
        ConfigError: none is.
    """
    if song is None:
        raise ConfigError(f"song=: {provenance.WANTED}, or a folder of them")
    if not Path(song).is_dir():
        return [Path(song)]
    found = sorted(path for path in Path(song).iterdir() if path.suffix.lower() in MIDI_SUFFIXES)
    if not found:
        raise ConfigError(f"song={song}: no MIDI file in this folder, expected those that lstmusic generate wrote")
    return found


def _words(facts: dict[str, Any]) -> str:
    """What all songs of a run have in common, in three lines."""
    made_by = f"lstmusic {facts['lstmusic']}  checkpoint={facts['checkpoint']}  model {facts['model_sha256'][:12]}…"
    changed = reproduction.changed_settings(facts)
    settings = "  ".join(f"{key}={value}" for key, value in changed.items()) or "nothing but defaults"
    machine = "  ".join(f"{key} {value}" for key, value in facts["machine"].items())
    return f"{made_by}\nasked: {settings}\nmade with: {machine}"


def _again(path: Path, facts: dict[str, Any], model: MusicModel, copy: Path) -> dict[str, Any]:
    """Write a song anew; a row of the report."""
    written = Score.read(path)
    made = reproduction.reproduce(facts, model, written)
    midi.write(made.score, copy)
    same = copy.read_bytes() == path.read_bytes()
    differences = [] if same else reproduction.differences(facts, written, made.score)
    return {
        "song": str(path),
        "made": copy.name,
        "bytes": len(copy.read_bytes()),
        "same": same,
        "differences": differences,
        "provenance": facts,
    }
