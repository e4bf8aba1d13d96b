"""A picture of statistics: for each one how its values are spread over real pieces, and over songs beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmusic.files import whole
from lstmusic.listening.palette import VOICE_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
PANELS_PER_ROW = 4
PANEL_IN = (4.0, 2.5)
GRID = 400
EDGES = (2, 98)  # percentiles of each group that are shown
NARROWEST = 0.012  # a bandwidth at least, of the width shown: equal values make a peak, not a line without width
HEADROOM = 1.25  # over the densest of the first two groups; what a third has above is cut off
REAL, AREA, INK = "#4d4d4d", "#dadada", "#222222"
STYLES: tuple[dict[str, Any], ...] = (  # of real pieces, and of each group of songs
    {"color": REAL, "lw": 1.2},
    {"color": VOICE_COLOURS[0], "lw": 2.4},
    {"color": VOICE_COLOURS[1], "lw": 1.8, "ls": (0, (4, 1.6))},
)
CAPTION = (
    "▲ mean · coloured numbers: overlapping area of distances with those among the real pieces, 1 is best · "
    "what is too high is cut off"
)


@dataclass(frozen=True)
class Panel:
    """One statistic.

    Attributes:
        words, unit: what it is called.
        groups: its values by the name of their group, float [N] each; real pieces first, then songs.
        overlaps: for some groups how much they have in common with the real pieces, 0 to 1.
    """

    words: str
    unit: str
    groups: Mapping[str, np.ndarray]
    overlaps: Mapping[str, float] = field(default_factory=dict)

    @property
    def finite(self) -> dict[str, np.ndarray]:
        """The values to which the statistic applies."""
        return {name: values[np.isfinite(values)] for name, values in self.groups.items()}

    @property
    def tells(self) -> bool:
        """Whether there is anything to see."""
        real, *others = self.finite.values()
        return len(real) > 1 and len(np.unique(np.concatenate([real, *others]))) > 1


def density(values: np.ndarray, grid: np.ndarray, low: float, high: float) -> np.ndarray:
    """A density by Gaussian kernels, float [G], mirrored at both ends so that nothing of it lies beyond them.

    The bandwidth is Silverman's rule of thumb (1986, equation 3.31), at least `NARROWEST` of the grid's width.

    Args:
        values: float [N], all within low..high. grid: float [G], rising.
    """
    quarter, three_quarters = np.percentile(values, (25, 75))
    spread = min([s for s in (values.std(), (three_quarters - quarter) / 1.34) if s > 0], default=0.0)
    width = max(0.9 * spread * len(values) ** -0.2, NARROWEST * (grid[-1] - grid[0]))
    mirrored = np.concatenate([values, 2 * low - values, 2 * high - values])
    kernels = np.exp(-0.5 * ((grid[:, None] - mirrored) / width) ** 2)
    return kernels.sum(axis=1) / (len(values) * width * np.sqrt(2 * np.pi))


def draw(path: Path, panels: Sequence[Panel], *, title: str) -> Path:
    """Draw a panel for each statistic that applies to two real pieces or more and is not the same everywhere, as a PNG.

    Returns:
        The path written.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shown = [panel for panel in panels if panel.tells]
    rows = max(-(-len(shown) // PANELS_PER_ROW), 1)
    size = (PANELS_PER_ROW * PANEL_IN[0], rows * PANEL_IN[1] + 0.9)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.09))
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=15, color=INK)
    figure.supxlabel(CAPTION, x=0.01, ha="left", fontsize=10, color=REAL)
    axes = figure.subplots(rows, PANELS_PER_ROW, squeeze=False).ravel()
    for place, panel in zip(axes, shown, strict=False):
        _draw_panel(place, panel)
    for place in axes[len(shown) :]:
        place.set_axis_off()
    if shown:
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=11
        )
    with whole(path) as beside:
        figure.savefig(beside, dpi=DPI, format="png", facecolor="white")
    return path


def _draw_panel(axes: Axes, panel: Panel) -> None:
    """The real pieces as an area, the songs as lines over it; below each its mean."""
    groups = {name: values for name, values in panel.finite.items() if len(values)}
    low, high = (float(end([end(values) for values in groups.values()])) for end in (np.min, np.max))
    ends = np.array([np.percentile(values, EDGES) for values in groups.values()])
    left, right = float(ends.min()), float(ends.max())
    margin = 0.04 * (right - left) or 0.5 * max(abs(right), 1.0)
    grid, most = np.linspace(max(left - margin, low), min(right + margin, high), GRID), 0.0
    for number, (name, values) in enumerate(groups.items()):
        style = STYLES[number % len(STYLES)]
        if left - margin <= values.mean() <= right + margin:
            axes.plot(values.mean(), 0, "^", color=style["color"], ms=7, mec="white", mew=0.7, clip_on=False, zorder=5)
        curve = density(values, grid, low, high)
        if number:
            axes.plot(grid, curve, label=name, **style)
        else:
            axes.fill_between(grid, curve, label=name, fc=AREA, ec=REAL, lw=1.2)
        most = max(most, float(curve.max())) if number < 2 else most
    axes.set_xlim(left - margin, right + margin)
    axes.set_ylim(0, HEADROOM * most)
    _label(axes, panel)


def _label(axes: Axes, panel: Panel) -> None:
    """The words around a panel: what it shows, its unit, and each overlap in its group's colour."""
    axes.set_yticks([])
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set_title(panel.words, fontsize=11.5, loc="left", color=INK)
    axes.set_xlabel(panel.unit, fontsize=9.5, color=REAL)
    axes.tick_params(labelsize=9, colors=REAL)
    axes.locator_params(axis="x", nbins=6)
    names = list(panel.groups)
    for place, (name, overlap) in enumerate(reversed(list(panel.overlaps.items()))):
        how = {"color": STYLES[names.index(name) % len(STYLES)]["color"], "ha": "right", "fontsize": 10.5}
        axes.text(1 - 0.12 * place, 1.045, f"{overlap:.2f}", transform=axes.transAxes, **how)
