"""Typed schema of conf/, checked before any work. Only this module, the cli and the commands know Hydra."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lstmusic.errors import ConfigError

PACKAGE = Path(__file__).parent
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true")


@dataclass
class DataConfig:
    """Where pieces come from; see conf/data."""

    name: str
    path: str | None = None
    url: str = ""
    sha256: str = ""
    licence: str = ""
    citation: str = ""
    cache: str = "data/prepared"
    downloads: str = "data/downloads"
    jobs: int = -1


@dataclass
class EncodingConfig:
    """How music becomes ids; see conf/encoding. `strikes` belongs to `chorale` and is empty for the others."""

    name: str
    strikes: bool | None = None

    def options(self) -> dict[str, Any]:
        """What the codec is built with."""
        return {} if self.strikes is None else {"strikes": self.strikes}


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

    def __post_init__(self) -> None:
        for name in ("embedding_size", "hidden_size", "num_layers"):
            at_least(f"model.{name}", getattr(self, name), 1)
        for name in ("input_dropout", "dropout", "head_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"model.{name}={getattr(self, name)}: expected 0 <= {name} < 1")


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
    devices: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("bptt_length", "num_lanes", "patience"):
            at_least(f"trainer.{name}", getattr(self, name), 1)
        for name in ("max_minutes", "max_steps", "learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"trainer.{name}={value}: expected a positive number")
        for name in ("weight_decay", "max_semitones", "max_stretch"):
            at_least(f"trainer.{name}", getattr(self, name), 0)
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"trainer.ema_decay={self.ema_decay}: expected 0 <= ema_decay < 1")
        if self.max_minutes is None and self.max_steps is None:
            raise ConfigError("trainer.max_minutes and trainer.max_steps: both empty, expected one of them at least")
        one_of("trainer.weights_dtype", self.weights_dtype, ("float32", "float16"))
        one_of("trainer.accelerator", self.accelerator, ACCELERATORS)
        one_of("trainer.precision", self.precision, PRECISIONS)
        if self.devices != "auto" and not (self.devices.isdecimal() and int(self.devices) > 0):
            raise ConfigError(f"trainer.devices={self.devices}: expected auto or how many")


@dataclass
class TrainConfig:
    """`lstmusic train`; see conf/train.yaml."""

    data: DataConfig
    encoding: EncodingConfig
    model: ModelConfig
    trainer: TrainerConfig
    seed: int = 0
    resume: str | None = None
    init_from: str | None = None

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)


@dataclass
class SamplingConfig:
    """Which events stay in the draw."""

    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


@dataclass
class LengthConfig:
    """How much new music."""

    bars: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("bars", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"length.{name}={value}: expected a positive number")


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
    temperature: float = 1.0
    greedy: bool = False
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    length: LengthConfig = field(default_factory=LengthConfig)
    primer: str | None = None
    primer_in_output: bool = True
    render: RenderConfig = field(default_factory=RenderConfig)

    def __post_init__(self) -> None:
        at_least("songs", self.songs, 1)
        at_least("seed", self.seed, 0)


@dataclass
class EvaluateConfig:
    """`lstmusic evaluate`; see conf/evaluate.yaml. The encoding is the checkpoint's, whatever the data set names."""

    checkpoint: str = "bach"
    split: str = "valid"
    seed: int | None = None
    data: DataConfig | None = None
    encoding: EncodingConfig | None = None
    trainer: TrainerConfig | None = None

    def __post_init__(self) -> None:
        one_of("split", self.split, ("train", "valid", "test"))


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
class DoctorConfig:
    """`lstmusic doctor`."""


SCHEMAS: dict[str, type] = {
    "generate": GenerateConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "listen": ListenConfig,
    "doctor": DoctorConfig,
}


class Request(NamedTuple):
    """A checked request.

    Attributes:
        config: the typed configuration of the command.
        folder: where its output goes.
        plain: the composed configuration as plain values.
        overrides: what the user typed.
    """

    config: Any
    folder: Path
    plain: dict[str, Any]
    overrides: list[str]


def at_least(key: str, value: float, lowest: float) -> None:
    """Raise ConfigError where a value is too small."""
    if value < lowest:
        raise ConfigError(f"{key}={value}: expected at least {lowest}")


def one_of(key: str, value: str, choices: tuple[str, ...] | list[str]) -> None:
    """Raise ConfigError where a value is not one of the choices; suggests the nearest."""
    if value not in choices:
        raise ConfigError(f"{key}={value}: expected one of {', '.join(choices)}{suggestion(value, choices)}")


