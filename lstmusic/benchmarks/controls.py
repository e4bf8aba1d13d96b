"""table=controls: what every control does to a model's songs: a measure without it and with it.

The measures are taken from the notes (`song_measures`), all but two: nats are the model's at temperature 1 without any
control, and loops are told by `repetition.loop_share`, which has its thresholds in common with the detector that breaks
them; how often bars are played in a row, beside it, has not. Songs with a control and those without it come from the same
seeds. `draw` puts the same figures into a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lstmusic.benchmarks import controls_figure
from lstmusic.benchmarks.control_cases import Case, How, cases
from lstmusic.benchmarks.song_writing import opened, write
from lstmusic.sampling.settings import SamplingSettings
from lstmusic.writing import Song

PACKAGES = ("lstmusic", "torch", "numpy")
MODELS = ("bach",)
SONGS = 100
PICTURE = "controls.png"


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    models: list[str] | tuple[str, ...] = MODELS,
    songs: int = SONGS,
) -> Iterator[dict[str, Any]]:
    """Write songs of each model with each setting of each control that it has anything for.

    Args:
        note: told what is being written.
        models: checkpoints.
        songs: how many of each kind.

    Yields:
        A row for each setting and measure: `model`, `encoding`, `control`, `setting` as it is typed, `measure` with its
        unit, the value `asked` for or None, the value `without` the control and `with` it.

    Raises:
        CheckpointError: there is no such model.
    """
    for model in models:
        codec, gallery = opened(model).codec, _Gallery(model, songs)
        for case in cases(codec, opened(model).held_out_nats):
            note(f"{model}: {case.setting}")
            yield {"model": model, "encoding": codec.name, **_row(case, gallery)}


def _row(case: Case, gallery: _Gallery) -> dict[str, Any]:
    return {
        "control": case.control,
        "setting": case.setting,
        "measure": case.measure,
        "asked": case.asked,
        "without": case.of(gallery.songs(case.beside)),
        "with": case.of(gallery.songs(case.how)),
    }


class _Gallery:
    """The songs of one model, written once for each way of writing them."""

    def __init__(self, model: str, count: int) -> None:
        self.model, self.count = model, count
        self._written: dict[str, list[Song]] = {}

    def songs(self, how: How) -> list[Song]:
        """Songs written with these arguments of `MusicModel.generate`; `auto` is found out once for all of them."""
        if how.get("temperature") == "auto":
            how = {**how, "temperature": opened(self.model).calibrated_temperature(SamplingSettings())}
        key = repr(sorted(how.items()))
        if key not in self._written:
            self._written[key] = write(self.model, self.count, **how).songs
        return self._written[key]


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, the encoding beside the model."""
    return [{"model": f"{row['model']} ({row['encoding']})", **_told(row)} for row in rows]


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("control", "setting", "measure", "asked", "without", "with")}


def draw(rows: list[dict[str, Any]], folder: Path) -> Path:
    """Write the picture of the rows into a folder."""
    return controls_figure.draw(folder / PICTURE, rows)
