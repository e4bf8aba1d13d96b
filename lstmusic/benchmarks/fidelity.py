"""table=fidelity: what each encoding loses of some pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lstmusic.corpus import fidelity
from lstmusic.errors import LstmusicError
from lstmusic.events import codec as codecs
from lstmusic.score import midi

PACKAGES = ("lstmusic", "numpy")
ENCODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "metrical": ("metrical", {}),
    "metrical_flat": ("metrical", {"grouped": False}),
    "performance": ("performance", {}),
    "performance, pedals": ("performance", {"pedals": True}),
    "chorale": ("chorale", {}),
    "chorale_canonical": ("chorale", {"strikes": False}),
    "melody": ("melody", {}),
}


def run(files: Sequence[Path], on_progress: Callable[[int], None] = lambda done: None) -> list[dict[str, Any]]:
    """Encode and decode some pieces in every encoding.

    Args:
        files: MIDI files.
        on_progress: called with the number of files that were just read.

    Returns:
        A row for each encoding: `name`, `pieces` (that it can encode), `notes`, `lost` (share of them), `onset_ms` and
        `max_onset_ms` (mean and largest error), `duration_ms` (mean error), and `tempi`, `meters`, `keys`: how many of how
        many are kept.
    """
    builds = {title: codecs.build(name, **options) for title, (name, options) in ENCODINGS.items()}
    measured: dict[str, list[fidelity.Fidelity]] = {name: [] for name in builds}
    for path in files:
        score = midi.read(path)
        for name, codec in builds.items():
            try:
                ids = codec.encode(score)
            except LstmusicError:  # drums alone, say: the row's `pieces` tells
                continue
            measured[name].append(fidelity.measure(codec, score, ids))
        on_progress(1)
    return [_row(name, found) for name, found in measured.items()]


def _row(name: str, found: list[fidelity.Fidelity]) -> dict[str, Any]:
    total = fidelity.total(found)
    return {
        "name": name,
        "pieces": len(found),
        "notes": total.notes,
        "lost": total.lost / max(1, total.notes),
        "onset_ms": total.onset_error_ms,
        "max_onset_ms": total.max_onset_error_ms,
        "duration_ms": total.duration_error_ms,
        "tempi": f"{total.tempi - total.tempi_lost}/{total.tempi}",
        "meters": f"{total.meters - total.meters_lost}/{total.meters}",
        "keys": f"{total.keys - total.keys_lost}/{total.keys}",
    }
