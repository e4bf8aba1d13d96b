"""Pictures of measured curves: how far gradients reach and what the clip does, and nats by position and by memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lstmusic.files import whole
from lstmusic.listening.palette import VOICE_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
SIZE_IN = (16, 6)
SHORTEST, LONGEST = 0.05, 10_000  # steps, of a time constant as drawn
DECADES = 12  # of a logarithmic axis at most: what lies below is as good as nothing


@dataclass(frozen=True)
class ReachCurve:
    """What was measured of one model.

    Attributes:
        name: which one.
        trained: whether it has learned anything: its line is whole, else broken.
        family: models of one number share a colour.
        usual, mean: geometric and plain mean of the gradient's norm by lag, float [K], the lag 1 first.
        window_norms: float [W], of the whole gradient of training windows, before the clip.
    """

    name: str
    trained: bool
    family: int
    usual: np.ndarray
    mean: np.ndarray
    window_norms: np.ndarray

    @property
    def style(self) -> dict:
        """How its line is drawn."""
        colour = VOICE_COLOURS[self.family % len(VOICE_COLOURS)]
        return {"color": colour, "ls": "-" if self.trained else "--", "lw": 2.2 if self.trained else 1.4}


def draw_reach(path: Path, curves: Sequence[ReachCurve], *, max_grad_norm: float, title: str) -> Path:
    """Draw how far back gradients reach and what the clip makes of whole windows' gradients, as a PNG.

    Returns:
        The path written.

    Raises:
        OutputError: the file cannot be written.
    """
    figure, (usual, mean, clip) = _panels(3, title, (1.25, 1.25, 1))
    for curve in curves:
        lags = np.arange(1, len(curve.usual) + 1)
        usual.semilogy(lags, np.where(curve.usual > 0, curve.usual, np.nan), label=curve.name, **curve.style)
        mean.semilogy(lags, np.where(curve.mean > 0, curve.mean, np.nan), **curve.style)
    usual.set_title("the usual moment (geometric mean)", fontsize=11)
    mean.set_title("with its steepest moments (mean)", fontsize=11)
    most = max(float(curve.mean.max()) for curve in curves) * 3
    least = min(float(values[values > 0].min()) for c in curves for values in (c.usual, c.mean) if (values > 0).any())
    for axes in (usual, mean):
        axes.set_ylim(max(least / 3, most / 10**DECADES), most)
        axes.set_xlabel("steps back, k")
        axes.set_ylabel("norm of d loss(t) / d state(t - k)")
        axes.grid(alpha=0.3)
    usual.legend(fontsize=9, loc="best")
    _draw_clip(clip, curves, max_grad_norm)
    return _write(figure, path)


def _draw_clip(axes: Axes, curves: Sequence[ReachCurve], max_grad_norm: float) -> None:
    """The norm of each window before the clip (rings) and after it (dots), a row for each model, a line for each window."""
    for row, curve in enumerate(curves):
        after, colour = np.minimum(curve.window_norms, max_grad_norm), curve.style["color"]
        height = row + np.linspace(-0.22, 0.22, len(after)) if len(after) > 1 else np.array([float(row)])
        axes.hlines(height, after, curve.window_norms, color=colour, lw=0.8, alpha=0.6)
        axes.plot(curve.window_norms, height, "o", mfc="none", color=colour, ms=5)
        axes.plot(after, height, ".", color=colour, ms=5)
    axes.axvline(max_grad_norm, color="black", lw=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(curves)), [curve.name for curve in curves])
    axes.invert_yaxis()
    axes.set_xlabel("norm of the whole gradient of a window")
    axes.set_title(f"the clip at {max_grad_norm:g}: before (ring), after (dot)", fontsize=11)
    axes.grid(axis="x", alpha=0.3)


def draw_memory(
    path: Path,
    *,
    edges: np.ndarray,
    by_position: tuple[np.ndarray, np.ndarray],
    lags: np.ndarray,
    by_memory: np.ndarray,
    error: np.ndarray,
    title: str,
) -> Path:
    """Draw nats per token by the place in the piece, and by how long ago the state was reset, as a PNG; see `draw_reach`.

    Args:
        edges: of the places, steps since the piece began, int [P + 1].
        by_position: nats per token between them, and its standard error, [P] each.
        lags: steps read, int [K]. by_memory: nats per token after so many, [K].
        error: standard error of what the longest memory gains over each, [K].
    """
    figure, (place, memory) = _panels(2, title, (1, 1))
    middle, (nats, spread) = (edges[1:] + edges[:-1]) / 2, by_position
    place.stairs(nats, edges, color=VOICE_COLOURS[0], lw=2.2, baseline=None)
    place.errorbar(middle, nats, yerr=spread, fmt="none", color=VOICE_COLOURS[0], lw=1, capsize=3)
    place.set_xlabel("steps since the piece began")
    place.set_title("by the place in the piece (bars: standard error)", fontsize=11)
    place.set_xlim(edges[0], edges[-1])
    memory.errorbar(lags, by_memory, yerr=error, fmt="o-", color=VOICE_COLOURS[1], lw=2.2, ms=5, capsize=3)
    memory.axhline(by_memory[-1], color="black", lw=0.8, ls=":")
    memory.set_xscale("log", base=2)
    memory.set_xticks(lags, [str(lag) for lag in lags])
    memory.set_xlabel("steps read since the state was reset")
    memory.set_title("the state reset so long before (bars: standard error of the gap to the longest)", fontsize=11)
    for axes in (place, memory):
        axes.set_ylabel("nats per token")
        axes.grid(alpha=0.3)
    return _write(figure, path)


def draw_time_constants(path: Path, layers: Sequence[np.ndarray], *, steps_per_bar: float | None, title: str) -> Path:
    """Draw how long the units of each layer remember, steps [H] each, as histograms, as a PNG; see `draw_reach`.

    Args:
        steps_per_bar: where it is known, bars are marked.
    """
    figure, (axes,) = _panels(1, title, (1,))
    drawn = [np.clip(layer, SHORTEST, LONGEST) for layer in layers]
    edges = np.geomspace(min(layer.min() for layer in drawn) * 0.95, max(layer.max() for layer in drawn) * 1.05, 50)
    for number, layer in enumerate(drawn, 1):
        label = f"layer {number}, median {np.median(layer):.2g} steps"
        axes.stairs(np.histogram(layer, edges)[0], edges, color=VOICE_COLOURS[number % 7], lw=2, label=label)
    axes.set_xscale("log")
    axes.set_xlabel(f"steps in which a unit forgets all but 1/e (what is longer than {LONGEST:,} stands there)")
    axes.set_ylabel("units")
    if steps_per_bar:
        for bars in (0.25, 1, 4):
            axes.axvline(bars * steps_per_bar, color="black", lw=0.8, ls=":")
            words = {0.25: "a quarter of a bar", 1: "a bar", 4: "four bars"}[bars]
            axes.text(bars * steps_per_bar, axes.get_ylim()[1], f" {words}", va="top", fontsize=9)
    axes.legend(fontsize=10)
    axes.grid(alpha=0.3)
    return _write(figure, path)


def _panels(count: int, title: str, widths: Sequence[float]) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_IN, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=14)
    return figure, figure.subplots(1, count, width_ratios=widths, squeeze=False)[0]


def _write(figure: Figure, path: Path) -> Path:
    with whole(path) as beside:
        figure.savefig(beside, dpi=DPI, format="png")
    return path
