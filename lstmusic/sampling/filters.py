"""Temperature, top-k, top-p and min-p on logits, and a draw by one uniform number per song."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def probabilities(
    logits: Tensor,
    allowed: Tensor,
    *,
    temperature: float | Tensor = 1.0,
    kinds: Sequence[tuple[Tensor, float]] = (),
    between: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> Tensor:
    """The distribution that a song's next id is drawn from.

    Args:
        logits: float [B, V]. allowed: bool [B, V], at least one True per row.
        temperature: logits are divided by it; one number, or one per song, float64 [B].
        kinds: where kinds of ids have temperatures of their own, the ids of every kind (int64), each id in one kind, and a
            factor on the temperature by which one of these is chosen.
        between: a factor on the temperature by which one of the kinds is chosen.
        top_k: keep the k likeliest ids; 0: all.
        top_p: keep the likeliest ids until their sum reaches p (Holtzman et al. 2020, nucleus sampling).
        min_p: keep ids at least min_p times as likely as the likeliest (Nguyen et al. 2024).

    Returns:
        float64 [B, V], each row summing to 1; 0 where not allowed or filtered.
    """
    legal = logits.double().masked_fill(~allowed, -torch.inf)
    below_best = legal - legal.max(dim=-1, keepdim=True).values  # before the division, which may overflow
    heat = temperature[:, None] if isinstance(temperature, Tensor) else temperature
    scaled = below_best / heat
    for ids, factor in kinds:
        scaled[:, ids] = _reheated(scaled[:, ids], factor, between)
    p = torch.softmax(scaled, dim=-1)
    keep = allowed
    if top_k:
        kth = p.topk(min(top_k, p.shape[-1]), dim=-1).values[:, -1:]
        keep = keep & (p >= kth)
    if top_p < 1:
        ordered, order = p.sort(dim=-1, descending=True, stable=True)
        inside = ordered.cumsum(-1) - ordered < top_p  # the id that crosses p stays
        keep = keep & torch.zeros_like(keep).scatter(-1, order, inside)
    if min_p:
        keep = keep & (p >= min_p * p.max(dim=-1, keepdim=True).values)
    p = torch.where(keep, p, 0.0)
    return p / p.sum(dim=-1, keepdim=True)


def _reheated(logits: Tensor, within: float, between: float) -> Tensor:
    """Logits [B, n] of one kind, chosen among each other at one factor and against other kinds at another."""
    best = logits.max(dim=-1, keepdim=True).values
    none = best == -torch.inf  # of the kind is allowed
    below_best = torch.where(none, 0.0, logits - best)
    together = best + below_best.logsumexp(dim=-1, keepdim=True)
    return torch.where(none, -torch.inf, torch.log_softmax(below_best / within, dim=-1) + together / between)


def draw(p: Tensor, uniform: Tensor) -> Tensor:
    """One id per song by inverse transform: int64 [B] from p [B, V] and uniform numbers [B] in [0, 1), float64."""
    cumulative = p.cumsum(-1)
    ids = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)[:, 0]
    last = p.shape[-1] - 1 - (p.flip(-1) > 0).int().argmax(-1)  # rounding must not step past the last possible id
    return torch.minimum(ids, last)
