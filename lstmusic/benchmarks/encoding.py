"""table=encoding: how many ids per second MIDI files become, parsing included.

Every contender takes a path and gives the ids of that file, in one process, on one thread, on the same files, which the
system holds in memory by then; nothing is kept from one file to the next. Contenders take turns, a block of files each, so
that a slower minute of the machine hits all of them. What is counted is the processor's time of this process, not that of
others on the machine. Imports, the making of tokenizers and the first file of each turn are not counted.

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

from lstmusic.benchmarks.peers import peer
from lstmusic.events import codec as codecs
from lstmusic.score import midi

PACKAGES = ("lstmusic", "numpy", "symusic", "miditok", "pretty_midi")
BLOCK = 20  # files that a contender takes in one turn
ENCODINGS = ("performance", "metrical")
TOKENIZERS = ("MIDILike", "REMI")
PEER = "MidiTok"

Contender = Callable[[Path], int]  # the number of ids of a file; 0 where it is only parsed


@dataclass
class _Total:
    seconds: float = 0.0
    ids: int = 0


def run(files: Sequence[Path], on_progress: Callable[[int], None] = lambda done: None) -> list[dict[str, Any]]:
    """Measure every contender on some files.

    Args:
        files: MIDI files that every contender can read.
        on_progress: called with the number of files that all contenders have just done.

    Returns:
        One row per contender: `name`, `ms_per_file`, `files_per_second`, `ids_per_file`, `ids_per_second`, and
        `times_miditok`, the ids per second beside the fastest of MidiTok's (None where nothing is encoded).

    Raises:
        ConfigError: a peer is not installed.
    """
    everyone = contenders()
    totals = {name: _Total() for name in everyone}
    for start in range(0, len(files), BLOCK):
        block = files[start : start + BLOCK]
        for name, contender in everyone.items():
            _take_turn(totals[name], contender, block)
        on_progress(len(block))
    return _rows(totals, len(files))


def _take_turn(total: _Total, contender: Contender, block: Sequence[Path]) -> None:
    gc.collect()  # what the one before left
    contender(block[0])
    started = time.process_time()
    total.ids += sum(contender(path) for path in block)
    total.seconds += time.process_time() - started


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


def _rows(totals: dict[str, _Total], num_files: int) -> list[dict[str, Any]]:
    rate = {name: total.ids / total.seconds for name, total in totals.items()}
    fastest = max(rate[name] for name in rate if name.startswith(PEER))
    return [
        {
            "name": name,
            "ms_per_file": 1000 * total.seconds / num_files,
            "files_per_second": num_files / total.seconds,
            "ids_per_file": total.ids / num_files,
            "ids_per_second": rate[name],
            "times_miditok": rate[name] / fastest if total.ids else None,
        }
        for name, total in totals.items()
    ]
