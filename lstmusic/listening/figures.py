"""Pictures of what a model does along a piece: rows of figures under its piano roll, all on one axis of time.

The axis is the model's own: one step, one column. Where a step lasts as long as any other (a grid) it is also the music's;
where it does not (a stream of events) the roll is stretched to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lstmusic.files import whole
from lstmusic.listening import palette
from lstmusic.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

WIDTH_IN, DPI = 16, 100  # 1600 pixels wide
ROLL_IN, HEAT_IN, PLOT_IN = 2.6, 1.45, 1.7  # heights
INK, FAINT = "#22262b", "#767d86"
STARTLING = 4.0  # nats of the strongest colour: a probability of 2 %
LABELS = 5  # along an axis of units
ENDLESS = 1e5  # what a scale shows as infinite


@dataclass(frozen=True)
class Heat:
    """One picture of values over units and steps.

    Attributes:
        title: what is shown.
        values: float [T, H], the units from the bottom to the top.
        scale: what the units are sorted by, [H]; written along the axis.
        signed: whether values lie around 0, as a cell's do, each unit drawn by its own largest; else between 0 and 1.
    """

    title: str
    values: np.ndarray
    scale: np.ndarray
    signed: bool = False


class Timeline:
    """Where the music lies along a model's steps.

    Args:
        score: the music. ticks: rising, int64 [T], the tick of each step.
        shown: how many steps are drawn, from the beginning.
    """

    def __init__(self, score: Score, ticks: np.ndarray, shown: int | None = None) -> None:
        self.score, self.ticks = score, np.asarray(ticks)
        self.steps = min(len(ticks), shown or len(ticks))

    def at(self, ticks: np.ndarray) -> np.ndarray:
        """Where ticks lie, float64: 0 is the beginning of the first step; between two steps in proportion."""
        last = np.searchsorted(self.ticks, ticks, side="right") - 1
        following = np.minimum(last + 1, len(self.ticks) - 1)
        gap = np.maximum(self.ticks[following] - self.ticks[np.maximum(last, 0)], 1)
        return np.maximum(last + np.where(following > last, (ticks - self.ticks[last]) / gap, 0), 0)

    def bars(self) -> tuple[np.ndarray, list[int]]:
        """Where the bar lines lie that are shown, the closing one among them, and the numbers of the bars they begin."""
        at = self.at(self.score.bar_ticks())
        first = self.score.first_bar
        shown = at <= self.steps
        return at[shown], [first + k for k in range(int(shown[:-1].sum()))]


def draw_heats(path: Path, timeline: Timeline, heats: Sequence[Heat], *, title: str, unit: str) -> Path:
    """Draw values of many units along a piece, under its roll, and write a PNG.

    Args:
        unit: what the units are sorted by.

    Returns:
        The path written.

    Raises:
        OutputError: the file cannot be written.
    """
    figure, axes = _rows([ROLL_IN, *[HEAT_IN] * len(heats)], title)
    draw_roll(axes[0], timeline, np.full(len(timeline.score.notes), np.nan))
    for place, heat in zip(axes[1:], heats, strict=True):
        values = heat.values[: timeline.steps].T
        if heat.signed:
            values = values / np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-9)
        picture = place.imshow(
            values,
            aspect="auto",
            origin="lower",
            extent=(0, values.shape[1], 0, len(values)),
            cmap="RdBu_r" if heat.signed else "viridis",
            vmin=-1 if heat.signed else 0,
            vmax=1,
        )
        figure.colorbar(picture, ax=place, pad=0.008, aspect=12)
        _label_units(place, heat.scale, unit)
        place.set_title(heat.title, loc="left", fontsize=10, color=INK)
        place.vlines(timeline.bars()[0], 0, len(values), color="white", lw=0.6, alpha=0.7)
    return _finish(figure, axes, timeline, path)


def draw_surprise(
    path: Path, timeline: Timeline, note_nats: np.ndarray | None, bar_nats: np.ndarray, *, title: str
) -> Path:
    """Draw how surprising each note and each bar was, under the roll, and write a PNG; see `draw_heats`.

    Args:
        note_nats: float [notes]; None where notes have none of their own.
        bar_nats: float [bars].
    """
    notes, score = timeline.score.notes, timeline.score
    figure, axes = _rows([ROLL_IN, *([PLOT_IN] if note_nats is not None else []), PLOT_IN], title)
    coloured = draw_roll(axes[0], timeline, np.full(len(notes), np.nan) if note_nats is None else note_nats)
    if note_nats is not None:
        figure.colorbar(coloured, ax=axes[0], pad=0.008, aspect=14, label="nats", extend="max")
        at = timeline.at(notes["onset_tick"])
        for track in palette.used_tracks(score):
            mine = notes["track"] == track
            colour, name = palette.colour_of(track), palette.track_names(score)[track]
            axes[1].vlines(at[mine], 0, note_nats[mine], color=colour, lw=0.8, alpha=0.5)
            axes[1].plot(at[mine], note_nats[mine], "o", ms=3.5, color=colour, label=name)
        axes[1].set_ylabel("nats of a note")
        axes[1].set_ylim(bottom=0)
        axes[1].legend(loc="upper right", ncols=8, fontsize=8, frameon=False, bbox_to_anchor=(1, 1.18))
    lines = timeline.at(score.bar_ticks())
    axes[-1].bar(lines[:-1], bar_nats, np.diff(lines) * 0.94, align="edge", color="#1f5fa8")
    axes[-1].set_ylabel("nats of a bar")
    for place in axes[1:]:
        place.grid(axis="y", alpha=0.3)
        place.vlines(timeline.bars()[0], *place.get_ylim(), color=FAINT, lw=0.5, alpha=0.5)
    return _finish(figure, axes, timeline, path)


def draw_roll(axes: Axes, timeline: Timeline, nats: np.ndarray) -> PolyCollection:
    """Draw notes over the steps, coloured by nats [notes] or, where there are none, by voice; what was drawn."""
    from matplotlib.collections import PolyCollection

    score = timeline.score
    notes = score.notes
    left, right = timeline.at(notes["onset_tick"]), timeline.at(notes["onset_tick"] + notes["duration_tick"])
    right = np.maximum(right - 0.12, left + 0.2)
    low = notes["pitch"].astype(float) - 0.45
    corners = np.stack([left, low, right, low, right, low + 0.9, left, low + 0.9], axis=1).reshape(-1, 4, 2)
    drawn = PolyCollection(list(corners), linewidths=0.3, edgecolors=INK)
    if np.isfinite(nats).any():
        drawn.set_array(np.ma.masked_invalid(nats))
        drawn.set_cmap("YlOrRd")
        drawn.set_clim(0, STARTLING)
    else:
        drawn.set_facecolor([palette.colour_of(track) for track in notes["track"].tolist()])
    axes.add_collection(drawn)
    lowest, highest = palette.pitch_range(score)
    axes.set_ylim(lowest - 0.5, highest + 0.5)
    named = [pitch for pitch in range(lowest, highest + 1) if pitch % 12 in (0, 7)]
    axes.set_yticks(named, [palette.pitch_name(pitch) for pitch in named])
    axes.vlines(timeline.bars()[0], lowest - 0.5, highest + 0.5, color=FAINT, lw=0.5, alpha=0.6)
    return drawn


def _rows(heights: list[float], title: str) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, sum(heights) + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14, color=INK)
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    return figure, list(axes)


def _label_units(axes: Axes, scale: np.ndarray, unit: str) -> None:
    """A few of the values that the units are sorted by, along their axis."""
    rows = np.linspace(0, len(scale) - 1, min(LABELS, len(scale))).astype(int)
    if np.isfinite(scale).any():
        axes.set_yticks(rows + 0.5, [_short(scale[row]) for row in rows])
        axes.set_ylabel(unit, fontsize=8)
    else:
        axes.set_yticks([])
        axes.set_ylabel("units", fontsize=8)
    axes.tick_params(axis="y", labelsize=8)


def _short(value: float) -> str:
    """A number with two digits that count."""
    return "∞" if value >= ENDLESS else f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _finish(figure: Figure, axes: list[Axes], timeline: Timeline, path: Path) -> Path:
    at, numbers = timeline.bars()
    every = max(1, -(-len(at) // 40))
    axes[-1].set_xlim(0, timeline.steps)
    axes[-1].set_xticks(at[: len(numbers) : every], [str(number) for number in numbers[::every]])
    axes[-1].set_xlabel("bar")
    for place in axes:
        for side in ("top", "right"):
            place.spines[side].set_visible(False)
    with whole(path) as beside:
        figure.savefig(beside, dpi=DPI, format="png")
    return path
