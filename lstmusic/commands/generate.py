"""`lstmusic generate`: songs, sounds, pictures and a page."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from lstmusic import music_model
from lstmusic.commands import generate_states, output
from lstmusic.config import Request
from lstmusic.errors import ConfigError, MissingFileError
from lstmusic.infilling import Infill
from lstmusic.listening import soundfont
from lstmusic.listening.page import PageSong, write_page
from lstmusic.sampling.controls import BoundControls, Controls
from lstmusic.sampling.settings import Repetition, SamplingSettings
from lstmusic.schema import GenerateConfig, RenderConfig
from lstmusic.score import Score, midi
from lstmusic.selection import share_words
from lstmusic.writing import Song


def run(request: Request) -> dict[str, Any]:
    """Generate songs into the request's folder; the report."""
    config: GenerateConfig = request.config
    console = Console()
    arguments = arguments_of(config)
    _check_soundfont(config.render)
    primer = None if config.primer is None else _read("primer", config.primer)
    infill = _infill(config)
    generate_states.check_file(config.state)
    model = music_model.load(config.checkpoint)
    # Before any work it refuses what this encoding or model cannot
    BoundControls(arguments["controls"], model.codec.grammar)
    if infill is not None:
        generate_states.check_bar(config.state, model.codec, infill.task(model.codec, Counter()).ids)
    model.check_selection(config.candidates, config.originality.max_bars)
    starts = generate_states.loaded(config.state, model)
    folder = output.open_folder(request)
    started = time.monotonic()
    how = {"seed": config.seed, "primer": primer, "infill": infill, **arguments}
    written = generate_states.written(model, starts, config.candidates or config.songs, how)
    sampling_s = time.monotonic() - started
    songs, left_out = model.choose(written, config.songs) if config.candidates else (written, [])
    rows = [_render(song, folder / f"song-{i:03d}.mid", config.render) for i, song in enumerate(songs, 1)]
    for row, song in zip(rows, songs, strict=True):
        row.update(song.report)
    _show(console, folder, rows, config)
    results: dict[str, Any] = {"checkpoint": model.name, "model_sha256": model.folder.sha256, "songs": rows}
    results["left_out"] = left_out
    results["tokens_per_second"] = round(sum(song.report["new_ids"] for song in written) / sampling_s, 1)
    results["sampling_s"] = round(sampling_s, 3)
    if config.render.page:
        results["page"] = _page(folder, songs, rows, config).name
        console.print(f"{folder / results['page']}  all songs on one page", markup=False, soft_wrap=True)
    results["state"] = generate_states.saved(config.state, model, songs[0], console)
    results["wall_s"] = round(time.monotonic() - started, 3)
    report = output.write_report(folder, "generate", request, results)
    if refused := results["state"].get("refused"):
        raise ConfigError(refused)
    return report


def _check_soundfont(render: RenderConfig) -> None:
    """Raise where sounds were asked for of a file that has none."""
    if render.soundfont is None:
        return
    if not Path(render.soundfont).is_file():
        raise ConfigError(f"render.soundfont={render.soundfont}: no such file, expected an .sf2 file")
    if render.wav and not render.fluidsynth:
        soundfont.load(Path(render.soundfont))


def arguments_of(config: GenerateConfig) -> dict[str, Any]:
    """How songs are to be written, as `MusicModel.generate` takes it.

    Raises:
        ConfigError: a setting is out of its range.
    """
    curve = isinstance(config.temperature, list)
    number = config.temperature if curve or config.temperature == "auto" else float(config.temperature)
    temperature = tuple((float(bar), float(value)) for bar, value in config.temperature) if curve else number
    drawing = {**config.sampling.__dict__, "greedy": config.greedy}
    SamplingSettings(1.0 if temperature == "auto" else temperature, **drawing)
    control = dict(config.control.__dict__)
    span, weights = control.pop("range"), control.pop("pitch_classes")
    voices = span if isinstance(span, dict) else {} if span is None else {"all": span}
    return {
        "temperature": temperature,
        **drawing,
        "controls": Controls(
            ranges={str(voice): tuple(pair) for voice, pair in voices.items()},
            pitch_classes=None if weights is None else tuple(weights),
            **control,
        ),
        "repetition": Repetition(**config.repetition.__dict__),
        **{f"length_{unit}": getattr(config.length, unit) for unit in ("bars", "seconds")},
        "cadence": config.length.cadence,
        "weights": config.weights,
        "primer_in_output": config.primer_in_output,
        "max_shared_bars": config.originality.max_bars,
    }


def _read(key: str, path: str) -> Score:
    """The piece in the file that a key names."""
    if not Path(path).is_file():
        raise MissingFileError(f"{key}={path}: no such file, expected a MIDI, MusicXML, ABC or Humdrum file")
    return Score.read(path)


def _infill(config: GenerateConfig) -> Infill | None:
    """The piece that is to be written anew in part."""
    wanted = config.infill
    if wanted.piece is None:
        return None
    bars = None if wanted.bars is None else (wanted.bars[0], wanted.bars[1])
    return Infill(_read("infill.piece", wanted.piece), bars, tuple(wanted.voices), wanted.particles)


def asked(config: GenerateConfig, rows: list[dict[str, Any]]) -> dict[str, str]:
    """The keys that say how songs are to be written and are not the default, with their values as they are typed.

    Args:
        rows: of the songs; they know which temperature `auto` came to.
    """
    values, usual = asdict(config), asdict(GenerateConfig())
    keys = ("candidates", "temperature", "greedy", "weights", "primer", "primer_in_output")
    changed = {key: values[key] for key in keys if values[key] != usual[key]}
    for section in ("sampling", "control", "repetition", "length", "infill", "state", "originality"):
        inside = values[section].items()
        changed |= {f"{section}.{key}": value for key, value in inside if value != usual[section][key]}
    if values["temperature"] == "auto":
        changed["temperature"] = f"auto ({rows[0]['temperature']:g})"
    return {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in changed.items()}


