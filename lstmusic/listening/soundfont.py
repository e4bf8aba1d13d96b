"""SoundFont 2 files: which samples a note of an instrument plays, and how loud, tuned and shaped each is.

Read with numpy alone, after the SoundFont 2.04 specification, so that a torn or hostile file is an error message and
never takes the process with it. Sample data stays on disk until a note needs it.
"""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from lstmusic.errors import MissingFileError, ReadError

PRESET_DTYPE = np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("unused", "<u4", 3)])
BAG_DTYPE = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
GENERATOR_DTYPE = np.dtype([("kind", "<u2"), ("amount", "<i2")])
INSTRUMENT_DTYPE = np.dtype([("name", "S20"), ("bag", "<u2")])
SAMPLE_DTYPE = np.dtype(
    [
        ("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"), ("loop_end", "<u4"),
        ("rate", "<u4"), ("key", "u1"), ("correction", "i1"), ("link", "<u2"), ("type", "<u2"),
    ]
)  # fmt: skip
TABLES = {
    b"phdr": PRESET_DTYPE, b"pbag": BAG_DTYPE, b"pgen": GENERATOR_DTYPE,
    b"inst": INSTRUMENT_DTYPE, b"ibag": BAG_DTYPE, b"igen": GENERATOR_DTYPE, b"shdr": SAMPLE_DTYPE,
}  # fmt: skip

# Generator numbers, under the specification's names.
START, END, LOOP_START, LOOP_END, START_COARSE, FILTER_FC, END_COARSE, PAN = 0, 1, 2, 3, 4, 8, 12, 17
DELAY, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE, KEY_TO_HOLD, KEY_TO_DECAY, INSTRUMENT = range(33, 42)
KEY_RANGE, VELOCITY_RANGE, LOOP_START_COARSE, ATTENUATION, LOOP_END_COARSE = 43, 44, 45, 48, 50
COARSE_TUNE, FINE_TUNE, SAMPLE, SAMPLE_MODES, SCALE_TUNING, ROOT_KEY = 51, 52, 53, 54, 56, 58
FULL_RANGE = 127 << 8  # low byte 0, high byte 127
DEFAULTS = {
    FILTER_FC: 13500, DELAY: -12000, ATTACK: -12000, HOLD: -12000, DECAY: -12000, RELEASE: -12000,
    KEY_RANGE: FULL_RANGE, VELOCITY_RANGE: FULL_RANGE, SCALE_TUNING: 100, ROOT_KEY: -1,
}  # fmt: skip
NOT_ADDED = (KEY_RANGE, VELOCITY_RANGE, SAMPLE, SAMPLE_MODES, ROOT_KEY)  # a preset zone cannot shift these
DRUM_BANK = 128


@dataclass(frozen=True)
class Region:
    """One sample as one instrument plays it: the generators in force, and the sample's header."""

    generators: dict[int, int]
    sample: np.void

    def plays(self, pitch: int) -> bool:
        """Whether this region answers to the pitch (0-127)."""
        low, high = byte_range(self.generators[KEY_RANGE])
        return low <= pitch <= high

    @property
    def velocities(self) -> tuple[int, int]:
        """The lowest and highest velocity that this region answers to."""
        return byte_range(self.generators[VELOCITY_RANGE])

    @property
    def sample_range(self) -> tuple[int, int]:
        """First sample point and the one after the last, within the file's sample data."""
        g = self.generators
        start = int(self.sample["start"]) + g.get(START, 0) + 32768 * g.get(START_COARSE, 0)
        return start, int(self.sample["end"]) + g.get(END, 0) + 32768 * g.get(END_COARSE, 0)

    @property
    def loop_range(self) -> tuple[int, int] | None:
        """First point of the loop and the one after it, within the file's sample data; None if it does not loop."""
        g = self.generators
        if g.get(SAMPLE_MODES, 0) & 1 == 0:
            return None
        start = int(self.sample["loop_start"]) + g.get(LOOP_START, 0) + 32768 * g.get(LOOP_START_COARSE, 0)
        end = int(self.sample["loop_end"]) + g.get(LOOP_END, 0) + 32768 * g.get(LOOP_END_COARSE, 0)
        low, high = self.sample_range
        return (start, end) if low <= start < end <= high and end - start >= 4 else None


