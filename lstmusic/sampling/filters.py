"""Temperature, top-k, top-p and min-p on logits, and a draw by one uniform number per song."""

from __future__ import annotations

import torch
from torch import Tensor

from lstmusic.errors import ConfigError


def check(temperature: float, top_k: int, top_p: float, min_p: float) -> None:
    """Raise ConfigError where a setting of `probabilities` lies outside its range."""
    if not temperature > 0 or temperature == float("inf"):
        raise ConfigError(
            f"temperature={temperature}: expected a positive number (for the likeliest song use greedy=true)"
        )
    if top_k < 0:
        raise ConfigError(f"sampling.top_k={top_k}: expected 0 (off) or a positive number")
    if not 0 < top_p <= 1:
        raise ConfigError(f"sampling.top_p={top_p}: expected 0 < top_p <= 1 (1 is off)")
    if not 0 <= min_p < 1:
        raise ConfigError(f"sampling.min_p={min_p}: expected 0 <= min_p < 1 (0 is off)")


def probabilities(
    logits: Tensor, allowed: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> Tensor:
    """The distribution that a song's next id is drawn from.

    Args:
        logits: float [B, V]. allowed: bool [B, V], at least one True per row.
        temperature: logits are divided by it.
        top_k: keep the k likeliest ids; 0: all.
        top_p: keep the likeliest ids until their sum reaches p (Holtzman et al. 2020, nucleus sampling).
        min_p: keep ids at least min_p times as likely as the likeliest (Nguyen et al. 2024).

    Returns:
        float64 [B, V], each row summing to 1; 0 where not allowed or filtered.
    """
    legal = logits.double().masked_fill(~allowed, -torch.inf)
    below_best = legal - legal.max(dim=-1, keepdim=True).values  # before the division, which may overflow
    p = torch.softmax(below_best / temperature, dim=-1)
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


def draw(p: Tensor, uniform: Tensor) -> Tensor:
    """One id per song by inverse transform: int64 [B] from p [B, V] and uniform numbers [B] in [0, 1), float64."""
    cumulative = p.cumsum(-1)
    ids = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)[:, 0]
    last = p.shape[-1] - 1 - (p.flip(-1) > 0).int().argmax(-1)  # rounding must not step past the last possible id
    return torch.minimum(ids, last)
