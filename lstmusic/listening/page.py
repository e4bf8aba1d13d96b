"""A folder of songs as one HTML page that plays them without a network, a server or anything to install.

The page is `page.html` beside this file; Python fills in its title and one block of JSON, from which the page draws.
Text reaches the page as text only, so that no name can become markup.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np

from lstmusic.files import whole
from lstmusic.listening import palette
from lstmusic.score import Score

TEMPLATE = Path(__file__).with_name("page.html")
AUDIO_SUFFIXES = ("wav", "ogg", "mp3", "flac")  # what the page plays, the first that a song has


@dataclass(frozen=True)
class PageSong:
    """One song on the page.

    Attributes:
        name: its heading.
        score: what the page draws, and plays where there is no audio file.
        files: suffix ("mid", "wav", …) to file name, relative to the page's folder.
        facts: short lines such as {"bars": "16", "nats per token": "0.81"}.
        note_nats: how surprising each note was to a model, [notes]; not a number where it was given, as in a primer.
        bar_nats: the same of each bar, [bars].
        pictures: below the song, what each shows to its file name, relative to the page's folder.
    """

    name: str
    score: Score
    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    note_nats: np.ndarray | None = None
    bar_nats: np.ndarray | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)


def write_page(folder: Path | str, songs: Sequence[PageSong], *, title: str, settings: Mapping[str, object]) -> Path:
    """Write `index.html` into `folder`, whole or not at all.

    Args:
        folder: where the songs' files are.
        songs: in the order of the page.
        title: the page's heading.
        settings: what the songs were made with, key to value, shown as a table.

    Returns:
        The path of the page.

    Raises:
        OutputError: the page cannot be written.
    """
    data = {
        "title": title,
        "settings": [[str(key), str(value)] for key, value in settings.items()],
        "songs": [song_data(song) for song in songs],
    }
    before, _, after = TEMPLATE.read_text("utf-8").partition("{{data}}")
    before = before.replace("{{title}}", html.escape(title))
    path = Path(folder) / "index.html"
    with whole(path) as beside:
        beside.write_text(before + script_json(data) + after, "utf-8")
    return path


def song_data(song: PageSong) -> dict:
    """What the page needs of one song; times in seconds, notes as [onset, length, pitch, velocity, voice]."""
    score, notes = song.score, song.score.notes
    onset_s = score.seconds(notes["onset_tick"])
    length_s = score.seconds(notes["onset_tick"] + notes["duration_tick"]) - onset_s
    columns = (onset_s.round(3), length_s.round(3), notes["pitch"], notes["velocity"], notes["track"])
    names = palette.track_names(score)
    low, high = palette.pitch_range(score)
    files = {suffix.lstrip(".").lower(): quote(name) for suffix, name in song.files.items()}
    return {
        "name": song.name,
        "facts": [[str(key), str(value)] for key, value in song.facts.items()],
        "files": list(files.items()),
        "audio": next((files[suffix] for suffix in AUDIO_SUFFIXES if suffix in files), None),
        "length": round(score.length_s, 3),
        "first_bar": score.first_bar,
        "bars": score.seconds(score.bar_ticks()).round(3).tolist(),
        "voices": [{"name": names[track], "colour": palette.colour_of(track)} for track in range(len(names))],
        "used": palette.used_tracks(score),
        "drums": [number for number, track in enumerate(score.tracks) if track.drum],
        "low": low,
        "high": high,
        "notes": [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)],
        "note_nats": _numbers(song.note_nats),
        "bar_nats": _numbers(song.bar_nats),
        "pictures": [[words, quote(name)] for words, name in song.pictures.items()],
    }


def _numbers(values: np.ndarray | None) -> list[float | None] | None:
    """Figures as JSON has them: nothing where there is no number."""
    if values is None:
        return None
    return [round(value, 3) if math.isfinite(value) else None for value in np.asarray(values, float).tolist()]


def script_json(data: object) -> str:
    """JSON that cannot end the script element it stands in, whatever its strings say."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII: no line separators either
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
