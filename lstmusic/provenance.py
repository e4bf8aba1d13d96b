"""Provenance: what a song says it was made by, as plain values that fit into its MIDI file, and read back, checked.

It is a JSON object in the first text event of a MIDI file: the plan of its run (`Plan.facts`), and

    lstmusic, checkpoint, model_sha256    the version, the model's name and the hash of its weights
    song, attempt    which song of its seed it is
    machine    what its numbers were rounded by (`machine`)
    music_sha256    of the music beside it (`fingerprint`), so that a later change can be told
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from lstmusic import __version__
from lstmusic.errors import ConfigError, MissingFileError, ReadError
from lstmusic.infilling import Task
from lstmusic.packing import pack, unpack
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.snapshot import Snapshot
from lstmusic.schema.generate import SEEDS
from lstmusic.score import Score

T = TypeVar("T")
SECTIONS: dict[str, type] = {
    "sampling": SamplingSettings,
    "length": Length,
    "control": Controls,
    "repetition": Repetition,
}
OWN_KINDS: dict[str, type] = {
    **dict.fromkeys(("lstmusic", "checkpoint", "model_sha256", "music_sha256", "weights"), str),
    **dict.fromkeys(("seed", "song", "attempt"), int),
    **dict.fromkeys(("machine", *SECTIONS), dict),
    "primer_in_output": bool,
}
OPTIONAL = ("infill", "start")  # only where it was asked for, as songs of earlier versions have it not
LOWEST = {"seed": 0, "song": 1, "attempt": 0}
BEGINNING = '{"lstmusic"'  # of the text event
WANTED = "expected a MIDI file that lstmusic generate wrote"


@dataclass(frozen=True)
class Plan:
    """What songs are asked for.

    Attributes:
        seed: with a song's number it decides the song.
        sampling, length, control, repetition: see their classes.
        weights: how the stepper holds the weights.
        primer: ids that the songs begin with, without an ending, int64 [N]; None: none.
        primer_in_output: whether the songs contain them, or what `start` has heard.
        infill: the piece that is written anew in part; None: the songs are new.
        start: where the songs go on from instead of from a primer; None: they begin.
    """

    seed: int = 0
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    length: Length = field(default_factory=Length)
    control: Controls = field(default_factory=Controls)
    repetition: Repetition = field(default_factory=Repetition)
    weights: str = "float32"
    primer: np.ndarray | None = None
    primer_in_output: bool = True
    infill: Task | None = None
    start: Snapshot | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEEDS:
            raise ConfigError(f"seed={self.seed}: expected 0 to {SEEDS - 1}")

    def facts(self) -> dict[str, Any]:
        """The plan as values that JSON takes, the primer's ids and all."""
        sections = {name: _plain(asdict(getattr(self, name))) for name in SECTIONS}
        primer = None if self.primer is None else pack(self.primer)
        return {
            "seed": int(self.seed),
            **sections,
            "weights": self.weights,
            "primer": primer,
            "primer_in_output": self.primer_in_output,
            **({} if self.infill is None else {"infill": self.infill.facts()}),
            **({} if self.start is None else {"start": self.start.to_json()}),
        }

    @property
    def prefix(self) -> np.ndarray | None:
        """The ids that the songs begin with, int64 [N]; None: none but BOS."""
        return self.primer if self.start is None else self.start.ids

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Plan:
        """The plan that `facts` tells of; other keys beside it do not matter.

        Raises:
            ConfigError: a setting is missing, unknown to this version, or damaged.
        """
        try:
            sections: dict[str, Any] = {name: _section(kind, name, facts[name]) for name, kind in SECTIONS.items()}
            primer = None if facts["primer"] is None else unpack(facts["primer"], "provenance: the primer")
            return Plan(
                seed=facts["seed"],
                **sections,
                weights=facts["weights"],
                primer=primer,
                primer_in_output=facts["primer_in_output"],
                infill=Task.of(facts["infill"]) if "infill" in facts else None,
                start=Snapshot.of_json(facts["start"]) if "start" in facts else None,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"provenance: {error!r:.80}, expected all settings of a song") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def _frozen(value: Any) -> Any:
    """Lists as the tuples that settings are made of."""
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list) else value


def _section(kind: type[T], name: str, values: Mapping[str, Any]) -> T:
    known = {item.name: item.type for item in fields(kind)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"provenance: {name}.{key} is not known here, expected a song of this version or before")
        if known[key] == "bool" and not isinstance(value, bool):
            raise ConfigError(f"provenance: {name}.{key} is {value!r:.40}, expected true or false")
    return kind(**_frozen(dict(values)))


def machine() -> dict[str, Any]:
    """What of this machine decides how numbers are rounded."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def fingerprint(score: Score) -> str:
    """SHA-256 of the music as a MIDI file of it would be read; texts do not count."""
    score = score.canonical()
    tracks = [asdict(track) for track in score.tracks]
    told = hashlib.sha256(json.dumps([score.ticks_per_quarter, score.pickup_tick, tracks]).encode())
    for rows in (score.notes, score.tempi, score.meters, score.keys, score.pedals):
        told.update(len(rows).to_bytes(8, "little") + rows.tobytes())
    return told.hexdigest()


def facts_about(plan: Plan, model: str, model_sha256: str) -> dict[str, Any]:
    """The provenance that all songs of a plan have in common; `model` is the name that the model was opened by."""
    return {
        "lstmusic": __version__,
        "checkpoint": model,
        "model_sha256": model_sha256,
        **plan.facts(),
        "machine": machine(),
    }


def of_song(facts: dict[str, Any], song: int, attempt: int, score: Score) -> dict[str, Any]:
    """The provenance of one song.

    Args:
        facts: of `facts_about`.
        song: its number, from 1. attempt: which seed of it came out with notes, from 0.
        score: the music in its file.
    """
    return {**facts, "song": song, "attempt": attempt, "music_sha256": fingerprint(score)}


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
    for name, kind in OWN_KINDS.items():
        if type(facts.get(name)) is not kind:
            came = f"{facts[name]!r:.40}" if name in facts else "missing"
            raise ConfigError(f"provenance: {name} is {came}, expected {kind.__name__}")
    for name, lowest in LOWEST.items():
        if facts[name] < lowest:
            raise ConfigError(f"provenance: {name} is {facts[name]}, expected at least {lowest}")
    if unknown := [name for name in facts if name not in {*OWN_KINDS, *OPTIONAL, *Plan().facts()}]:
        raise ConfigError(f"provenance: {unknown[0]} is not known here, expected a song of this version or before")
    Plan.of(facts)
