"""`lstmusic generate`: songs, sounds, pictures and a page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from lstmusic import music_model
from lstmusic.commands import output
from lstmusic.config import Request
from lstmusic.errors import ConfigError
from lstmusic.listening import soundfont
from lstmusic.listening.page import PageSong, write_page
from lstmusic.music_model import Song
from lstmusic.sampling.sampler import SamplingSettings
from lstmusic.schema import GenerateConfig, RenderConfig
from lstmusic.score import Score, midi


def run(request: Request) -> dict[str, Any]:
    """Generate songs into the request's folder; the report."""
    config: GenerateConfig = request.config
    console = Console()
    SamplingSettings(config.temperature, **config.sampling.__dict__, greedy=config.greedy)  # checked before any work
    if config.render.soundfont is not None and not Path(config.render.soundfont).is_file():
        raise ConfigError(f"render.soundfont={config.render.soundfont}: no such file, expected an .sf2 file")
    if config.render.soundfont is not None and config.render.wav and not config.render.fluidsynth:
        soundfont.load(Path(config.render.soundfont))
    primer = None if config.primer is None else Score.read(config.primer)
    model = music_model.load(config.checkpoint)
    folder = output.open_folder(request)
    started = time.monotonic()
    songs = model.generate(
        config.songs,
        temperature=config.temperature,
        seed=config.seed,
        **config.sampling.__dict__,
        greedy=config.greedy,
        length_bars=config.length.bars,
        length_seconds=config.length.seconds,
        primer=primer,
        primer_in_output=config.primer_in_output,
    )
    sampling_s = time.monotonic() - started
    rows = [_render(song, folder / f"song-{i:03d}.mid", config.render) for i, song in enumerate(songs, 1)]
    for row, song in zip(rows, songs, strict=True):
        row.update(song.report)
        console.print(
            f"{folder / row['files']['mid']}  {row['bars']} bars  {row['seconds']:.1f} s  {row['notes']} notes  "
            f"{row['nats_per_token']:.3f} nats per token  illegal: {row['illegal']}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    closed = sum(song.report["closed_at_limit"] for song in songs)
    if closed:
        console.print(f"{closed} songs had not ended by themselves and were closed at the limit; see length.bars=")
    for reason, count in songs[0].report["primer_changes"].items():
        console.print(f"primer: {count} {reason}", markup=False)
    results: dict[str, Any] = {"checkpoint": model.name, "model_sha256": model.folder.sha256, "songs": rows}
    results["tokens_per_second"] = round(sum(song.report["new_ids"] for song in songs) / sampling_s, 1)
    results["sampling_s"] = round(sampling_s, 3)
    if config.render.page:
        results["page"] = _page(folder, songs, rows, request).name
        console.print(f"{folder / results['page']}  all songs on one page", markup=False, soft_wrap=True)
    results["wall_s"] = round(time.monotonic() - started, 3)
    return output.write_report(folder, "generate", request, results)


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


def _page(folder: Path, songs: list[Song], rows: list[dict[str, Any]], request: Request) -> Path:
    cards = []
    for song, row in zip(songs, rows, strict=True):
        facts = {
            "bars": str(row["bars"]),
            "seconds": f"{row['seconds']:.1f}",
            "notes": str(row["notes"]),
            "nats per token": f"{row['nats_per_token']:.3f}",
            "illegal events": str(row["illegal"]),
            "seed": f"{row['seed']} (song {row['name'].split('-')[-1].lstrip('0')})",
        }
        told = {} if song.surprise is None else song.surprise._asdict()
        cards.append(PageSong(row["name"], song.score, row["files"], facts, **told))
    config: GenerateConfig = request.config
    length = f"{config.length.bars:g} bars" if config.length.bars else ""
    length = length or (f"{config.length.seconds:g} s" if config.length.seconds else "until the model ends")
    settings = {
        "checkpoint": config.checkpoint,
        "temperature": "greedy" if config.greedy else config.temperature,
        **config.sampling.__dict__,
        "seed": config.seed,
        "length": length,
        "primer": Path(config.primer).name if config.primer else "none",
    }
    return write_page(folder, cards, title=f"{config.songs} songs by {Path(config.checkpoint).name}", settings=settings)
