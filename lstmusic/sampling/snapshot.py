"""Where a song stands, as a thing of its own: kept in a file, gone on from in several ways, blended with another.

A file of one is JSON: the ids so far, and base64 of what the stack carries, each with its checksum.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmusic import __version__
from lstmusic.errors import ConfigError, IllegalSequenceError, MissingFileError
from lstmusic.events.grammar import Grammar
from lstmusic.files import whole
from lstmusic.models.model import Model
from lstmusic.models.stack import State
from lstmusic.packing import pack, unpack
from lstmusic.schema.checks import check_printable

FORMAT = "lstmusic snapshot 1"
WANTED = "expected a file that state.save= wrote"
TEXTS = ("name", "checkpoint", "encoding", "model_sha256")

Parts = tuple[np.ndarray, ...]
"""What the stack carries for one song: each float32 [L, H], the parts of `stack.State` without their lanes."""


@dataclass(frozen=True)
class Origin:
    """The song in which a snapshot was taken. The song of this very seed, number and attempt goes on as it did there.

    Attributes:
        seed, song, attempt: as its provenance has them; songs are numbered from 1.
        drawn: how many numbers its generator had given.
    """

    seed: int
    song: int
    attempt: int
    drawn: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not int or value < 0:
                raise TypeError(f"{name} is {value!r:.20}")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A moment of a piece.

    Attributes:
        ids: whole groups from BOS on, int64 [N], no ending.
        state: what the stack carries after all of them but the last group, which is read next.
        model_sha256: of the weights that heard them.
        name: whatever it is called.
        told: the state of the half that was told of density and pitch classes; None: nothing was asked for.
        origin: None: the ids were not drawn, or the state is a blend.
        checkpoint, encoding: what the model was opened by, and how it writes music; for people who read the file.
        bars: of music so far, by the encoding's own meter.

    Raises:
        ConfigError: a text is not printable, or the bars are no number.
    """

    ids: np.ndarray
    state: Parts
    model_sha256: str
    name: str = ""
    told: Parts | None = None
    origin: Origin | None = None
    checkpoint: str = ""
    encoding: str = ""
    bars: float = 0.0

    def __post_init__(self) -> None:
        for name in TEXTS:
            check_printable(name, getattr(self, name))
        if not 0 <= self.bars < math.inf:
            raise ConfigError(f"bars={self.bars}: expected a number from 0")

    def blended(self, other: Snapshot, share: float) -> Snapshot:
        """A state between two: the ids of the nearer one, so that the grammar stands where it does.

        Each part is (1 - share) of this one and share of the other one.

        Args:
            other: of the same model.
            share: 0 is this one, 1 the other one, 0.5 has the other one's ids.

        Raises:
            ConfigError: the share is none, or the snapshots are of two models.
        """
        if not 0 <= share <= 1:
            raise ConfigError(f"blend {share}: expected a share of 0 to 1")
        if self.model_sha256 != other.model_sha256:
            raise ConfigError(f"blend of two models, {self.of_model} and {other.of_model}: expected one")
        if share in (0, 1):
            return other if share else self
        nearer, told = (self if share < 0.5 else other), None
        if self.told is not None or other.told is not None:
            told = _between(self.told or self.state, other.told or other.state, share)
        name = f"{share:g} of the way from {self.name or 'one'} to {other.name or 'another'}"
        return replace(nearer, state=_between(self.state, other.state, share), told=told, name=name, origin=None)

    def length(self, grammar: Grammar) -> tuple[float, float]:
        """Bars and seconds of music so far, by the encoding's own meter and tempo."""
        after = grammar.trajectory(np.r_[self.ids, grammar.bos()])[len(self.ids) :][:1]  # before the first id to come
        bars, seconds = grammar.length(after)
        return bars.item(), seconds.item()

    @property
    def of_model(self) -> str:
        """The model in a few words."""
        return f"{self.checkpoint or 'a model'} (sha256 {self.model_sha256[:12]}…)"

    def check(self, model: Model, grammar: Grammar, model_sha256: str) -> None:
        """Raise ConfigError where songs of a model cannot go on from here."""
        if self.model_sha256 != model_sha256:
            raise ConfigError(f"taken with the model {self.of_model}, expected the one at hand, {model_sha256[:12]}…")
        expected = [(len(part), part.shape[2]) for part in model.initial_state(1)]
        for parts in (self.state, self.told):
            if parts is not None and (found := [part.shape for part in parts]) != expected:
                raise ConfigError(f"its state has parts of {found}, expected {expected}")
        try:
            grammar.check(self.ids)
        except IllegalSequenceError as error:
            raise ConfigError(f"its ids are not legal ({error}), expected those of a piece so far") from error
        if (self.ids == grammar.vocabulary.id("EOS")).any():
            raise ConfigError("its piece has ended, expected one that goes on")

    def lanes(self, count: int, device: torch.device) -> State:
        """The state for one lane, or for two of which the first is told what is asked for: each float [L, lanes, H]."""
        sides = [self.told or self.state, self.state][-count:]
        return tuple(torch.from_numpy(np.stack(parts, axis=1)).to(device) for parts in zip(*sides, strict=True))

    def to_json(self) -> dict[str, Any]:
        """The snapshot as values that JSON takes."""
        return {
            "format": FORMAT,
            "lstmusic": __version__,
            **{name: getattr(self, name) for name in TEXTS},
            "bars": float(self.bars),
            "origin": None if self.origin is None else asdict(self.origin),
            "ids": pack(self.ids),
            "state": _packed(self.state),
            "told": None if self.told is None else _packed(self.told),
        }

    @staticmethod
    def of_json(values: Mapping[str, Any]) -> Snapshot:
        """The snapshot that `to_json` told of.

        Raises:
            ConfigError: the values are damaged, or of another format.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise ConfigError(f"not {FORMAT!r}, {WANTED}")
        try:
            texts = {name: _text(name, values[name]) for name in TEXTS}
            return Snapshot(
                ids=unpack(values["ids"], "the snapshot"),
                state=_unpacked(values["state"]),
                told=None if values["told"] is None else _unpacked(values["told"]),
                origin=None if values["origin"] is None else Origin(**values["origin"]),
                bars=float(values["bars"]),
                **texts,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"damaged ({error!r:.60}), {WANTED}") from error

    def write(self, path: Path | str) -> Path:
        """Write a new file.

        Raises:
            ConfigError: there is one.
            OutputError: the folder is missing or not writable.
        """
        check_new(path)
        with whole(path) as beside:
            beside.write_text(json.dumps(self.to_json(), indent=1) + "\n")
        return Path(path)

    @staticmethod
    def read(path: Path | str) -> Snapshot:
        """The snapshot in a file; `check` tells whether it is one of a model.

        Raises:
            MissingFileError: there is no such file.
            ConfigError: it is damaged, or of another format.
        """
        if not Path(path).is_file():
            raise MissingFileError(f"state.load={path}: no such file, {WANTED}")
        try:
            return Snapshot.of_json(json.loads(Path(path).read_bytes()))
        except ConfigError as error:
            raise ConfigError(f"state.load={path}: {error}") from error
        except ValueError as error:
            raise ConfigError(f"state.load={path}: not JSON ({error!s:.60}), {WANTED}") from error


def check_new(path: Path | str) -> None:
    """Raise ConfigError where a file exists already."""
    if Path(path).exists():
        raise ConfigError(f"state.save={path}: exists already, expected a name for a new file")


def _between(ours: Parts, theirs: Parts, share: float) -> Parts:
    return tuple(((1 - share) * a + share * b).astype(np.float32) for a, b in zip(ours, theirs, strict=True))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r:.20}")
    return value


def _packed(parts: Parts) -> dict[str, Any]:
    """Parts as values that JSON takes: their shapes, checksum, and base64 of their numbers, all in a row."""
    data = b"".join(np.ascontiguousarray(part, "<f4").tobytes() for part in parts)
    return {
        "shapes": [list(part.shape) for part in parts],
        "sha256": hashlib.sha256(data).hexdigest(),
        "float32": base64.b64encode(data).decode(),
    }


def _unpacked(values: Mapping[str, Any]) -> Parts:
    """The parts of `_packed`.

    Raises:
        ConfigError: they are damaged.
    """
    try:
        data = base64.b64decode(values["float32"], validate=True)
        numbers = np.frombuffer(data, "<f4").astype(np.float32)
        ends = np.cumsum([int(np.prod(shape)) for shape in values["shapes"]])
        pieces = np.split(numbers, ends[:-1])
        parts = tuple(part.reshape(shape) for part, shape in zip(pieces, values["shapes"], strict=True))
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"its state is damaged ({error!r:.60}), {WANTED}") from error
    if hashlib.sha256(data).hexdigest() != values["sha256"] or not np.isfinite(numbers).all():
        raise ConfigError(f"its state is damaged, {WANTED}")
    return parts
