"""One class for each command: what its keys may hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lstmusic.errors import ConfigError
from lstmusic.schema.checks import at_least, check_jobs, one_of
from lstmusic.schema.generate import SEEDS, GenerateConfig
from lstmusic.schema.groups import (
    DataConfig,
    EncodingConfig,
    FiltersConfig,
    LimitsConfig,
    ModelConfig,
    ParallelConfig,
    TrainerConfig,
)


@dataclass
class PrepareConfig:
    """`lstmusic prepare`; see conf/prepare.yaml."""

    data: DataConfig
    encoding: EncodingConfig
    trainer: TrainerConfig  # comes with the encoding; nothing here reads it
    filters: FiltersConfig = field(default_factory=FiltersConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    jobs: int = -1
    seed: int = 0

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        check_jobs(self.jobs)
        self.encoding.suit(self.data)


@dataclass
class TrainConfig:
    """`lstmusic train`; see conf/train.yaml."""

    data: DataConfig
    encoding: EncodingConfig
    model: ModelConfig
    trainer: TrainerConfig
    filters: FiltersConfig = field(default_factory=FiltersConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    jobs: int = -1
    seed: int = 0
    resume: str | None = None
    init_from: str | None = None

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        check_jobs(self.jobs)
        self.encoding.suit(self.data)
        writes_frames = self.model.output != "ids"
        if writes_frames != (self.encoding.name == "frames"):
            expected = "frames" if writes_frames else "another one, or model=frames"
            kind = "a model of frames" if writes_frames else "a model of ids"
            raise ConfigError(f"encoding={self.encoding.name}: came with {kind}, expected {expected}")


@dataclass
class ReproduceConfig:
    """`lstmusic reproduce`; see conf/reproduce.yaml."""

    song: str | None = None
    checkpoint: str | None = None


@dataclass
class EvaluateConfig:
    """`lstmusic evaluate`; see conf/evaluate.yaml. The encoding is the checkpoint's, whatever the data set names."""

    checkpoint: str = "bach"
    split: str = "valid"
    songs: int = 0
    seed: int = 0
    temperature: float = 1.0
    jobs: int = -1
    data: DataConfig | None = None
    encoding: EncodingConfig | None = None
    trainer: TrainerConfig | None = None

    def __post_init__(self) -> None:
        one_of("split", self.split, ("train", "valid", "test"))
        at_least("songs", self.songs, 0)
        at_least("seed", self.seed, 0)
        if self.seed + self.songs > SEEDS:
            raise ConfigError(
                f"seed={self.seed}: expected at most {SEEDS - self.songs}, as songs of several seeds follow"
            )
        check_jobs(self.jobs)


@dataclass
class InspectConfig:
    """`lstmusic inspect`; see conf/inspect.yaml."""

    checkpoint: str = "bach"
    piece: str | None = None
    compare: list[str] = field(default_factory=list)
    memory: bool = True
    split: str = "valid"
    jobs: int = -1
    walkthrough: bool = False
    cell: str = "lstm"

    def __post_init__(self) -> None:
        one_of("split", self.split, ("train", "valid", "test"))
        one_of("cell", self.cell, ("rnn", "lstm", "gru"))
        check_jobs(self.jobs)


@dataclass
class ListenConfig:
    """`lstmusic listen`; see conf/listen.yaml."""

    path: str = "outputs"
    port: int = 7860
    open: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port={self.port}: expected 0 to 65535")


@dataclass
class BenchConfig:
    """`lstmusic bench`; see conf/bench.yaml. Of a data set its files alone are taken."""

    data: DataConfig
    table: str = "encoding"
    pieces: int | None = 200
    minutes: float | None = None
    seeds: int | None = None
    models: str | None = None
    songs: int | None = None
    encoding: EncodingConfig | None = None
    trainer: TrainerConfig | None = None

    def __post_init__(self) -> None:
        if self.pieces is not None:
            at_least("pieces", self.pieces, 1)
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ConfigError(f"minutes={self.minutes}: expected a positive number")
        if self.seeds is not None:
            at_least("seeds", self.seeds, 1)
        if self.songs is not None:
            at_least("songs", self.songs, 1)


@dataclass
class DoctorConfig:
    """`lstmusic doctor`."""


SCHEMAS: dict[str, type] = {
    "generate": GenerateConfig,
    "reproduce": ReproduceConfig,
    "prepare": PrepareConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "inspect": InspectConfig,
    "listen": ListenConfig,
    "bench": BenchConfig,
    "doctor": DoctorConfig,
}
