"""The state that a song had while it was written: its ids read once more, as the stepper read them."""

from __future__ import annotations

import numpy as np
import torch

from lstmusic.events.grammar import Grammar
from lstmusic.models.model import Model
from lstmusic.sampling import stepper
from lstmusic.sampling.controls import BoundControls, Controls
from lstmusic.sampling.sampler import primed
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.snapshot import Parts, Snapshot
from lstmusic.sampling.songs import BLOCK, Rules


@torch.inference_mode()
def state_after(
    model: Model,
    grammar: Grammar,
    ids: np.ndarray,
    prefix: np.ndarray,
    *,
    row: int = 0,
    start: Snapshot | None = None,
    controls: Controls | None = None,
    weights: str = "float32",
) -> tuple[Parts, Parts | None]:
    """What the stack carries after all groups but the last, to the bit as in the song that was written so.

    Args:
        ids: legal, whole groups, int64 [N].
        prefix: those that the song began with: they were read at once, all others group by group.
        row: the song's place in its block.
        start, controls, weights: as the song was written by; see `sampler.sample`.

    Returns:
        The state, and that of the half which was told of conditions; None where nothing was asked for.
    """
    bound = BoundControls(controls or Controls(), grammar)
    steps = stepper.build(model, BLOCK * (1 if bound.columns is None else 2), weights)
    rules = Rules(grammar, steps, bound, SamplingSettings(), Length(), Repetition(break_loops=False))
    primed(model, rules, prefix, start).resume()
    size = grammar.group_size
    before = grammar.trajectory(ids)[::size]
    groups = torch.from_numpy(ids.reshape(-1, size)).to(model.device)
    for k in range(len(prefix) // size, len(groups)):
        columns, flags = rules.context(np.repeat(before[k : k + 1], rules.rows))
        steps.read(groups[k - 1].repeat(steps.rows, 1), columns, flags)
    of_row = [part[:, row :: rules.rows].cpu().numpy() for part in steps.state()]
    told, state = (tuple(part[:, lane].copy() for part in of_row) for lane in (0, -1))
    return state, told if rules.guided else None
