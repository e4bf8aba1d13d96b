"""A song made again from its provenance, and in words what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lstmusic import __version__
from lstmusic.errors import ConfigError
from lstmusic.listening.difference import first_difference
from lstmusic.music_model import MusicModel
from lstmusic.provenance import SECTIONS, Plan, fingerprint, machine
from lstmusic.sampling.controls import ALL_VOICES
from lstmusic.score import Score
from lstmusic.writing import Song

TYPED = {"sampling.temperature": "temperature", "sampling.greedy": "greedy", "control.ranges": "control.range"}


def changed_settings(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a provenance that are not the default, by the keys that `lstmusic generate` has for them."""
    usual = Plan().facts()
    changed = {name: facts[name] for name in ("weights", "primer_in_output") if facts[name] != usual[name]}
    for section in SECTIONS:
        values = facts[section].items()
        changed |= {f"{section}.{key}": value for key, value in values if value != usual[section].get(key)}
    changed = {TYPED.get(key, key): value for key, value in changed.items()}
    if changed.get("control.range", {}).keys() == {ALL_VOICES}:
        changed["control.range"] = changed["control.range"][ALL_VOICES]
    if facts["primer"]:
        changed["primer"] = f"sha256 {facts['primer']['sha256'][:12]}…"
    if start := facts.get("start"):
        changed["state.load"] = start["name"] or f"sha256 {start['state']['sha256'][:12]}…"
    if infill := facts.get("infill"):
        changed["infill.piece"] = f"sha256 {infill['piece']['sha256'][:12]}…"
        changed |= {f"infill.{key}": infill[key] for key in ("bars", "keep", "particles") if infill[key]}
    return changed


def check_model(facts: Mapping[str, Any], model: MusicModel) -> None:
    """Raise ConfigError where a model is another one than the song of a provenance was written by."""
    if model.folder.sha256 != facts["model_sha256"]:
        here, there = model.folder.sha256[:12], facts["model_sha256"][:12]
        raise ConfigError(
            f"checkpoint={model.name}: sha256 of its weights {here}…, expected {there}…, which wrote the song"
        )


def reproduce(facts: Mapping[str, Any], model: MusicModel, written: Score) -> Song:
    """Make the song of a provenance again, with that very provenance inside: where the model lies now does not count.

    Args:
        facts: the provenance.
        written: the music in its file.

    Raises:
        ConfigError: the model is another one than the song was written by.
    """
    check_model(facts, model)
    song = model.regenerate(dict(facts), written)
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
