"""What the gates of a recurrent stack do along a piece: how long each unit remembers, and what opens each gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lstmusic.models.cells import Layer, LayerState
from lstmusic.models.language_model import Window
from lstmusic.models.model import Model

CONTENTS = ("candidate", "cell", "state")  # what a cell holds or would write, beside its gates
MIN_MOMENTS = 4  # fewer say nothing about a mean
CHANCE_DRAWS = 50
SAME_MOMENTS = 0.5  # the correlation of moments and their shifted selves from which on they count as the same
SMALLEST_DEVIATION = 1e-3  # of a gate; what keeps apart perfectly has no deviation left to divide by


@dataclass(frozen=True)
class LayerTrace:
    """What one layer did along a piece, its units in the order of the weights.

    Attributes:
        cell: the name of the layer's class, such as `Lstm`.
        gates: each gate by name, float32 [T, H] between 0 and 1; empty for a cell without gates.
        contents: `candidate` and `cell` where the cell tells them, and `state` (its output), float32 [T, H].
        kept: the share of the memory that each step keeps, float32 [T, H]; None where no gate decides it.
    """

    cell: str
    gates: dict[str, np.ndarray]
    contents: dict[str, np.ndarray]
    kept: np.ndarray | None

    @property
    def time_constants(self) -> np.ndarray:
        """Steps in which a unit forgets all but 1/e, float64 [H]: -1 / ln of the mean share kept; NaN without gates."""
        if self.kept is None:
            return np.full(self.contents["state"].shape[1], np.nan)
        mean = self.kept.mean(axis=0, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return np.where(mean < 1, -1 / np.log(np.clip(mean, 1e-300, 1 - 1e-12)), np.inf)

    @property
    def order(self) -> np.ndarray:
        """The units from the shortest memory to the longest, int64 [H]; as they are where no gate decides it."""
        return np.argsort(self.time_constants, kind="stable")


class Opening(NamedTuple):
    """How one gate of one unit differs at some moments from elsewhere.

    Attributes:
        layer, gate, unit, moment: which gate of which unit, at which moments.
        at, elsewhere: its mean at those moments and at all others.
        effect: the difference in pooled standard deviations (Cohen's d).
        chance: what the largest effect of all units of that gate stays below where these moments are shifted along the
            piece, 19 times of 20.
    """

    layer: int
    gate: str
    unit: int
    moment: str
    at: float
    elsewhere: float
    effect: float
    chance: float


class MomentRow(NamedTuple):
    """What one gate of a layer does at one kind of moment.

    Attributes:
        layer, gate, moment: which gate, at which moments.
        at, elsewhere: the mean over all units.
        higher, lower: the share of the units that open, and that close, beyond chance.
        strongest: of the unit with the largest effect.
    """

    layer: int
    gate: str
    moment: str
    at: float
    elsewhere: float
    higher: float
    lower: float
    strongest: Opening


@torch.no_grad()
def trace(model: Model, piece: Window) -> list[LayerTrace]:
    """What each layer does along a piece, one lane [1, T], read from its beginning.

    The model should be in evaluation mode: a dropped input would show.
    """
    with _heard(model) as heard:
        model(piece)
    return [_of_layer(layer, spans) for layer, spans in heard.items()]


@contextmanager
def _heard(model: Model) -> Iterator[dict[Layer, list[tuple[Tensor, LayerState]]]]:
    """Gathers what each layer is given: inputs [B, t, I] and state before them, of each of a window's stretches."""
    heard: dict[Layer, list[tuple[Tensor, LayerState]]] = {}

    def listen(layer, arguments):
        heard.setdefault(layer, []).append((arguments[0], arguments[1]))

    hooks = [layer.register_forward_pre_hook(listen) for layer in model.layers]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _of_layer(layer: Layer, spans: list[tuple[Tensor, LayerState]]) -> LayerTrace:
    """Run a layer step by step over what it was given."""
    steps = []
    for inputs, state in spans:
        for x in inputs.unbind(dim=1):
            gates = layer.gates(x, state)
            share = kept_share(layer, gates)
            state = layer.step(x, state)
            steps.append({**gates, "state": state[0], **({} if share is None else {"kept": share})})
    along = {name: torch.cat([step[name] for step in steps]).numpy() for name in steps[0]}
    kept = along.pop("kept") if "kept" in along else None
    contents = {name: along.pop(name) for name in CONTENTS if name in along}
    return LayerTrace(type(layer).__name__, along, contents, kept)


def kept_share(layer: Layer, gates: Mapping[str, Tensor]) -> Tensor | None:
    """The share of its memory that a step keeps, as its gates say, [B, H]; None where no gate decides it.

    Papers do not agree on what an update gate of 1 means, so the cell is asked: what it leaves of a state of 1 where
    there is nothing to write.
    """
    if "forget" in gates or "update" not in gates:
        return gates.get("forget")
    nothing = torch.zeros_like(gates["candidate"])
    return layer.combine({**gates, "candidate": nothing}, (torch.ones_like(nothing),))[0]


def openings(traces: list[LayerTrace], moments: Mapping[str, np.ndarray], rng: np.random.Generator) -> list[Opening]:
    """How each gate of each unit differs at each kind of moment from elsewhere.

    Args:
        traces: of each layer.
        moments: bool [T] by name, such as where a bar begins; those that are rarer than four, or hardly ever absent, are
            left out.
        rng: draws the shifts that chance is told by.

    Returns:
        Per layer and gate, the largest effects first.
    """
    rows = []
    usable = {name: where for name, where in moments.items() if min(where.sum(), (~where).sum()) >= MIN_MOMENTS}
    for number, layer in enumerate(traces):
        for gate, values in layer.gates.items():
            here = [row for name, where in usable.items() for row in _openings(number, gate, values, name, where, rng)]
            rows += sorted(here, key=lambda row: -abs(row.effect))
    return rows


def _openings(
    layer: int, gate: str, values: np.ndarray, name: str, where: np.ndarray, rng: np.random.Generator
) -> list[Opening]:
    at, elsewhere, effect = (figures[0] for figures in effect_sizes(values, where[None]))
    drawn = np.stack([np.roll(where, offset) for offset in rng.choice(_free_offsets(where), CHANCE_DRAWS)])
    chance = float(np.quantile(np.abs(effect_sizes(values, drawn)[2]).max(axis=1), 0.95))
    columns = zip(at.tolist(), elsewhere.tolist(), effect.tolist(), strict=True)
    return [Opening(layer, gate, unit, name, *figures, chance) for unit, figures in enumerate(columns)]


def _free_offsets(where: np.ndarray) -> np.ndarray:
    """By how many steps moments, bool [T], may be shifted to tell chance, int64: all but where they fall on themselves.

    Shifted round the piece, moments keep their distances and a gate its slow drift, which moments strewn at random would
    not. But a bar line shifted by a bar is a bar line: shifts that correlate with the moments by more than a half are left
    out. As all correlations of centred moments add up to 0, some always remain.
    """
    spectrum = np.fft.rfft(where - where.mean())
    overlap = np.fft.irfft(np.abs(spectrum) ** 2, n=len(where))
    return np.flatnonzero(overlap <= SAME_MOMENTS * overlap[0])


def by_moment(rows: Sequence[Opening]) -> list[MomentRow]:
    """The rows of `openings` gathered: one for each layer, gate and moment."""
    gathered: dict[tuple[int, str, str], list[Opening]] = {}
    for row in sorted(rows, key=lambda row: (row.layer, row.gate, row.moment)):
        gathered.setdefault((row.layer, row.gate, row.moment), []).append(row)
    table = []
    for key, units in gathered.items():
        columns = [(row.at, row.elsewhere, row.effect > row.chance, row.effect < -row.chance) for row in units]
        at, elsewhere, higher, lower = np.mean(columns, axis=0).tolist()
        strongest = max(units, key=lambda row: abs(row.effect))
        table.append(MomentRow(*key, at, elsewhere, higher, lower, strongest))
    return table


def effect_sizes(values: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of values [T, H] at moments, several sets of them (bool [M, T]): the means there and elsewhere, and Cohen's d.

    d is the difference over the pooled standard deviation (Cohen 1988, section 2.5), which counts as a thousandth at least.

    Returns:
        Three arrays, float64 [M, H] each.
    """
    center = values.mean(axis=0, dtype=np.float64)
    moved = values - center
    count = where.sum(axis=1, keepdims=True)
    others = len(values) - count
    inside = where @ moved  # [M, H]; what is outside sums to the opposite
    difference = inside / count + inside / others
    squares = (moved**2).sum(axis=0) - difference**2 * count * others / len(values)  # within both groups
    deviation = np.sqrt(np.maximum(squares, 0) / (len(values) - 2))
    effect = difference / np.maximum(deviation, SMALLEST_DEVIATION)
    return center + inside / count, center - inside / others, effect
