"""What the keys of `lstmusic generate` may hold; see conf/generate.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lstmusic.errors import ConfigError
from lstmusic.schema.checks import at_least, check_printable, is_list_of, one_of

SEEDS = 2**32  # of songs: a larger one would make the songs of another
HALFWAY = 0.5  # between two states, where nothing else is asked for
MAX_LENGTH = 10_000  # bars or seconds of one song


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
    parallels: float | None = None
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
class InfillConfig:
    """A piece of which some is written anew."""

    piece: str | None = None
    bars: Any | None = None  # [first, last]
    keep: Any | None = None  # a voice, or a list of them
    particles: int = 64

    def __post_init__(self) -> None:
        if self.bars is not None and not is_list_of(int, self.bars, 2):
            raise ConfigError(f"infill.bars={self.bars}: expected the first and the last bar to write, [5,8]")
        if not all(isinstance(voice, str) for voice in self.voices):
            raise ConfigError(f"infill.keep={self.keep}: expected a voice's name, Soprano, or several, [Soprano,Bass]")
        if self.piece is None and (self.bars is not None or self.keep is not None):
            raise ConfigError(
                "infill.piece=: empty, expected the file of the piece that infill.bars or infill.keep is of"
            )
        if self.piece is not None and self.bars is None and not self.voices:
            raise ConfigError(
                f"infill.piece={self.piece}: nothing would stay, expected infill.bars or infill.keep, too"
            )

    @property
    def voices(self) -> list[str]:
        """The voices that stay."""
        return [] if self.keep is None else list(self.keep) if isinstance(self.keep, list) else [self.keep]


@dataclass
class OriginalityConfig:
    """What songs may have in common with a training piece."""

    max_bars: float | None = None

    def __post_init__(self) -> None:
        if self.max_bars is not None:
            at_least("originality.max_bars", self.max_bars, 0)


@dataclass
class StateConfig:
    """Where a song stands: kept in a file, gone on from, blended with another."""

    save: str | None = None
    bar: int | None = None
    name: str | None = None
    load: str | None = None  # a file, or two with a comma between them
    blend: Any | None = None  # a share, or one for each song

    def __post_init__(self) -> None:
        if self.bar is not None:
            at_least("state.bar", self.bar, 1)
        check_printable("state.name", self.name or "")
        for key in ("bar", "name"):
            if getattr(self, key) is not None and self.save is None:
                raise ConfigError(
                    f"state.{key}={getattr(self, key)}: expected state.save, too, the file that it is for"
                )
        if self.load is not None and not (all(self.files) and len(self.files) <= 2):
            raise ConfigError(f"state.load={self.load}: expected one file, or two with a comma between them")
        if self.blend is None:
            return
        if len(self.files) != 2:
            raise ConfigError(f"state.blend={self.blend}: expected two files, state.load=a.json,b.json")
        shares = self.blend if isinstance(self.blend, list) else [self.blend]
        if not (is_list_of(float, shares, len(shares) or 1) and all(0 <= share <= 1 for share in shares)):
            raise ConfigError(f"state.blend={self.blend}: expected a share of 0 to 1, or one for each song, [0,0.5,1]")

    @property
    def files(self) -> list[str]:
        """The files that are loaded."""
        return [] if self.load is None else [file.strip() for file in self.load.split(",")]

    @property
    def shares(self) -> list[float]:
        """Of two files, how far songs begin on the way from the first to the second: one share for all, or one for each."""
        if len(self.files) != 2:
            return []
        return list(self.blend) if isinstance(self.blend, list) else [HALFWAY if self.blend is None else self.blend]


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
    candidates: int | None = None
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
    infill: InfillConfig = field(default_factory=InfillConfig)
    state: StateConfig = field(default_factory=StateConfig)
    originality: OriginalityConfig = field(default_factory=OriginalityConfig)
    render: RenderConfig = field(default_factory=RenderConfig)

    def __post_init__(self) -> None:
        at_least("songs", self.songs, 1)
        if self.candidates is not None and self.candidates < self.songs:
            raise ConfigError(f"candidates={self.candidates}: expected at least songs={self.songs}, as these are kept")
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
        self._check_greedy()
        self._check_infill()
        self._check_state()

    def _check_greedy(self) -> None:
        """Raise ConfigError where one is to be chosen of songs that are all the same."""
        for key, value in (("candidates", self.candidates), ("originality.max_bars", self.originality.max_bars)):
            if self.greedy and value is not None:
                raise ConfigError(
                    f"greedy=true: every song is the same, came with {key}={value:g}, expected one of them"
                )

    def _check_infill(self) -> None:
        """Raise ConfigError where a piece to be rewritten comes with keys of new songs: it has its own length and form."""
        others = {
            "length.bars": self.length.bars,
            "length.seconds": self.length.seconds,
            "primer": self.primer,
            "repetition.least": self.repetition.least or None,
        }
        for key, value in others.items():
            if self.infill.piece is not None and value is not None:
                raise ConfigError(f"{key}={value}: came with infill.piece={self.infill.piece}, expected one of them")

    def _check_state(self) -> None:
        """Raise ConfigError where states and the other keys do not go together."""
        for key, file in (("primer", self.primer), ("infill.piece", self.infill.piece)):
            if self.state.load is not None and file is not None:
                raise ConfigError(f"{key}={file}: came with state.load={self.state.load}, expected one of them")
        shares, bar, bars = self.state.shares, self.state.bar, self.length.bars
        if len(shares) > 1 and self.songs != len(shares):
            raise ConfigError(f"songs={self.songs}: expected {len(shares)}, one for each of state.blend={shares}")
        if len(shares) > 1 and self.candidates is not None:
            raise ConfigError(f"candidates={self.candidates}: came with state.blend={shares}, expected one share")
        begins = self.primer is None and self.infill.piece is None and self.state.load is None
        if begins and bar is not None and bars is not None and bar > bars:
            raise ConfigError(f"state.bar={bar}: expected at most length.bars={bars:g}")