def _show(console: Console, folder: Path, rows: list[dict[str, Any]], config: GenerateConfig) -> None:
    """One line for what was asked, one for each song, and what is to be known of all."""
    typed = [f"{key}={value}" for key, value in asked(config, rows).items()]
    lines = [f"asked: {' '.join(typed)}"] if typed else []
    for row in rows:
        line = (
            f"{folder / row['files']['mid']}  {row['bars']} bars  {row['seconds']:.1f} s  {row['notes']} notes  "
            f"{row['nats_per_token']:.3f} nats per token  illegal: {row['illegal']}"
        )
        lines.append("  ".join([line, *_shares(row), *_remarks(row)]))
        lines += [f"  {row['chosen']['why']}"] if "chosen" in row else []
    if "originality" not in rows[0]:
        lines.append(f"what songs share with training pieces: see lstmusic evaluate checkpoint={config.checkpoint}")
    closed = sum(row["closed_at_limit"] for row in rows)
    if closed:
        lines.append(f"{closed} songs had not ended by themselves and were closed at the limit; see length.bars=")
    voices = rows[0].get("infill", {}).get("voices", {}).items()
    lines += [f"infill: the track {track} stays as {voice}" for voice, track in voices]
    lines += [f"primer: {count} {reason}" for reason, count in rows[0].get("primer_changes", {}).items()]
    told = [f"{count} {reason}" for reason, count in rows[0].get("told_without", {}).items()]
    lines += [f"infill: the model was told of the piece with {', '.join(told)}"] if told else []
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _shares(row: dict[str, Any]) -> list[str]:
    """What a song shares with a training piece, where its model knows that."""
    return [share_words(row["originality"])] if "originality" in row else []


def _remarks(row: dict[str, Any]) -> list[str]:
    """What is out of the ordinary with a song."""
    remarks = ["closed at the limit"] if row["closed_at_limit"] else []
    if start := row.get("start"):
        remarks.append(f"goes on from {start['name']}")
    if infill := row.get("infill"):
        remarks.append(f"{row['new_notes']} notes written for {infill['removed_notes']}")
        if infill["trimmed_notes"]:
            remarks.append(f"{infill['trimmed_notes']} of them cut where a note that stays has their pitch")
    if row["stuck"]:
        remarks.append("closed because it stood still")
    if row["overlong"] > 0:
        remarks.append("the length gave way to the grammar")
    if row["loops"] > 0:
        remarks.append(f"in loops: {row['loops']:.0%}")
    if row["overruled"] > 0:
        remarks.append(f"controls gave way to the grammar {row['overruled']} times")
    return remarks


def _render(song: Song, path: Path, render: RenderConfig) -> dict[str, Any]:
    """Write one song's files; their names and the time they took."""
    started = time.monotonic()
    files = {"mid": path}
    midi.write(song.score, path)
    if render.wav:
        from lstmusic.listening import audio

        samples = audio.render(song.score, soundfont=render.soundfont, fluidsynth=render.fluidsynth)
        files["wav"] = audio.write_audio(samples, path.with_suffix(".wav"))
    if render.png:
        from lstmusic.listening import pianoroll

        files["png"] = pianoroll.draw(song.score, path.with_suffix(".png"), title=path.stem)
    if render.musicxml:
        from lstmusic.score import notation_writer

        files["musicxml"] = path.with_suffix(".musicxml")
        notation_writer.write_musicxml(song.score, files["musicxml"])
    names = {suffix: file.name for suffix, file in files.items()}
    return {"name": path.stem, "files": names, "wall_s": round(time.monotonic() - started, 3)}


def _page(folder: Path, songs: list[Song], rows: list[dict[str, Any]], config: GenerateConfig) -> Path:
    cards = []
    for song, row in zip(songs, rows, strict=True):
        facts = {
            "bars": str(row["bars"]),
            "seconds": f"{row['seconds']:.1f}",
            "notes": str(row["notes"]),
            "nats per token": f"{row['nats_per_token']:.3f}",
            "illegal events": str(row["illegal"]),
            "seed": f"{row['seed']} (song {row['number']})",
        }
        if shares := _shares(row):
            facts["originality"] = shares[0]
        if "chosen" in row:
            facts["chosen"] = row["chosen"]["why"]
        if remarks := _remarks(row):
            facts["remarks"] = ", ".join(remarks)
        told = {} if song.surprise is None else song.surprise._asdict()
        cards.append(PageSong(row["name"], song.score, row["files"], facts, **told))
    length = f"{config.length.bars:g} bars" if config.length.bars else ""
    length = length or (f"{config.length.seconds:g} s" if config.length.seconds else "until the model ends")
    length = "that of the piece" if config.infill.piece else length
    changed = asked(config, rows)
    settings = {
        "checkpoint": config.checkpoint,
        "temperature": "greedy" if config.greedy else changed.get("temperature", config.temperature),
        "seed": config.seed,
        "length": length,
        "primer": Path(config.primer).name if config.primer else "none",
    }
    shown = {*settings, "greedy", "length.bars", "length.seconds"}
    settings |= {key: value for key, value in changed.items() if key not in shown}
    return write_page(folder, cards, title=f"{config.songs} songs by {Path(config.checkpoint).name}", settings=settings)
