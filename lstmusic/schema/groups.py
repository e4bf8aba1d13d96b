"""One class for each group of conf/: what its keys may hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from lstmusic.errors import ConfigError
from lstmusic.schema.checks import at_least, one_of

MAX_STRETCH = 0.5
CELLS = (
    *("lstm", "gru", "rnn"),
    *("rnn_relu", "gru_v1", "lstm_ln", "lstm_peephole", "lstm_mogrifier", "mingru", "minlstm", "slstm"),
)
SCANNED = ("mingru", "minlstm")  # the cells without a matrix that reads the state
OUTPUTS = ("ids", "independent", "joint")  # the latter two are those of frame models
# Frames in a quarter of each subset of polymusic, found by comparing lengths with the same music in jsb16 and in the
# Nottingham MIDI files; MuseData and Piano-midi.de are taken to be like Nottingham.
FRAMES_PER_QUARTER = {"JSB_Chorales": 1, "Nottingham": 2, "MuseData": 2, "Piano_midi": 2}
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
BACKENDS = ("loky", "ray", "dask")
MIN_VARIED_BPTT = 10  # steps: windows that vary fall to half of it, and none is shorter than five
AVERAGES = ("ema", "asgd", "none")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "bf16-true", "64-true")


@dataclass
class DataFile:
    """A file that a data set comes as: its name in `$LSTMUSIC_DATA_DIR/<data set>/`, and its address if it has one."""

    name: str
    sha256: str
    url: str = ""


@dataclass
class DataConfig:
    """Where pieces come from; see conf/data."""

    name: str
    path: str | None = None
    subset: str | None = None
    files: list[DataFile] = field(default_factory=list)
    licence: str = ""
    citation: str = ""
    cache: str = "data/prepared"
    downloads: str = "data/downloads"

    def __post_init__(self) -> None:
        if self.path and self.name != "folder":
            raise ConfigError(f"data.path={self.path}: belongs to data=folder, came with data={self.name}")
        if self.subset and self.name != "polymusic":
            raise ConfigError(f"data.subset={self.subset}: belongs to data=polymusic, came with data={self.name}")


@dataclass
class FiltersConfig:
    """Which files a corpus takes, and which repairs it makes; see conf/filters for what each key means."""

    min_notes: int = 8
    min_seconds: float = 1.0
    max_seconds: float = 14_400.0
    min_pitches: int = 2
    require_drums: bool = False
    drums_by_name: bool = True
    duplicates: bool = False
    near_duplicates: bool = True

    def __post_init__(self) -> None:
        for name in ("min_notes", "min_pitches"):
            at_least(f"filters.{name}", getattr(self, name), 1)
        at_least("filters.min_seconds", self.min_seconds, 0)
        at_least("filters.max_seconds", self.max_seconds, max(self.min_seconds, 1))


@dataclass
class LimitsConfig:
    """What one file may cost before it is set aside; see conf/limits."""

    seconds: float = 30.0
    memory_mb: int = 2048

    def __post_init__(self) -> None:
        at_least("limits.seconds", self.seconds, 0.1)
        at_least("limits.memory_mb", self.memory_mb, 256)


@dataclass
class ParallelConfig:
    """Who does the reading; see conf/parallel."""

    backend: str = "loky"
    address: str | None = None

    def __post_init__(self) -> None:
        one_of("parallel.backend", self.backend, BACKENDS)
        if self.address and self.backend == "loky":
            raise ConfigError(
                f"parallel.address={self.address}: belongs to ray and dask, came with parallel.backend=loky"
            )


@dataclass
class EncodingConfig:
    """How music becomes ids; see conf/encoding. An option that belongs to another encoding is empty."""

    name: str
    strikes: bool | None = None  # chorale
    grouped: bool | None = None  # metrical
    pedals: bool | None = None  # performance
    conditions: bool | None = None  # chorale, melody, metrical, performance
    tokenizer: str | None = None  # miditok
    frames_per_quarter: int | None = None  # frames

    def options(self) -> dict[str, Any]:
        """What the codec is built with; conditions only where they are wanted, as in codecs that have none."""
        given = {key: value for key, value in vars(self).items() if key != "name" and value is not None}
        return given if self.conditions else {key: value for key, value in given.items() if key != "conditions"}

    def suit(self, data: DataConfig) -> None:
        """Fill in what follows from the data set: how long a frame is in the piano rolls of polymusic."""
        if self.name == "frames" and self.frames_per_quarter is None:
            self.frames_per_quarter = FRAMES_PER_QUARTER.get(data.subset or "", 2)


@dataclass
class ModelConfig:
    """Sizes of the network; see conf/model."""

    cell: str = "lstm"
    embedding_size: int = 256
    hidden_size: int = 512
    num_layers: int = 2
    input_dropout: float = 0.1
    dropout: float = 0.5
    head_dropout: float = 0.2
    weight_drop: float = 0.0
    embedding_dropout: float = 0.0
    tied: bool = True
    output: str = "ids"
    echoes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        one_of("model.cell", self.cell, CELLS)
        one_of("model.output", self.output, OUTPUTS)
        for name in ("embedding_size", "hidden_size", "num_layers"):
            may_be_empty = name == "embedding_size" and self.output == "independent"
            at_least(f"model.{name}", getattr(self, name), 0 if may_be_empty else 1)
        for name in ("input_dropout", "dropout", "head_dropout", "weight_drop", "embedding_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"model.{name}={getattr(self, name)}: expected 0 <= {name} < 1")
        if wrong := [lag for lag in self.echoes if lag < 2]:
            raise ConfigError(f"model.echoes={wrong[0]}: expected lags of 2 frames at least")
        if self.echoes and self.output == "ids":
            raise ConfigError(f"model.echoes={self.echoes}: belongs to model=frames, came with a model of ids")
        if self.weight_drop and self.cell in SCANNED:
            raise ConfigError(f"model.weight_drop={self.weight_drop}: {self.cell} has no recurrent matrix, expected 0")


@dataclass
class TrainerConfig:
    """How to train; see conf/trainer for what each key means."""

    max_minutes: float | None = 20.0
    max_steps: int | None = None
    bptt_length: int = 64
    num_lanes: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    max_grad_norm: float = 1.0
    ema_decay: float = 0.99
    max_semitones: int = 6
    max_stretch: float = 0.05
    patience: int = 30
    weights_dtype: str = "float32"
    accelerator: str = "auto"
    precision: str = "auto"
    average: str = "ema"
    vary_bptt: bool = False
    devices: str = "1"
    num_nodes: int = 1

    def __post_init__(self) -> None:
        for name in ("bptt_length", "num_lanes", "patience", "num_nodes"):
            at_least(f"trainer.{name}", getattr(self, name), 1)
        for name in ("max_minutes", "max_steps", "learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"trainer.{name}={value}: expected a positive number")
        for name in ("weight_decay", "max_semitones"):
            at_least(f"trainer.{name}", getattr(self, name), 0)
        if not 0 <= self.max_stretch <= MAX_STRETCH:
            raise ConfigError(f"trainer.max_stretch={self.max_stretch}: expected 0 to {MAX_STRETCH}")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"trainer.ema_decay={self.ema_decay}: expected 0 <= ema_decay < 1")
        if self.max_minutes is None and self.max_steps is None:
            raise ConfigError("trainer.max_minutes and trainer.max_steps: both empty, expected one of them at least")
        one_of("trainer.weights_dtype", self.weights_dtype, ("float32", "float16"))
        one_of("trainer.accelerator", self.accelerator, ACCELERATORS)
        one_of("trainer.precision", self.precision, PRECISIONS)
        one_of("trainer.average", self.average, AVERAGES)
        if self.precision == "bf16-true" and self.average != "none":
            raise ConfigError(
                f"trainer.precision=bf16-true trainer.average={self.average}: too coarse for a mean that moves in small "
                "steps, expected trainer.precision=bf16-mixed or trainer.average=none"
            )
        if self.vary_bptt and self.bptt_length < MIN_VARIED_BPTT:
            raise ConfigError(
                f"trainer.vary_bptt=true trainer.bptt_length={self.bptt_length}: expected at least {MIN_VARIED_BPTT}"
            )
        number = self.devices.isascii() and self.devices.isdecimal()
        if self.devices != "auto" and not (number and int(self.devices) > 0):
            raise ConfigError(f"trainer.devices={self.devices}: expected a number of processes, or auto")
