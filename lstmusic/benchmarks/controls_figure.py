"""The picture of `table=controls`: a panel for each control and measure, without the control beside with it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmusic.files import whole
from lstmusic.listening.palette import VOICE_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[dict[str, Any]]

COLUMNS = 4
PANEL_IN, DPI = (4.4, 2.5), 100
INK, FAINT = "#22262b", "#9aa1a9"
LABEL_WIDTH = 24  # letters of a line
SHARED = re.compile("(?=, bars | from )")  # where a measure goes on to say what its panel shows one above the other
GROUP, LIST = re.compile(r"^[a-z]+\.(?=[a-z_]+)"), re.compile(r"=[\[{].*")
SPREAD = 0.5  # of a setting's place, taken by its models
CURVES = ("density",)  # controls drawn as what was measured over what was asked for


def draw(path: Path, rows: Rows) -> Path:
    """Draw the rows of `controls.rows` and write a PNG.

    A ring is the measure without the control, a dot with it; a bar is what was asked for. Colours are models.

    Returns:
        The path written.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    controls = list(dict.fromkeys(row["control"] for row in rows))
    panels = sorted(dict.fromkeys(_panel(row) for row in rows), key=lambda panel: controls.index(panel[0]))
    colours = {model: VOICE_COLOURS[k % 7] for k, model in enumerate(dict.fromkeys(row["model"] for row in rows))}
    height = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * PANEL_IN[0], height * PANEL_IN[1] + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(height, COLUMNS, squeeze=False).ravel()
    for place, panel in zip(axes, panels, strict=False):
        own = [row for row in rows if _panel(row) == panel]
        (_draw_curves if panel[0] in CURVES else _draw_pairs)(place, own, colours)
        place.set_title(f"{panel[0]}: {panel[1]}", loc="left", fontsize=9, color=INK)
        place.tick_params(labelsize=7)
        for side in ("top", "right"):
            place.spines[side].set_visible(False)
    for place in axes[len(panels) :]:
        place.set_visible(False)
    keys = [Line2D([], [], marker="o", ls="", color=colour, label=model) for model, colour in colours.items()]
    keys += [
        Line2D([], [], marker="o", ls="", mfc="white", color=FAINT, label="without the control"),
        Line2D([], [], marker="|", ls="", ms=12, mew=2, color=INK, label="asked for"),
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys), fontsize=9, frameon=False)
    with whole(path) as beside:
        figure.savefig(beside, dpi=DPI, format="png")
    return path


def _panel(row: dict[str, Any]) -> tuple[str, str]:
    """The panel of a row: halves of a song, and distances from several histograms, share theirs."""
    return row["control"], SHARED.split(row["measure"])[0]


def _setting(row: dict[str, Any]) -> str:
    """What a row is called within its panel: its keys without their groups, no value that is a list."""
    shared = SHARED.search(row["measure"])
    if shared:
        return row["measure"][shared.start() :].strip(", ")
    return " ".join(GROUP.sub("", LIST.sub("", part)) for part in row["setting"].split(" "))


def _draw_pairs(axes: Axes, rows: Rows, colours: dict[str, str]) -> None:
    """For each setting and model a ring, a dot, and a line from one to the other."""
    settings = list(dict.fromkeys(_setting(row) for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))
    places = np.linspace(-SPREAD / 2, SPREAD / 2, len(models)) if len(models) > 1 else [0.0]
    for row in rows:
        y = settings.index(_setting(row)) + places[models.index(row["model"])]
        colour = colours[row["model"]]
        axes.plot([row["without"], row["with"]], [y, y], color=colour, lw=1, alpha=0.6)
        axes.plot(row["without"], y, "o", ms=5, mfc="white", color=colour)
        axes.plot(row["with"], y, "o", ms=5, color=colour)
        if row["asked"] is not None:
            axes.plot(row["asked"], y, "|", ms=9, mew=1.6, color=INK)
    labels = [textwrap.fill(setting, LABEL_WIDTH, break_long_words=False) for setting in settings]
    axes.set_yticks(range(len(settings)), labels)
    axes.set_ylim(len(settings) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(axis="x", alpha=0.3)


def _draw_curves(axes: Axes, rows: Rows, colours: dict[str, str]) -> None:
    """What was measured over what was asked for: a line for each model and rest of its setting."""
    rests = list(dict.fromkeys(_rest(row) for row in rows))
    for model, colour in colours.items():
        for style, rest in zip((":", "-", "--", "-."), rests, strict=False):
            own = [row for row in rows if row["model"] == model and _rest(row) == rest]
            asked, measured = ([row[name] for row in own] for name in ("asked", "with"))
            axes.plot(asked, measured, style, marker="o", ms=4, lw=1.3, color=colour)
            if own:
                axes.plot(min(asked), own[0]["without"], "o", ms=6, mfc="white", color=colour)
    ends = [min(row["asked"] for row in rows), max(row["asked"] for row in rows)]
    axes.plot(ends, ends, color=INK, lw=0.8)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    asked = sorted({row["asked"] for row in rows})
    axes.set_xticks(asked, [f"{value:g}" for value in asked])
    axes.set_yticks(asked, [f"{value:g}" for value in asked])
    axes.set_xlabel("asked for; " + ", ".join(_words(rests)), fontsize=7)
    axes.grid(alpha=0.3)


def _rest(row: dict[str, Any]) -> str:
    """What a setting says beside the value asked for."""
    return row["setting"].partition(" ")[2].rpartition(".")[2]


def _words(rests: list[str]) -> list[str]:
    return [f"{name} {rest}" for name, rest in zip(("dotted", "solid", "dashed", "dash-dotted"), rests, strict=False)]
