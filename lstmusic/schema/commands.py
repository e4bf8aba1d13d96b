"""One class for each command: what its keys may hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from lstmusic.errors import ConfigError
from lstmusic.schema.checks import at_least, check_jobs, is_list_of, one_of
from lstmusic.schema.groups import (
    DataConfig,
    EncodingConfig,
    FiltersConfig,
    LimitsConfig,
    ModelConfig,
    ParallelConfig,
    TrainerConfig,
)

SEEDS = 2**32  # of songs: a larger one would make the songs of another
MAX_LENGTH = 10_000  # bars or seconds of one song


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
class SamplingConfig:
    """Which events stay in the draw, and how boldly each kind is drawn."""

    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    pitch_temperature: float = 1.0
    time_temperature: float = 1.0
    velocity_temperature: float = 1.0


@dataclass
class ControlConfig:
    """What the songs are steered to."""

    key: str | None = None
    key_weight: float | None = None
    range: Any | None = None  # [lowest, highest], or such a pair for each of some voices
    polyphony: int | None = None
    density: float | None = None
    pitch_classes: list[float] | None = None
    guidance: float = 2.0

    def __post_init__(self) -> None:
        voices = self.range if isinstance(self.range, dict) else {"all": self.range}
        if self.range is not None and not (voices and all(is_list_of(int, pair, 2) for pair in voices.values())):
            raise ConfigError(
                f"control.range={self.range}: expected MIDI pitches, [48,84], or for some voices, in quotes, "
                "'{Soprano:[60,79],Bass:[40,60]}'"
            )


@dataclass
class RepetitionConfig:
    """How much a song repeats itself."""

    break_loops: bool = True
    least: float = 0.0


@dataclass
class LengthConfig:
    """How much new music."""

    bars: float | None = None
    seconds: float | None = None
    cadence: bool = True

    def __post_init__(self) -> None:
        for name in ("bars", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= MAX_LENGTH:
                raise ConfigError(f"length.{name}={value}: expected a positive number, at most {MAX_LENGTH}")


@dataclass
class RenderConfig:
    """What is made beside each MIDI file."""

    wav: bool = True
    png: bool = True
    page: bool = True
    soundfont: str | None = None
    fluidsynth: bool = False
    musicxml: bool = False


@dataclass
class GenerateConfig:
    """`lstmusic generate`; see conf/generate.yaml."""

    checkpoint: str = "bach"
    songs: int = 4
    seed: int = 0
    temperature: Any = 1.0  # a number, `auto`, or [bar, temperature] pairs
    greedy: bool = False
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    repetition: RepetitionConfig = field(default_factory=RepetitionConfig)
    length: LengthConfig = field(default_factory=LengthConfig)
    weights: str = "float32"
    primer: str | None = None
    primer_in_output: bool = True
    render: RenderConfig = field(default_factory=RenderConfig)

    def __post_init__(self) -> None:
        at_least("songs", self.songs, 1)
        at_least("seed", self.seed, 0)
        if self.seed >= SEEDS:
            raise ConfigError(f"seed={self.seed}: expected at most {SEEDS - 1}")
        one_of("weights", self.weights, ("float32", "float16", "int8"))
        points = self.temperature if isinstance(self.temperature, list) else [[0, self.temperature]]
        if self.temperature != "auto" and not (points and all(is_list_of(float, point, 2) for point in points)):
            raise ConfigError(
                f"temperature={self.temperature}: expected a number, auto, or a curve of bars and temperatures, "
                "[[0,0.8],[8,1.2]]"
            )


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
    jobs: int = -1
    data: DataConfig | None = None
    encoding: EncodingConfig | None = None
    trainer: TrainerConfig | None = None

    def __post_init__(self) -> None:
        one_of("split", self.split, ("train", "valid", "test"))
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
