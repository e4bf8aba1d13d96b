"""table=encoding: how many ids per second MIDI files become, parsing included.

Every contender takes a path and gives the ids of that file, in one process, on one thread, on the same files, which the
system holds in memory by then; nothing is kept from one file to the next. Contenders take turns, a block of files each, so
that a slower minute of the machine hits all of them. What is counted is the processor's time of this process, not that of
others on the machine. Imports, the making of tokenizers and the first file of each turn are not counted; nor is any file
that one of them fails on.

They do not do quite the same: lstmusic also folds the sustain pedal into the notes and counts what it leaves out, which
MidiTok's defaults do not.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstmusic.benchmarks.peers import peer
from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.score import midi

PACKAGES = ("lstmusic", "numpy", "symusic", "miditok", "pretty_midi")
BLOCK = 20  # files that a contender takes in one turn
ENCODINGS = ("performance", "metrical")
TOKENIZERS = ("MIDILike", "REMI")
PEER = "MidiTok"

Contender = Callable[[Path], int]  # the number of ids of a file; 0 where it is only parsed


@dataclass
class _Taken:
    """What one contender took, file by file: float64 [N] CPU seconds, int64 [N] ids, bool [N] whether it failed."""

    seconds: np.ndarray
    ids: np.ndarray
    failed: np.ndarray


def run(files: Sequence[Path], on_progress: Callable[[int], None] = lambda done: None) -> list[dict[str, Any]]:
    """Measure every contender on some files.

    Args:
        files: MIDI files.
        on_progress: called with the number of files that all contenders have just done.

    Returns:
        One row per contender: `name`, `ms_per_file`, `files_per_second`, `ids_per_file`, `ids_per_second`,
        `times_miditok`, the ids per second beside the fastest of MidiTok's (None where nothing is encoded), and `failed`,
        how many files it could not take. Those are left out of everybody's figures.

    Raises:
        ConfigError: a peer is not installed, or there is no file that everybody can take.
    """
    everyone = contenders()
    size = len(files)
    taken = {name: _Taken(np.zeros(size), np.zeros(size, np.int64), np.zeros(size, bool)) for name in everyone}
    for start in range(0, size, BLOCK):
        block = range(start, min(start + BLOCK, size))
        for name, contender in everyone.items():
            _take_turn(taken[name], contender, files, block)
        on_progress(len(block))
    return _rows(taken)


def _take_turn(taken: _Taken, contender: Contender, files: Sequence[Path], block: range) -> None:
    gc.collect()  # what the one before left
    _ids_of(contender, files[block[0]])
    for k in block:
        started = time.process_time()
        ids = _ids_of(contender, files[k])
        taken.seconds[k] = time.process_time() - started
        taken.ids[k], taken.failed[k] = ids or 0, ids is None


def _ids_of(contender: Contender, path: Path) -> int | None:
    """The number of ids of a file; None where the contender fails on it, with whatever error it has for that."""
    try:
        return contender(path)
    except Exception:
        return None


def contenders() -> dict[str, Contender]:
    """Everyone who takes part, by the name shown."""
    symusic, pretty_midi = peer("symusic"), peer("pretty_midi")
    return {
        **{f"lstmusic {name}": _lstmusic(name) for name in ENCODINGS},
        **{f"{PEER} {name}": _miditok(name, one_stream=False) for name in TOKENIZERS},
        **{f"{PEER} {name}, one stream": _miditok(name, one_stream=True) for name in TOKENIZERS},
        "symusic, parsing alone": _parsing(lambda path: symusic.Score.from_file(path)),
        "pretty_midi, parsing alone": _parsing(lambda path: pretty_midi.PrettyMIDI(str(path))),
    }


def _parsing(parse: Callable[[Path], Any]) -> Contender:
    def none(path: Path) -> int:
        parse(path)
        return 0

    return none


def _lstmusic(encoding: str) -> Contender:
    codec = codecs.build(encoding)
    return lambda path: len(codec.encode(midi.read(path)))


def _miditok(name: str, *, one_stream: bool) -> Contender:
    """A tokenizer as MidiTok makes it by default, a sequence for each track without programs and tempi, or with both."""
    miditok = peer("miditok")
    config = miditok.TokenizerConfig(use_programs=one_stream, use_tempos=one_stream)
    tokenizer = getattr(miditok, name)(config)

    def ids(path: Path) -> int:
        tokens = tokenizer(path)
        return sum(len(sequence.ids) for sequence in (tokens if isinstance(tokens, list) else [tokens]))

    return ids


def _rows(taken: dict[str, _Taken]) -> list[dict[str, Any]]:
    kept = ~np.any([own.failed for own in taken.values()], axis=0)
    count = int(kept.sum())
    if not count:
        failed = ", ".join(
            f"{name} fails on {int(own.failed.sum())}" for name, own in taken.items() if own.failed.any()
        )
        raise ConfigError(f"none of {len(kept)} files can be taken by everybody ({failed}), expected one at least")
    seconds = {name: float(own.seconds[kept].sum()) for name, own in taken.items()}
    ids = {name: int(own.ids[kept].sum()) for name, own in taken.items()}
    fastest = max(ids[name] / seconds[name] for name in taken if name.startswith(PEER))
    return [
        {
            "name": name,
            "ms_per_file": 1000 * seconds[name] / count,
            "files_per_second": count / seconds[name],
            "ids_per_file": ids[name] / count,
            "ids_per_second": ids[name] / seconds[name],
            "times_miditok": ids[name] / seconds[name] / fastest if ids[name] else None,
            "failed": int(own.failed.sum()),
        }
        for name, own in taken.items()
    ]
