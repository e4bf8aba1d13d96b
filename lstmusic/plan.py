"""Plan: all that decides a song beside its model, as plain values that fit into a MIDI file and back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
import torch

from lstmusic.errors import ConfigError
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings

T = TypeVar("T")
SECTIONS: dict[str, type] = {
    "sampling": SamplingSettings,
    "length": Length,
    "control": Controls,
    "repetition": Repetition,
}
MAX_PRIMER_BYTES = 2**25  # what a packed primer may unfold to


@dataclass(frozen=True)
class Plan:
    """What songs are asked for.

    Attributes:
        seed: with a song's number it decides the song.
        sampling, length, control, repetition: see their classes.
        weights: how the stepper holds the weights.
        primer: ids that the songs begin with, without an ending, int64 [N]; None: none.
        primer_in_output: whether the songs contain them.
    """

    seed: int = 0
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    length: Length = field(default_factory=Length)
    control: Controls = field(default_factory=Controls)
    repetition: Repetition = field(default_factory=Repetition)
    weights: str = "float32"
    primer: np.ndarray | None = None
    primer_in_output: bool = True

    def facts(self) -> dict[str, Any]:
        """The plan as values that JSON takes, the primer's ids and all."""
        sections = {name: _plain(asdict(getattr(self, name))) for name in SECTIONS}
        primer = None if self.primer is None else {"sha256": sha256(self.primer), "ids": pack(self.primer)}
        return {
            "seed": self.seed,
            **sections,
            "weights": self.weights,
            "primer": primer,
            "primer_in_output": self.primer_in_output,
        }

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Plan:
        """The plan that `facts` tells of; other keys beside it do not matter.

        Raises:
            ConfigError: a setting is missing, unknown to this version, or damaged.
        """
        try:
            sections: dict[str, Any] = {name: _section(kind, name, facts[name]) for name, kind in SECTIONS.items()}
            primer = None if facts["primer"] is None else unpack(facts["primer"]["ids"])
            if primer is not None and sha256(primer) != facts["primer"]["sha256"]:
                raise ConfigError("provenance: the primer's ids are damaged, expected those of its sha256")
            return Plan(
                seed=facts["seed"],
                **sections,
                weights=facts["weights"],
                primer=primer,
                primer_in_output=facts["primer_in_output"],
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigError(f"provenance: {error!r:.80}, expected all settings of a song") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def _frozen(value: Any) -> Any:
    """Lists as the tuples that settings are made of."""
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list) else value


def _section(kind: type[T], name: str, values: Mapping[str, Any]) -> T:
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(f"provenance: {name}.{key} is not known here, expected a song of this version or before")
    return kind(**_frozen(dict(values)))


def sha256(ids: np.ndarray) -> str:
    """The checksum of ids."""
    return hashlib.sha256(np.asarray(ids, np.int64).tobytes()).hexdigest()


def pack(ids: np.ndarray) -> str:
    """Ids as text: base64 of deflated 16-bit numbers."""
    return base64.b64encode(zlib.compress(np.asarray(ids).astype("<u2").tobytes(), 9)).decode()


def unpack(text: str) -> np.ndarray:
    """The ids of `pack`, int64 [N].

    Raises:
        ConfigError: the text is damaged.
    """
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), MAX_PRIMER_BYTES)
        return np.frombuffer(data, "<u2").astype(np.int64)
    except (zlib.error, binascii.Error, ValueError) as error:
        raise ConfigError("provenance: the primer's ids are damaged, expected what lstmusic wrote") from error


def machine() -> dict[str, Any]:
    """What of this machine decides how numbers are rounded."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
