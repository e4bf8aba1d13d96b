"""What a song says it was made by, the song made again from that, and in words what differs.

The provenance is a JSON object in the first text event of a MIDI file: the plan of its run (`plan.Plan.facts`), and

    lstmusic, checkpoint, model_sha256    the version, the model's name and the hash of its weights
    song, attempt    which song of its seed it is
    machine    what its numbers were rounded by (`plan.machine`)
    music_sha256    of the music beside it (`fingerprint`), so that a later change can be told
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmusic import __version__
from lstmusic.errors import ConfigError, MissingFileError, ReadError
from lstmusic.listening.difference import first_difference
from lstmusic.plan import SECTIONS, Plan, machine
from lstmusic.score import Score

if TYPE_CHECKING:
    from lstmusic.music_model import MusicModel, Song

KINDS: dict[str, type] = {
    **dict.fromkeys(("lstmusic", "checkpoint", "model_sha256", "music_sha256", "weights"), str),
    **dict.fromkeys(("seed", "song", "attempt"), int),
    **dict.fromkeys(("machine", *SECTIONS), dict),
    "primer_in_output": bool,
}
LOWEST = {"seed": 0, "song": 1, "attempt": 0}
BEGINNING = '{"lstmusic"'  # of the text event
WANTED = "expected a MIDI file that lstmusic generate wrote"


def fingerprint(score: Score) -> str:
    """SHA-256 of the music as a MIDI file of it would be read; texts do not count."""
    score = score.canonical()
    tracks = [asdict(track) for track in score.tracks]
    told = hashlib.sha256(json.dumps([score.ticks_per_quarter, score.pickup_tick, tracks]).encode())
    for rows in (score.notes, score.tempi, score.meters, score.keys, score.pedals):
        told.update(len(rows).to_bytes(8, "little") + rows.tobytes())
    return told.hexdigest()


def facts_of(path: Path | str) -> dict[str, Any]:
    """The provenance inside a MIDI file, checked.

    Raises:
        MissingFileError: there is no such file.
        ReadError: it cannot be read, or holds no provenance, or a torn one.
        ConfigError: the provenance has other settings than those of this version, or damaged ones.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"song={path}: no such file, {WANTED}")
    texts = [text for tick, text in Score.read(path).texts if tick == 0 and text.startswith(BEGINNING)]
    if not texts:
        raise ReadError(f"song={path}: no provenance of lstmusic in it, {WANTED}")
    try:
        facts = json.loads(texts[0])
    except ValueError as error:
        raise ReadError(f"song={path}: its provenance is torn ({error}), {WANTED}") from error
    try:
        _check(facts)
    except ConfigError as error:
        versions = f"written by lstmusic {facts['lstmusic']}, this is {__version__}"
        raise ConfigError(f"song={path}: {error} ({versions})") from error
    return facts


def _check(facts: dict[str, Any]) -> None:
    """Raise ConfigError where a provenance is not one that this version writes."""
    for name, kind in KINDS.items():
        if type(facts.get(name)) is not kind:
            came = f"{facts[name]!r:.40}" if name in facts else "missing"
            raise ConfigError(f"provenance: {name} is {came}, expected {kind.__name__}")
    for name, lowest in LOWEST.items():
        if facts[name] < lowest:
            raise ConfigError(f"provenance: {name} is {facts[name]}, expected at least {lowest}")
    if unknown := [name for name in facts if name not in {*KINDS, *Plan().facts()}]:
        raise ConfigError(f"provenance: {unknown[0]} is not known here, expected a song of this version or before")
    Plan.of(facts)


def asked(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a provenance that are not the default, by name."""
    usual = Plan().facts()
    changed = {name: facts[name] for name in ("weights", "primer_in_output") if facts[name] != usual[name]}
    for section in SECTIONS:
        values = facts[section].items()
        changed |= {f"{section}.{key}": value for key, value in values if value != usual[section].get(key)}
    return changed | ({"primer": f"sha256 {facts['primer']['sha256'][:12]}…"} if facts["primer"] else {})


def check_model(facts: Mapping[str, Any], model: MusicModel) -> None:
    """Raise ConfigError where a model is another one than the song of a provenance was written by."""
    if model.folder.sha256 != facts["model_sha256"]:
        here, there = model.folder.sha256[:12], facts["model_sha256"][:12]
        raise ConfigError(
            f"checkpoint={model.name}: sha256 of its weights {here}…, expected {there}…, which wrote the song"
        )


def reproduce(facts: Mapping[str, Any], model: MusicModel) -> Song:
    """Make the song of a provenance again, with that very provenance inside: where the model lies now does not count.

    Raises:
        ConfigError: the model is another one than the song was written by.
    """
    check_model(facts, model)
    song = model.regenerate(dict(facts))
    return replace(song, score=replace(song.score, texts=((0, json.dumps(facts)), *song.score.texts[1:])))


def differences(facts: Mapping[str, Any], written: Score, made: Score) -> list[str]:
    """Why the bytes of a file and of its song made again are not the same, the surest reason first.

    Args:
        facts: the file's provenance.
        written: the music in the file.
        made: the music that its provenance gave here.
    """
    reasons = []
    where = first_difference(written, made.canonical())
    at = f", first at {where}" if where else ""
    if fingerprint(written) != facts["music_sha256"]:
        reasons.append(f"the music in it differs from what it says it was made by{at}")
    if fingerprint(made) != facts["music_sha256"]:
        then, now = {"lstmusic": facts["lstmusic"], **facts["machine"]}, {"lstmusic": __version__, **machine()}
        names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        reasons += [f"{name} {then.get(name)} then, {now.get(name)} now" for name in names]
        reasons.append(f"other music comes out here{at}")
    return reasons or ["its music is the same; another program wrote the file, or a text in it was changed"]