class SoundFont:
    """The presets of one .sf2 file.

    Args:
        path: the file.

    Raises:
        MissingFileError: there is no such file.
        ReadError: it is not a SoundFont, or its tables are torn.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            tables, self.samples = read_chunks(path)
            self._presets = self._read_presets(tables)
        except FileNotFoundError:
            raise MissingFileError(f"{path}: there is no such SoundFont (.sf2)") from None
        except (OSError, ValueError, IndexError, KeyError, struct.error) as error:
            raise ReadError(f"{path}: expected a SoundFont 2 file (.sf2); {error}") from None
        if not self._presets:
            raise ReadError(f"{path}: this SoundFont has no instruments")

    def regions(self, program: int, drum: bool, pitch: int) -> list[Region]:
        """What sounds for one pitch; the nearest instrument that the file has stands in for one that it lacks."""
        wanted = [(DRUM_BANK, program), (DRUM_BANK, 0)] if drum else []
        wanted += [(0, program), (0, 8 * (program // 8)), (0, 0)]
        preset = next((self._presets[key] for key in wanted if key in self._presets), None)
        preset = preset or next(iter(self._presets.values()))
        return [region for region in preset if region.plays(pitch)]

    def _read_presets(self, tables: dict[bytes, np.ndarray]) -> dict[tuple[int, int], list[Region]]:
        """Every preset by (bank, program), its zones resolved down to samples."""
        instruments = [
            zones(tables[b"ibag"], tables[b"igen"], int(low), int(high), last=SAMPLE)
            for low, high in zip(tables[b"inst"]["bag"][:-1], tables[b"inst"]["bag"][1:], strict=True)
        ]
        headers, presets = tables[b"phdr"], {}
        for header, following in pairwise(headers):
            found = zones(tables[b"pbag"], tables[b"pgen"], int(header["bag"]), int(following["bag"]), last=INSTRUMENT)
            regions = [
                Region(merged, tables[b"shdr"][merged[SAMPLE]])
                for outer in found
                for inner in instruments[outer[INSTRUMENT]]
                if (merged := merge(outer, inner)) is not None
            ]
            good = [region for region in regions if self._is_sound(region)]
            if good:
                presets[int(header["bank"]), int(header["program"])] = good
        return presets

    def _is_sound(self, region: Region) -> bool:
        """Whether the sample lies within the file, is not in ROM and has a rate to play it at."""
        start, end = region.sample_range
        in_rom = int(region.sample["type"]) & 0x8000
        return 0 <= start < end - 4 and end <= len(self.samples) and not in_rom and region.sample["rate"] > 0


def read_chunks(path: Path) -> tuple[dict[bytes, np.ndarray], np.ndarray]:
    """The tables of a SoundFont by chunk name, and its sample data, int16 [points], still on disk."""
    tables, samples = {}, None
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise ValueError(f"it begins with {head!r}, not with RIFF....sfbk")
        while len(chunk := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", chunk)
            here = file.tell()
            if here + length > size:
                raise ValueError(f"chunk {name!r} ends after the file does")
            if name == b"LIST":
                file.seek(4, 1)  # a list's chunks follow its kind, as if they stood on their own
                continue
            if name == b"smpl" and length >= 2:
                samples = np.memmap(path, "<i2", "r", here, (length // 2,))
            elif name in TABLES:
                whole = length - length % TABLES[name].itemsize
                tables[name] = np.frombuffer(file.read(whole), TABLES[name])
            file.seek(here + length + length % 2)
    if samples is None or set(tables) != set(TABLES):
        raise ValueError("its sample data or one of its tables is missing")
    return tables, samples


def zones(bags: np.ndarray, generators: np.ndarray, low: int, high: int, *, last: int) -> list[dict[int, int]]:
    """The zones of one preset or instrument; a first zone without `last` is the default for the others."""
    defaults: dict[int, int] = {}
    out = []
    for zone in range(low, high):
        rows = generators[int(bags["generator"][zone]) : int(bags["generator"][zone + 1])]
        own = dict(zip(rows["kind"].tolist(), rows["amount"].tolist(), strict=True))
        if last in own:
            out.append(defaults | own)
        elif zone == low:
            defaults = own
    return out


def merge(outer: dict[int, int], inner: dict[int, int]) -> dict[int, int] | None:
    """An instrument zone as a preset zone shifts it; None when their key or velocity ranges do not meet."""
    merged = DEFAULTS | inner
    for kind in (KEY_RANGE, VELOCITY_RANGE):
        (low, high), (floor, ceiling) = byte_range(merged[kind]), byte_range(outer.get(kind, FULL_RANGE))
        low, high = max(low, floor), min(high, ceiling)
        if low > high:
            return None
        merged[kind] = low | high << 8
    for kind, amount in outer.items():
        if kind not in NOT_ADDED:
            merged[kind] = merged.get(kind, 0) + amount
    return merged


def byte_range(amount: int) -> tuple[int, int]:
    """The low and high byte of a range generator."""
    return amount & 0xFF, amount >> 8 & 0xFF


@lru_cache(maxsize=4)
def load(path: Path) -> SoundFont:
    """The SoundFont at `path`, read once."""
    return SoundFont(path)


def bundled_path() -> Path:
    """TimGM6mb.sf2, the General MIDI SoundFont inside the pretty_midi wheel (found without importing it)."""
    found = importlib.util.find_spec("pretty_midi")
    places = found.submodule_search_locations if found else None
    path = Path(places[0] if places else "pretty_midi") / "TimGM6mb.sf2"
    if not path.is_file():
        raise MissingFileError(f"{path}: pretty_midi's SoundFont is missing; reinstall pretty_midi or name another")
    return path