def suggestion(word: str, choices: list[str] | tuple[str, ...]) -> str:
    """`; did you mean X?`, or nothing where no choice is near."""
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def conf_folder() -> Path:
    """conf/: inside the package where it is installed, beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def compose(command: str, overrides: list[str]) -> Request:
    """Compose conf/<command>.yaml with overrides, and check every key, type and range.

    Raises:
        ConfigError: names the key, what came and what was expected.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            typed = [as_typed(override) for override in overrides]
            whole = hydra.compose(command, typed, return_hydra_config=True)
            folder = Path(whole.hydra.run.dir)
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(command, overrides, error) from error
    del whole.__dict__["_content"]["hydra"]
    return checked(command, OmegaConf.to_container(whole, resolve=True), folder, list(overrides))


def as_typed(override: str) -> str:
    """An override in Hydra's grammar: a value that the grammar cannot take, such as `a (1).mid`, is plain text."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = override.partition("=")
    try:
        if not OverridesParser.create().parse_override(override).is_sweep_override():
            return override
    except HydraException:
        pass
    if not equals:
        return override
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value)
    return f"{key}='{escaped}'"


def checked(command: str, plain: Any, folder: Path, overrides: list[str]) -> Request:
    """The typed configuration of composed plain values.

    Raises:
        ConfigError: a value cannot be what its key expects.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        typed = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SCHEMAS[command]), plain))
    except OmegaConfBaseException as error:
        if not error.full_key:  # a whole section was given a value
            raise _of_a_section(command, plain) from error
        value = OmegaConf.select(OmegaConf.create(plain), error.full_key or "")
        expected = re.search(r"converted to (\w+)", str(error))
        wanted = f"expected {expected.group(1).lower()}" if expected else str(error).splitlines()[0]
        raise ConfigError(f"{error.full_key}={value}: {wanted}") from error
    return Request(typed, folder, plain, overrides)


def _of_a_section(command: str, plain: dict[str, Any]) -> ConfigError:
    keys = known_keys(command)[0]
    for section in dict.fromkeys(key.partition(".")[0] for key in keys if "." in key):
        if not isinstance(plain.get(section), dict):
            inside = ", ".join(key for key in keys if key.startswith(f"{section}."))
            return ConfigError(f"{section}={plain.get(section)}: expected one of its keys: {inside}")
    return ConfigError(f"{command}: the configuration does not fit its schema")


def explain(command: str, overrides: list[str], error: Exception) -> ConfigError:
    """The one line that says what is wrong with the overrides."""
    return problem(command, overrides) or ConfigError(str(error).splitlines()[0])


def problem(command: str, overrides: list[str]) -> ConfigError | None:
    """What is wrong with the keys of some overrides, or with the choices of groups; values are checked elsewhere."""
    known, groups = known_keys(command)
    sections = {key.rpartition(".")[0] for key in known}
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        key = key.split("@")[0]
        if "=" not in override and not override.startswith("~"):
            return ConfigError(f"{override}: expected key=value")
        if key in groups and not set(value.split(",")) <= {*groups[key], "null"}:
            return ConfigError(
                f"{key}={value}: expected one of {', '.join(groups[key])}{suggestion(value, groups[key])}"
            )
        if key not in (*known, *groups, *sections) and not key.startswith("hydra"):
            return ConfigError(
                f"unknown key {key!r}{suggestion(key, known) or '; expected one of ' + ', '.join(known)}"
            )
    return None


def groups_of(command: str) -> list[tuple[str, str, str]]:
    """Each group of choices that a command takes, its default (or `null`) and its meaning, as its file lists them.

    Those that follow from another choice (the encoding from the data set) stand in the file as comments.
    """
    text = (conf_folder() / f"{command}.yaml").read_text()
    return re.findall(r"^  [-#] (\w+): (\w+)  # (.*)$", text, re.M)


def known_keys(command: str) -> tuple[list[str], dict[str, list[str]]]:
    """The keys that a command takes, and the choices of each of its groups."""
    import yaml

    folder = conf_folder()
    main = yaml.safe_load((folder / f"{command}.yaml").read_text())
    chosen = {k: v for item in main.get("defaults", []) if isinstance(item, dict) for k, v in item.items()}
    if "data" in chosen:  # a data set names its encoding, which names its trainer
        chosen |= {"encoding": None, "trainer": "default"}
    groups = {name: sorted(p.stem for p in (folder / name).glob("*.yaml")) for name in [*chosen, "experiment"]}
    values = {k: v for k, v in main.items() if k not in ("defaults", "hydra")}
    for name in chosen:
        files = [folder / name / f"{chosen[name]}.yaml"] if chosen[name] else sorted((folder / name).glob("*.yaml"))
        values[name] = {}
        for file in files:
            values[name] |= {k: v for k, v in yaml.safe_load(file.read_text()).items() if k != "defaults"}
    return list(_flatten(values)), groups


def _flatten(values: dict[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in values.items():
        keys += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return keys
