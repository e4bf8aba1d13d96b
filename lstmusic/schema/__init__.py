"""What every key of conf/ may hold: plain dataclasses, checked when they are made. Hydra is not known here."""

from lstmusic.schema.checks import one_of, suggestion
from lstmusic.schema.commands import (
    SCHEMAS,
    BenchConfig,
    EvaluateConfig,
    InspectConfig,
    ListenConfig,
    PrepareConfig,
    ReproduceConfig,
    TrainConfig,
)
from lstmusic.schema.generate import GenerateConfig, InfillConfig, RenderConfig, StateConfig
from lstmusic.schema.groups import (
    FRAMES_PER_QUARTER,
    DataConfig,
    DataFile,
    FiltersConfig,
    LimitsConfig,
    ParallelConfig,
    TrainerConfig,
)

__all__ = [
    "FRAMES_PER_QUARTER",
    "SCHEMAS",
    "BenchConfig",
    "DataConfig",
    "DataFile",
    "EvaluateConfig",
    "FiltersConfig",
    "GenerateConfig",
    "InfillConfig",
    "InspectConfig",
    "LimitsConfig",
    "ListenConfig",
    "ParallelConfig",
    "PrepareConfig",
    "RenderConfig",
    "ReproduceConfig",
    "StateConfig",
    "TrainConfig",
    "TrainerConfig",
    "one_of",
    "suggestion",
]
